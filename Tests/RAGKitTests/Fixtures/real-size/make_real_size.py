"""Makes a RAG checkpoint of real size with random weights, in both formats, and what transformers computes with it.

    python make_real_size.py FOLDER TOKENIZERS [--generator base|large]

TOKENIZERS holds bert-base-uncased/vocab.txt and bart-base/vocab.json and merges.txt. Writes

- FOLDER/safetensors and FOLDER/bin: RAG checkpoints with BERT-base encoders (the context encoder in ctx_encoder/)
- FOLDER/expected.safetensors: `question_ids`, `context_ids`, `target_ids`; `question_vectors`, `context_vectors`,
  `logits` of the generator

Then: RAGKIT_REAL_SIZE=FOLDER swift test --filter RealSize
"""
import argparse
import os

import torch
from safetensors.torch import save_file
from transformers import (BartConfig, BartForConditionalGeneration, BartTokenizerFast, BertTokenizerFast, DPRConfig,
                          DPRContextEncoder, DPRQuestionEncoder, RagConfig, RagTokenForGeneration)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("tokenizers")
    parser.add_argument("--generator", choices=["base", "large"], default="base")
    options = parser.parse_args()
    torch.manual_seed(5)
    torch.set_num_threads(1)
    size = dict(d_model=768, encoder_layers=6, decoder_layers=6, encoder_attention_heads=12, decoder_attention_heads=12,
                encoder_ffn_dim=3072, decoder_ffn_dim=3072) if options.generator == "base" else {}
    question_encoder = DPRQuestionEncoder(DPRConfig())
    generator = BartForConditionalGeneration(BartConfig(forced_bos_token_id=0, **size))
    context_encoder = DPRContextEncoder(DPRConfig()).eval()
    config = RagConfig.from_question_encoder_generator_configs(question_encoder.config, generator.config)
    model = RagTokenForGeneration(config=config, question_encoder=question_encoder, generator=generator).eval()
    question_tokenizer = BertTokenizerFast(os.path.join(options.tokenizers, "bert-base-uncased", "vocab.txt"))
    generator_tokenizer = BartTokenizerFast(*(os.path.join(options.tokenizers, "bart-base", name)
                                              for name in ("vocab.json", "merges.txt")))
    for name, safe in (("safetensors", True), ("bin", False)):
        folder = os.path.join(options.folder, name)
        model.save_pretrained(folder, safe_serialization=safe, max_shard_size="100GB")
        question_tokenizer.save_pretrained(os.path.join(folder, "question_encoder_tokenizer"))
        generator_tokenizer.save_pretrained(os.path.join(folder, "generator_tokenizer"))
        context_encoder.save_pretrained(os.path.join(folder, "ctx_encoder"), safe_serialization=safe, max_shard_size="100GB")
        question_tokenizer.save_pretrained(os.path.join(folder, "ctx_encoder"))
    ids = {"question_ids": torch.randint(1000, 30000, (3, 24)), "context_ids": torch.randint(3, 50000, (3, 90)),
           "target_ids": torch.randint(3, 50000, (3, 12))}
    with torch.no_grad():
        values = {
            "question_vectors": model.rag.question_encoder(ids["question_ids"])[0],
            "context_vectors": context_encoder(ids["question_ids"])[0],
            "logits": model.rag.generator(ids["context_ids"], decoder_input_ids=ids["target_ids"]).logits,
        }
    tensors = {name: tensor.int() for name, tensor in ids.items()} | {n: v.contiguous() for n, v in values.items()}
    save_file(tensors, os.path.join(options.folder, "expected.safetensors"))


if __name__ == "__main__":
    main()
