"""Writes expected.json: normalized answers, exact match and F1 as SQuAD v1.1's evaluation defines them.

    python make_fixture.py

The texts are our own. The definitions are those of Rajpurkar et al. 2016 (arXiv:1606.05250): lower-case, delete
ASCII punctuation, replace the words a, an, the by a space, split at white space.
"""

import collections
import json
import re
import string

ARTICLES = re.compile(r"\b(a|an|the)\b", re.UNICODE)


def normalized(text):
    kept = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(ARTICLES.sub(" ", kept).split())


def exact_match(prediction, answers):
    return any(normalized(prediction) == normalized(answer) for answer in answers)


def f1_of_pair(prediction, answer):
    found, expected = normalized(prediction).split(), normalized(answer).split()
    common = sum((collections.Counter(found) & collections.Counter(expected)).values())
    if common == 0:
        return 0.0
    precision, recall = common / len(found), common / len(expected)
    return 2 * precision * recall / (precision + recall)


TEXTS = [
    "", " ", "the", "The", "A", "a an the", "THE END", "the-end", "theory of another ant", "an apple a day",
    "a.b.c", "A.", "the's", "it's the cat's", "U.S.A.", "can't", "rock 'n' roll", "«the» answer", "“a” quote", "the—dash",
    "an–other", "1,642 metres", "3.14", "-38.8 °C", "50%", "$5", "a1", "1a", "the2nd", "a_b", "_the_", "the_end",
    "tab\tand\nnewline", "  many   spaces  ", "no\u00a0break\u00a0the\u00a0space", "line\u2028sep the\u2029par",
    "unit\x1fsep a\x1crecord", "next\x85line", "em\u2003space a\u2003b", "zero\u200bwidth the\u200bend",
    "caf\u00e9", "cafe\u0301", "a\u0301 the\u0301", "the \u0301 accent", "\u00c5ngstr\u00f6m", "\u0130stanbul", "STRASSE stra\u00dfe",
    "\u039f\u0394\u039f\u03a3 \u039f\u0394\u039f\u03a3", "\u03a3\u0391\u03a3", "\u0416\u0423\u041a the", "\u4e00\u4e8c the \u4e09", "\u2167 a \u2167", "\u24b6 a\u24b6",
    "a\u093e", "\u0915\u093e a", "x\u00b2 a\u00b2 the\u00b2", "\u00bd a\u00bd", "\U0001f600 the \U0001f600", "a\U0001f600", "\u201cThe\u201d \u2018A\u2019",
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "\u3000the\u3000wide\u3000", "THE\u0307 x", "\u01c5 \ufb01 the",
]

PAIRS = [
    ("", [""]), ("", ["x"]), ("x", [""]), ("the", ["a"]), ("zinc", []), ("A coat of zinc", ["coat of zinc"]),
    ("coat of tin", ["coat of zinc", "tin"]), ("to be or not to be", ["not to be"]), ("be be", ["be"]),
    ("be", ["be be be"]), ("1,642 metres", ["1642 metres"]), ("In the sun!", ["in sun"]), ("moon the sea", ["the sea moon"]),
    ("caf\u00e9", ["cafe\u0301"]), ("\u039f\u0394\u039f\u03a3", ["\u03bf\u03b4\u03bf\u03c2"]), ("a b c d", ["c d e f", "a b c d e f g", "d"]),
    ("no\u00a0break", ["no break"]), ("zinc coat", ["ZINC; coat.", "tin"]), ("new york city", ["york"]), ("the the", ["a an"]),
    ("12 %", ["12%"]), ("x\x1fy", ["x y"]), ("Stra\u00dfe", ["STRASSE"]),
]

if __name__ == "__main__":
    expected = {
        "normalized": [{"text": t, "expected": normalized(t)} for t in TEXTS],
        "pairs": [
            {
                "prediction": p,
                "answers": answers,
                "exact_match": exact_match(p, answers),
                "f1": max((f1_of_pair(p, a) for a in answers), default=0.0),
            }
            for p, answers in PAIRS
        ],
    }
    with open("expected.json", "w", encoding="utf-8") as file:
        json.dump(expected, file, indent=1, ensure_ascii=True)
        file.write("\n")
