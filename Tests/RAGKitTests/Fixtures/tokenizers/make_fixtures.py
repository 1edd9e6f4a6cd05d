"""Makes small tokenizers and what the reference says of awkward text.

Needs transformers 4.46.3, tokenizers 0.20.3, sentencepiece 0.2 and protobuf. Run it in this folder: it writes one folder for each
tokenizer and expected.json. All text is invented for this purpose.
"""
import collections
import json
import os
import shutil

import regex
import sentencepiece
import tokenizers
from transformers import AddedToken, AutoTokenizer, BartTokenizerFast, BertTokenizerFast, GPT2TokenizerFast, PreTrainedTokenizerFast, T5TokenizerFast
from transformers.models.gpt2.tokenization_gpt2 import bytes_to_unicode

SENTENCES = """The lighthouse keeper counts the ships that pass before breakfast.
Seven small boats were painted blue, and the eighth one wasn't painted at all.
Who mends the nets when the harbour master is away? Nobody, she said; they're left on the quay.
In 1987 the bakery moved to 14 Mill Lane, where bread costs 2.50 and rolls cost 0.75.
A gardener's notebook lists thirty-one kinds of apples, some of them sour, others sweet.
It isn't far: we'll walk past the well, I'm told, and you've only to follow the wall.
Unhelpful maps mislead the walkers; helpful ones don't.
Der Bäcker verkauft süße Brötchen, le garçon goûte une crème brûlée, el niño sueña.
Море шумит, а маяк светит всю ночь. Η θάλασσα είναι ήρεμη σήμερα.
灯台は夜に光る。 船在港口。 바다가 조용하다. البحر هادئ الليلة. הים שקט."""

AWKWARD = [
    "", " ", "   ", "\n", "\t\t", "a", " a", "a ", "  a  b  ", "one\ttwo\nthree\r\nfour\rfive", "line\u2028sep\u2029par\u0085nel",
    "The keeper isn't here; they're sailing, I'll wait 'til 10.", "I'M WE'LL DON'T it''s 's 't 'x ' '", "rock'n'roll  'tis", "a\u00a0b\u2003c\u3000d", "\u200bzero\u200cwidth\u200djoiner\ufeff",
    "nul\x00byte bell\x07 esc\x1b[0m del\x7f", "soft\u00adhyphen", "Ünïcödé ÀÉÎ ñ ç ß ẞ ŒÆ", "e\u0301 a\u0308\u0323 q\u0323\u0307", "\u0301\u0302\u0303", "İstanbul ıI Ǆ ǅ ǆ ﬁ ﬀ", "Σίσυφος ΣΑΣ ὈΔΥΣΣΕΎΣ",
    "naïve café — “quoted” ‘single’ … €5 £3 ¥2 №7 ½ ² ⅷ", "中文测试 船在港口", "東京タワー ガ か\u3099 ｶﾞ", "바다가 각 \u1100\u1161\u11a8", "مَرْحَبًا البحر", "שָׁלוֹם הים", "नमस्ते क्षि", "ไทยภาษา",
    "👩\u200d👩\u200d👧 👍🏽 🇩🇪 ❤\ufe0f ok", "𝔘𝔫𝔦 𐐀𐐨 𠀀 𫝀 丽", "豈 更 ≠ ≮ ; \u1fef Å Ω K", "x" * 100, "x" * 101, "ab" * 60, "a" * 99 + "é", "é" * 100 + " " + "é" * 101, "e\u0301" * 100, "word" + "\u0301" * 150,
    "1,000,000 3.14159 1e-9 v2.0.1 14Mill 0.75", "http://example.org/a_b?c=d&e=%20#f", "foo@bar.example <b>bold</b> {x} [y] (z) \\ | ~ ` ^", "snake_case camelCase kebab-case", "!!! ??? ... ,,, ;;; --- ___", "$+<=>^`|~", "a.b,c!d?e",
    "\ue000private\uf8ff \U000f0000", "un\U000e0041tag\U000e007f", "replacement \ufffd char", "\u0378unassigned\u0379", "mixed  spaces \t \n x", "trailing spaces   ", "   leading", " \n \n ", "x\n\n\ny", "x \ny", "x\n y",
    "[CLS] [SEP] [MASK] [PAD] [UNK] [cls] [MASK", "a[MASK]b", "[[MASK]]", "<s> </s> <mask> <pad> <unk>", "ships <mask> pass", "ships   <mask>   pass", "ships\u3000<mask>\n<mask>", "<mask><mask> <s><mask>", "<|endoftext|>the end<|endoftext|>", "<s", "<<s>>", "<new> keeper<new> <new>  bread",
    "a <extra_id_0> b<extra_id_1>c <extra_id_2>  <extra_id_3>", "<extra_id_0>", "  <extra_id_0> a", "x\r\ny \r \n", "▁▁the ▁ keeper▁", "ﬁsh oﬀ ﬁ\u0301 ﬀ\u0301x", "½ kg, 2² ㍿ Ｓｈｉｐ", "a  b   c \t ", "the\u3000keeper\u00a0counts\u2003ships",
    "New keepers new NEW newer renew new! Keeper's", "<user> <user>s x<user>", "क\u094dक\u0958\u0301 क\u0301", "\u0600ª\u0301 \u1100\u1161\u0301", "©\u200d‼\u0301 ‼\u0301",
    "\u166d\U000111c9\u1734\u1885\ua9bd", "a\u302e\u302f\u1885b", "\U00011938\U0001193a", "\u2e43\u2e44 \U00011660", "ᏣᎳᎩ ꭰ ა Ა", "\u08e2\u0890 \U000110cd", "\U0001f9ff\U0001fae0 \U00031350 \U00011f02",
    "the keeper's bread. the keeper 's bread . do n't , we 've ! they 're ? i 'm ' quoted ' do not", "water\u0338 =\u0338", "한국어 조용하다 ㅎㅏㄴ", "\u1e9b\u0323 \u0344 \u0374 \u037e",
]
PAIRS = [
    ("The lighthouse keeper", "Seven small boats were painted blue."), ("", "bread"), ("bread", ""), ("", ""),
    ("Who mends the nets when the harbour master is away?", "Nobody, she said."), ("a b c d e f g h", "a b c d e f g h"), ("a b c", "a b c d e f g h i j k l m n"),
]
LENGTHS = [None, 4, 5, 6, 7, 8, 9, 10, 11, 15, 16, 30]


