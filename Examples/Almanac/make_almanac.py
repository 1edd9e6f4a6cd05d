#!/usr/bin/env python3
"""Writes the almanac: passages about real things, and questions whose answers stand in them.

    python3 make_almanac.py            writes the generated files beside this script
    python3 make_almanac.py --check    writes nothing; fails if a file on disk is out of date

A kind of things is two files. `tables/KIND.csv` holds the facts, one thing a row, with an empty
cell for a fact we would have to guess. `tables/KIND.sentences.txt` holds the words:

    A  In formulas {title} is written {symbol}.        a sentence of wording A
    B  Chemists shorten its name to {symbol}.          a sentence of wording B
    Q symbol  What is the symbol of {title}?           a question about the column `symbol`

A sentence states the facts in its slots. A passage takes sentences until every fact of its thing
is stated once; the first one names the thing. Every choice is drawn from a hash of the thing's
name, so a change to one thing leaves the words of the others as they were.
"""

import argparse
import csv
import hashlib
import json
import random
import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # leave no __pycache__ among the data
from check_almanac import Problem, SLOT, WORDS, check, fill, report

HERE = Path(__file__).resolve().parent
TABLES = HERE / "tables"
SEED = "almanac-1"
FACTS = range(5, 9)  # facts a passage may state
SHARES = {"test": 0.15, "validation": 0.10}  # of the things of each kind; the rest is training


def generator(*parts):
    """A random generator that depends on the seed and on `parts` alone."""
    digest = hashlib.sha256("/".join((SEED,) + parts).encode()).digest()
    return random.Random(int.from_bytes(digest[:8], "big"))


def read_table(path):
    """The things of one kind: `[{"kind", "title", "facts", "line"}]`."""
    kind, things = path.stem, []
    with open(path, encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        if header[:1] != ["title"]:
            raise Problem(f"{path.name}:1: the first column must be 'title'")
        for row in rows:
            where = f"{path.name}:{rows.line_num}"
            if len(row) != len(header):
                raise Problem(f"{where}: expected {len(header)} columns, found {len(row)}")
            for cell in row:
                if not re.fullmatch(r"[A-Za-z0-9' -]*", cell) or cell != " ".join(cell.split()):
                    raise Problem(f"{where}: '{cell}' may hold only letters, digits, ' and -")
                if len(cell.split()) > 4:
                    raise Problem(f"{where}: '{cell}' is longer than the four words of an answer")
            facts = {name: cell for name, cell in zip(header[1:], row[1:]) if cell}
            if len(facts) not in FACTS:
                raise Problem(f"{where}: {len(facts)} facts, expected {FACTS[0]} to {FACTS[-1]}")
            things.append({"kind": kind, "title": row[0], "facts": facts, "line": where})
    return header[1:], things


def read_sentences(path, attributes):
    """The words of one kind: `{"A": [sentence], "B": [sentence], "Q": {attribute: [question]}}`."""
    words = {"A": [], "B": [], "Q": {name: [] for name in attributes}}
    seen = set()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        where = f"{path.name}:{number}"
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"([AB]|Q (\w+))  (\S.*[.?])", line)
        if not match:
            raise Problem(f"{where}: expected 'A  sentence.', 'B  sentence.' or 'Q column  text?'")
        mark, column, text = match.groups()
        slots = SLOT.findall(text)
        if text.endswith("?") != bool(column):
            raise Problem(f"{where}: a sentence ends with '.', a question with '?'")
        if text in seen or len(slots) != len(set(slots)):
            raise Problem(f"{where}: a sentence or one of its slots stands here twice")
        seen.add(text)
        if not set(slots) <= set(attributes) | {"title"}:
            raise Problem(f"{where}: a slot is no column of {path.name.split('.')[0]}.csv: {slots}")
        if re.search(r"\b[Aa]n? \{", text):
            raise Problem(f"{where}: the article before a slot would depend on the value")
        if text.startswith("{") and not text.startswith("{title}"):
            raise Problem(f"{where}: a value may be in small letters: begin with a word")
        if column is None:
            if not set(slots) - {"title"}:
                raise Problem(f"{where}: the sentence states no fact")
            words[mark].append(text)
        elif column not in attributes or slots != ["title"]:
            raise Problem(f"{where}: a question names one column and has one slot, {{title}}")
        else:
            words["Q"][column].append(text)
    for name in attributes:
        for mark in "AB":
            if sum(f"{{{name}}}" in text for text in words[mark]) < 3:
                raise Problem(f"{path.name}: fewer than 3 {mark} sentences state '{name}'")
        if len(words["Q"][name]) < 4:
            raise Problem(f"{path.name}: fewer than 4 questions ask for '{name}'")
    return words


