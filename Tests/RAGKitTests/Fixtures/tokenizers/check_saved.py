"""Loads tokenizers that RAGKit saved with transformers, and compares ids and decoded text with expected.json.

    RAGKIT_SAVED_TOKENIZERS=DIR swift test --filter savedFilesGiveTheSameTokenizer
    python check_saved.py DIR

Exit code 0 and a last line "ok" mean that all are the same.
"""
import json
import os
import sys

from transformers import AutoTokenizer

here = os.path.dirname(os.path.abspath(__file__))
expected = json.load(open(f"{here}/expected.json", encoding="utf-8"))
bad = 0
for name, case in expected["cases"].items():
    tokenizer = AutoTokenizer.from_pretrained(f"{sys.argv[1]}/{name}")
    wrong = sum(tokenizer(text, add_special_tokens=False)["input_ids"] != ids for text, ids in zip(expected["texts"], case["ids"]))
    wrong += sum(tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) != decoded for text, decoded in zip(expected["texts"], case["decoded"]))
    wrong += len(tokenizer) != case["length"]
    print(f"{name}: {wrong} of {2 * len(case['ids']) + 1} differ")
    bad += wrong
print("ok" if not bad else "FAILED")
sys.exit(bad != 0)