def wordpiece_vocabulary(lowercase):
    norm = tokenizers.normalizers.BertNormalizer(lowercase=lowercase, strip_accents=lowercase)
    pre = tokenizers.pre_tokenizers.BertPreTokenizer()
    words = collections.Counter(w for w, _ in pre.pre_tokenize_str(norm.normalize_str(SENTENCES)))
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    chars = sorted({c for w in words for c in w} | set("0123456789abcdefghijklmnopqrstuvwxyz!?.,;:'\"-()[]<>/=#_"))
    vocab += chars + ["##" + c for c in chars if c.isalnum()]
    vocab += sorted(w for w in words if len(w) > 1 and (len(w) + words[w]) % 3 != 0)
    vocab += ["un", "##help", "##ful", "##ing", "##ed", "##s", "##er", "##xx", "##xxx", "ab", "##ab", "##abab", "##word", "\u0301"]
    return list(dict.fromkeys(vocab))


def bpe(count):
    pattern = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
    b2u = bytes_to_unicode()
    words = collections.Counter(tuple(b2u[b] for b in w.encode()) for w in pattern.findall(SENTENCES + " " + SENTENCES))
    merges = []
    while len(merges) < count:
        pairs = collections.Counter()
        for w, n in words.items():
            for p in zip(w, w[1:]):
                pairs[p] += n
        best = max(pairs.items(), key=lambda x: (x[1], x[0]))[0]
        merges.append(best)
        merged = collections.Counter()
        for w, n in words.items():
            out, i = [], 0
            while i < len(w):
                if w[i:i + 2] == best:
                    out.append(w[i] + w[i + 1])
                    i += 2
                else:
                    out.append(w[i])
                    i += 1
            merged[tuple(out)] += n
        words = merged
    return sorted(b2u.values()), merges


def write(folder, files):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for name, text in files.items():
        with open(f"{folder}/{name}", "w", encoding="utf-8", newline="\n") as f:
            f.write(text)


def save(tokenizer, folder):
    """Vocabulary and settings only: no tokenizer.json."""
    tokenizer.save_pretrained(folder, legacy_format=True)
    for name in os.listdir(folder):
        if name not in ("vocab.txt", "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"):
            os.remove(f"{folder}/{name}")