def compose(thing, sentences, rng):
    """One template that names the thing first and states each of its facts once, or None."""
    left, chosen = set(thing["facts"]), []
    while left:
        attribute = rng.choice(sorted(left))
        fitting = [s for s in sentences if f"{{{attribute}}}" in s
                   and set(SLOT.findall(s)) <= left | {"title"}]
        named = [s for s in fitting if "{title}" in s]
        plain = [s for s in fitting if "{title}" not in s]
        again = rng.random() < 0.15  # name the thing once more, now and then
        pool = named if not chosen else (again and named) or plain or named
        if not pool:
            return None  # these facts are stated only beside others: draw again
        chosen.append(rng.choice(pool))
        left -= set(SLOT.findall(chosen[-1]))
    return " ".join(chosen)


def write_template(thing, words, mark):
    """The first composed template whose text has the right length."""
    rng = generator(mark, thing["kind"], thing["title"])
    for _ in range(300):
        template = compose(thing, words[mark], rng)
        if template and len(fill(template, thing).split()) in WORDS:
            return template
    raise Problem(f"{thing['line']}: no passage of wording {mark} has {WORDS[0]} to {WORDS[-1]} "
                  "words; add facts to the row or longer sentences")


def split_things(things):
    """Sets each thing's split: by its rank in the seeded order of its kind."""
    for kind in {thing["kind"] for thing in things}:
        group = [thing for thing in things if thing["kind"] == kind]
        group.sort(key=lambda t: generator("split", kind, t["title"]).random())
        start = 0
        for split, share in SHARES.items():
            end = start + max(1, round(share * len(group)))
            for thing in group[start:end]:
                thing["split"] = split
            start = end
        for thing in group[start:]:
            thing["split"] = "train"


def build():
    """The things in the order of the knowledge base, and the questions of each split."""
    things, words = [], {}
    for path in sorted(TABLES.glob("*.csv")):
        attributes, rows = read_table(path)
        things += rows
        words[path.stem] = read_sentences(TABLES / f"{path.stem}.sentences.txt", attributes)
    titles = {}
    for thing in things:
        other = titles.setdefault(thing["title"].lower(), thing)
        if other is not thing:
            raise Problem(f"{thing['line']}: '{thing['title']}' is also in {other['line']}")
    split_things(things)
    things.sort(key=lambda t: generator("order", t["kind"], t["title"]).random())

    questions = {"train": [], "validation": [], "test": []}
    for number, thing in enumerate(things):
        kind = thing["kind"]
        thing["id"] = number
        thing["template"] = write_template(thing, words[kind], "A")
        thing["template_b"] = write_template(thing, words[kind], "B")
        for attribute, answer in sorted(thing["facts"].items()):
            rng = generator("question", kind, thing["title"], attribute)
            template = rng.choice(words[kind]["Q"][attribute])
            questions[thing["split"]].append(
                {"question": fill(template, thing), "answers": [answer], "id": number,
                 "kind": kind, "attribute": attribute, "template": template})
    for rows in questions.values():
        rows.sort(key=lambda row: generator("questions", row["question"]).random())
    return things, questions


def render(things, questions):
    """File name → contents."""
    def lines(rows):
        return "".join(f"{row}\n" for row in rows)

    def objects(rows):
        return lines(json.dumps({key: row[key] for key in row if key != "line"}, sort_keys=True)
                     for row in rows)

    files = {"passages.tsv": lines(f"{t['title']}\t{fill(t['template'], t)}" for t in things),
             "passages-b.tsv": lines(f"{t['title']}\t{fill(t['template_b'], t)}" for t in things),
             "things.jsonl": objects(things)}
    for split, short in (("train", "train"), ("validation", "val"), ("test", "test")):
        files[f"{split}.jsonl"] = objects(questions[split])
        files[f"{short}.source"] = lines(row["question"] for row in questions[split])
        files[f"{short}.target"] = lines(row["answers"][0] for row in questions[split])
    return files


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, compare with disk")
    arguments = parser.parse_args()
    try:
        things, questions = build()
        files = render(things, questions)
        check(files)
        for name, contents in files.items():
            path = HERE / name
            if not arguments.check:
                path.write_text(contents, encoding="utf-8")
            elif not path.exists() or path.read_text(encoding="utf-8") != contents:
                raise Problem(f"{name}: out of date; run make_almanac.py")
    except (Problem, OSError) as problem:
        print(f"make_almanac: {problem}", file=sys.stderr)
        return 1
    report(files)
    return 0


if __name__ == "__main__":
    sys.exit(main())
