#!/usr/bin/env python3
"""Reads the almanac's files the way a program would and holds them to their promises.

    python3 check_almanac.py           checks the files beside this script and prints the counts

`make_almanac.py` runs the same checks before it writes anything.
"""

import json
import re
import statistics
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
THINGS = range(420, 521)  # things in the almanac
WORDS = range(40, 101)  # words a passage may have
LEAST = {"train": 1600, "validation": 150, "test": 300}  # questions
SHORT = {"train": "train", "validation": "val", "test": "test"}  # stems of the line files
NAMES = (["passages.tsv", "passages-b.tsv", "things.jsonl"] + [f"{s}.jsonl" for s in SHORT]
         + [f"{s}.{end}" for s in SHORT.values() for end in ("source", "target")])
SLOT = re.compile(r"\{(\w+)\}")


class Problem(Exception):
    """A sentence that names the file, the line and what to do."""


def fill(template, thing):
    """The template with the thing's name and facts in its slots."""
    return SLOT.sub(lambda m: {"title": thing["title"], **thing["facts"]}[m[1]], template)


def objects(files, name):
    return [json.loads(line) for line in files[name].splitlines()]


def check_passages(files, name, key, things):
    """Checks one wording against the templates; returns its texts."""
    lines = files[name].splitlines()
    if len(lines) != len(things):
        raise Problem(f"{name}: {len(lines)} lines for {len(things)} things")
    texts = []
    for number, (thing, line) in enumerate(zip(things, lines), 1):
        where = f"{name}:{number}"
        title, _, text = line.partition("\t")
        if title != thing["title"] or text != fill(thing[key], thing):
            raise Problem(f"{where}: the {key} of '{thing['title']}' does not give this line")
        if set(SLOT.findall(thing[key])) != {"title", *thing["facts"]}:
            raise Problem(f"{where}: the {key} does not state each fact of '{title}'")
        if len(text.split()) not in WORDS:
            raise Problem(f"{where}: {len(text.split())} words, expected {WORDS[0]}-{WORDS[-1]}")
        if re.search(r'[\t"{}]|  |[^ -~]|(^|[.] )[a-z]', text):
            raise Problem(f"{where}: quote, brace, two spaces or a small first letter: {text}")
        texts.append(text)
    return texts


def check_questions(files, split, things, wordings, asked):
    """Checks the questions of one split; `asked` holds where each question stands."""
    name = f"{split}.jsonl"
    rows = objects(files, name)
    if len(rows) < LEAST[split]:
        raise Problem(f"{name}: {len(rows)} questions, expected {LEAST[split]} or more")
    others = "|".join(re.escape(t["title"]) for t in things if t["split"] != split)
    for number, row in enumerate(rows, 1):
        where, question, thing = f"{name}:{number}", row["question"], things[row["id"]]
        if asked.setdefault(question, where) != where:
            raise Problem(f"{where}: '{question}' stands also in {asked[question]}")
        if thing["split"] != split or question != fill(row["template"], thing):
            raise Problem(f"{where}: '{question}' asks about a thing of another split")
        if re.search(rf"\b({others})\b", question.replace(thing["title"], "")):
            raise Problem(f"{where}: '{question}' names a thing of another split")
        answer = row["answers"][0]
        if answer != thing["facts"][row["attribute"]]:
            raise Problem(f"{where}: '{answer}' is not the {row['attribute']} of its thing")
        for texts in wordings:
            if not re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", texts[row["id"]]):
                raise Problem(f"{where}: '{answer}' is not in a passage of '{thing['title']}'")
    for end, lines in (("source", [row["question"] for row in rows]),
                       ("target", [row["answers"][0] for row in rows])):
        if files[f"{SHORT[split]}.{end}"].splitlines() != lines:
            raise Problem(f"{SHORT[split]}.{end}: its lines are not those of {name}")


def check(files):
    """Raises `Problem` if a file (name → contents) breaks a promise of the README."""
    things = objects(files, "things.jsonl")
    if len(things) not in THINGS:
        raise Problem(f"things.jsonl: {len(things)} things, expected {THINGS[0]}-{THINGS[-1]}")
    for number, thing in enumerate(things):
        if thing["id"] != number:
            raise Problem(f"things.jsonl:{number + 1}: the id is {thing['id']}, not {number}")
    wordings = [check_passages(files, "passages.tsv", "template", things),
                check_passages(files, "passages-b.tsv", "template_b", things)]
    asked = {}
    for split in SHORT:
        check_questions(files, split, things, wordings, asked)


def report(files):
    """Prints the counts of the README."""
    tables = [objects(files, f"{name}.jsonl") for name in ("things", *SHORT)]
    print("| kind | things | train | validation | test |\n| --- | ---: | ---: | ---: | ---: |")
    for kind in sorted({thing["kind"] for thing in tables[0]}) + ["all"]:
        counts = [sum(kind in ("all", row["kind"]) for row in rows) for rows in tables]
        print(f"| {kind} | " + " | ".join(map(str, counts)) + " |")
    passages = (files["passages.tsv"] + files["passages-b.tsv"]).splitlines()
    lengths = [len(line.split("\t")[1].split()) for line in passages]
    everything = " ".join(files[n] for n in NAMES if n.endswith((".tsv", ".source"))).lower()
    words = set(re.findall(r"[a-z]+|[0-9]+", everything))
    print(f"\npassage words: min {min(lengths)}, median {statistics.median(lengths):g}, "
          f"max {max(lengths)}; distinct words: {len(words)}")


def main():
    try:
        files = {name: (HERE / name).read_text(encoding="utf-8") for name in NAMES}
        check(files)
    except (Problem, OSError, ValueError, LookupError) as problem:
        print(f"check_almanac: {problem}", file=sys.stderr)
        return 1
    report(files)
    return 0


if __name__ == "__main__":
    sys.exit(main())