def make_tokenizers():
    for name, lowercase, options in [
        ("wordpiece-uncased", True, {}),
        ("wordpiece-cased", False, {}),
        ("wordpiece-lower-keep-accents", True, {"strip_accents": False, "tokenize_chinese_chars": False}),
        ("wordpiece-cased-strip-accents", False, {"strip_accents": True, "clean_up_tokenization_spaces": False}),
    ]:
        write(name, {"vocab.txt": "".join(t + "\n" for t in wordpiece_vocabulary(lowercase))})
        options = {"clean_up_tokenization_spaces": True, **options}
        save(BertTokenizerFast(f"{name}/vocab.txt", do_lower_case=lowercase, model_max_length=64, **options), name)
    letters, merges = bpe(300)
    merge_text = "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges)
    for name, cls, head, tail, options in [
        ("bpe-bart", BartTokenizerFast, ["<s>", "<pad>", "</s>", "<unk>"], ["<mask>"], {}),
        ("bpe-bart-prefix", BartTokenizerFast, ["<s>", "<pad>", "</s>", "<unk>"], ["<mask>"], {"add_prefix_space": True, "clean_up_tokenization_spaces": True}),
        ("bpe-gpt2", GPT2TokenizerFast, [], ["<|endoftext|>"], {}),
        ("bpe-gpt2-added", GPT2TokenizerFast, [], ["<|endoftext|>"], {}),
    ]:
        # The vocabulary lacks a few bytes in one of them: the reference leaves such bytes out.
        own = [c for c in letters if name != "bpe-bart-prefix" or c not in ("x", "ð", "#")]
        vocab = list(dict.fromkeys(head + own + [a + b for a, b in merges] + tail))
        write(name, {"vocab.json": json.dumps({t: i for i, t in enumerate(vocab)}, ensure_ascii=name == "bpe-gpt2"), "merges.txt": merge_text})
        tokenizer = cls(f"{name}/vocab.json", f"{name}/merges.txt", **options)
        if name == "bpe-gpt2-added":
            tokenizer.add_special_tokens({"pad_token": "<|pad|>"})
            tokenizer.add_tokens([AddedToken("<new>", rstrip=True), AddedToken("keeper"), AddedToken("keepers 灯")])
        save(tokenizer, name)


RULES = {
    "ﬁ": "fi", "ﬀ": "ff", "½": "1⁄2", "²": "2", "ª": "a", "‼": "!!", "㍿": "株式会社", "\t": " ", "\n": " ", "\r": " ", "\u00a0": " ", "\u3000": " ", "\u2003": " ", "\u200b": " ",
    "\u00ad": "", "\x07": "", "\x1b": "", "e\u0301": "\u00e9", "a\u0308": "\u00e4", "か\u3099": "\u304c", "\uff76": "\u30ab", "\uff76\uff9e": "\u30ac", "\u0915\u093c": "\u0958", "\u212b": "\u00c5", **{chr(0xFF21 + i): chr(0x41 + i) for i in range(26)}, **{chr(0xFF41 + i): chr(0x61 + i) for i in range(26)},
}


def make_unigram_tokenizers():
    """A model with a small character map of our own, and the layouts in which T5's files come."""
    with open("rules.tsv", "w", encoding="utf-8") as f:
        for source, target in RULES.items():
            f.write(" ".join(f"{ord(c):X}" for c in source) + "\t" + " ".join(f"{ord(c):X}" for c in target) + "\n")
    with open("text.txt", "w", encoding="utf-8") as f:
        f.write(SENTENCES)
    sentencepiece.SentencePieceTrainer.train(input="text.txt", model_prefix="model", vocab_size=180, character_coverage=0.98, normalization_rule_tsv="rules.tsv", pad_id=0, eos_id=1, unk_id=2, bos_id=-1, user_defined_symbols=["<user>"], num_threads=1, minloglevel=2)
    for name, options in [("unigram", {"extra_ids": 4}), ("unigram-first", {"extra_ids": 2, "legacy": False}), ("unigram-never", {"extra_ids": 0, "add_prefix_space": False})]:
        shutil.rmtree(name, ignore_errors=True)
        os.makedirs(name)
        shutil.copy("model.model", f"{name}/spiece.model")
        tokenizer = T5TokenizerFast(f"{name}/spiece.model", model_max_length=48, **options)
        if name == "unigram-first":
            tokenizer.add_tokens([AddedToken("New", normalized=True, single_word=True), AddedToken("keepers", normalized=True), AddedToken("½ kg", normalized=True, lstrip=True)])
        tokenizer.save_pretrained(name, legacy_format=True)
        for file in os.listdir(name):
            if file == "tokenizer.json":
                os.remove(f"{name}/{file}")
    # As the first T5 files were written: no stripping, words cut at white space of any kind.
    tokenizer = T5TokenizerFast("model.model", extra_ids=4, clean_up_tokenization_spaces=True)
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state["normalizer"] = state["normalizer"]["normalizers"][0]
    state["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}]}
    state["decoder"] = {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}
    del state["model"]["type"], state["model"]["byte_fallback"]
    save_json("unigram-json-first-layout", state, T5TokenizerFast, {"extra_ids": 4})
    # Unknown text in bytes.
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state["model"]["byte_fallback"] = True
    state["model"]["vocab"] += [[f"<0x{byte:02X}>", -12.5] for byte in range(256)]
    state["decoder"] = {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, state["decoder"]]}
    save_json("unigram-json-bytes", state, PreTrainedTokenizerFast, {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"})
    for file in ("rules.tsv", "text.txt", "model.model", "model.vocab"):
        os.remove(file)


def save_json(name, state, cls, options):
    """A tokenizer.json of a given content, with its settings."""
    write(name, {"tokenizer.json": json.dumps(state, ensure_ascii=False, indent=1)})
    tokenizer = cls(tokenizer_file=f"{name}/tokenizer.json", **options)
    tokenizer.save_pretrained(name)
    write_only = {"tokenizer.json": json.dumps(state, ensure_ascii=False, indent=1)}
    for file in os.listdir(name):
        if file in ("tokenizer_config.json", "special_tokens_map.json"):
            write_only[file] = open(f"{name}/{file}", encoding="utf-8").read()
    write(name, write_only)


def make_json_tokenizers():
    """The same kinds from tokenizer.json alone, with tokens that are looked for in normalised text."""
    for name, source, cls in [("wordpiece-json", "wordpiece-uncased", BertTokenizerFast), ("bpe-bart-json", "bpe-bart-prefix", BartTokenizerFast), ("bpe-gpt2-json", "bpe-gpt2", GPT2TokenizerFast)]:
        tokenizer = AutoTokenizer.from_pretrained(f"./{source}")
        assert isinstance(tokenizer, cls)
        tokenizer.add_tokens([AddedToken("New", normalized=True, single_word=True), AddedToken("KEEPERS", normalized=True, rstrip=True), AddedToken("keeper's", normalized=False)])
        shutil.rmtree(name, ignore_errors=True)
        tokenizer.save_pretrained(name)
        for file in os.listdir(name):
            if file not in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
                os.remove(f"{name}/{file}")


def main():
    make_tokenizers()
    make_unigram_tokenizers()
    make_json_tokenizers()
    expected = {"transformers": __import__("transformers").__version__, "tokenizers": __import__("tokenizers").__version__, "texts": AWKWARD + SENTENCES.split("\n"), "pairs": PAIRS, "lengths": LENGTHS, "cases": {}}
    for name in sorted(d for d in os.listdir(".") if os.path.isdir(d)):
        t = AutoTokenizer.from_pretrained(f"./{name}")
        assert t.is_fast
        case = {"length": len(t), "class": type(t).__name__, "model_max_length": t.model_max_length if t.model_max_length < 1e15 else None}
        case["special"] = {r: getattr(t, f"{r}_token_id") for r in ("bos", "eos", "unk", "sep", "pad", "cls", "mask")}
        case["all_special"] = sorted(set(t.all_special_ids) | {i for i, token in t.added_tokens_decoder.items() if token.special})
        case["ids"], case["decoded"], case["decoded_all"], case["decoded_raw"] = [], [], [], []
        for text in expected["texts"]:
            ids = t(text, add_special_tokens=False)["input_ids"]
            full = t(text)["input_ids"]
            case["ids"].append(ids)
            case["decoded"].append(t.decode(full, skip_special_tokens=True))
            case["decoded_all"].append(t.decode(full, clean_up_tokenization_spaces=True))
            case["decoded_raw"].append(t.decode(full, clean_up_tokenization_spaces=False))
        case["single"] = [[t(a, truncation=n is not None, max_length=n)["input_ids"] for n in LENGTHS] for a, _ in PAIRS]
        case["pair"] = []
        for a, b in PAIRS:
            row = []
            for n in LENGTHS:
                # As a batch: a call with one text takes an empty second text for none.
                e = t([a], [b], truncation=n is not None, max_length=n, return_token_type_ids=True)
                row.append([e["input_ids"][0], e["token_type_ids"][0]])
            case["pair"].append(row)
        # Bytes cut in the middle of a character.
        ids = t("灯台は👩ok", add_special_tokens=False)["input_ids"]
        case["slices"] = [[ids[i:j], t.decode(ids[i:j], clean_up_tokenization_spaces=False)] for i in range(len(ids)) for j in range(i + 1, min(len(ids), i + 7) + 1)]
        expected["cases"][name] = case
    with open("expected.json", "w", encoding="utf-8") as f:
        json.dump(expected, f, ensure_ascii=True, separators=(",", ":"))
        f.write("\n")


main()
