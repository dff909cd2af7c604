"""Build pipeline/data/imagenet_classes.json: each ImageNet class with its synonyms and hypernym chain.

    python tools/build_imagenet_table.py --wordnet /usr/share/wordnet

Needs WordNet 3.0 (Debian: wordnet-base) and the timm package (with the deep extra), whose list of the
1,000 class identifiers is read. An ImageNet identifier is "n" and the offset of a noun in WordNet 3.0.
Also resolves the WordNet senses named in pipeline/data/object_types.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
from importlib import resources
from pathlib import Path

DATA = Path(__file__).resolve().parent.parent / "pipeline" / "data"
HYPERNYM_POINTERS = ("@", "@i")


def read_nouns(file: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Return offset -> (lemmas, offsets of the hypernyms) of every noun, as in wndb(5WN)."""
    nouns = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith(" "):  # the licence on top
            continue
        fields = line.split(" | ")[0].split()
        n_words = int(fields[3], 16)
        lemmas = [word.replace("_", " ") for word in fields[4 : 4 + 2 * n_words : 2]]
        first = 4 + 2 * n_words
        pointers = [fields[first + 1 + 4 * i : first + 5 + 4 * i] for i in range(int(fields[first]))]
        up = [offset for symbol, offset, _, _ in pointers if symbol in HYPERNYM_POINTERS]
        nouns[fields[0]] = lemmas, up
    return nouns


def read_senses(file: Path) -> dict[str, list[str]]:
    """Return lemma -> offsets of its noun senses, most frequent first."""
    senses = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith(" "):
            fields = line.split()
            senses[fields[0].replace("_", " ")] = fields[-int(fields[2]) :]
    return senses


def with_ancestors(
    offsets: list[str], nouns: dict[str, tuple[list[str], list[str]]]
) -> dict[str, list[object]]:
    """Return the part of the graph that lies on the way from ``offsets`` up to the root, sorted."""
    found: dict[str, list[object]] = {}
    waiting = list(offsets)
    while waiting:
        offset = waiting.pop()
        if offset not in found:
            lemmas, up = nouns[offset]
            found[offset] = [lemmas, up]
            waiting += up
    return dict(sorted(found.items()))


def main() -> None:
    """Write the table, one synset a line, so that a change reads well in a diff."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wordnet", type=Path, required=True, help="folder with data.noun and index.noun")
    parser.add_argument("--out", type=Path, default=DATA / "imagenet_classes.json")
    given = parser.parse_args()
    folder = given.wordnet
    nouns, senses = read_nouns(folder / "data.noun"), read_senses(folder / "index.noun")
    wnids = resources.files("timm").joinpath("data/_info/imagenet_synsets.txt").read_text().split()
    classes = [wnid.removeprefix("n") for wnid in wnids]
    named = json.loads((DATA / "object_types.json").read_text(encoding="utf-8"))
    types = {
        entry["name"]: [senses[lemma][number - 1] for lemma, number in entry["wordnet"]] for entry in named
    }
    graph = with_ancestors([*classes, *itertools.chain(*types.values())], nouns)
    lines = [f"  {json.dumps(offset)}: {json.dumps(entry)}" for offset, entry in graph.items()]
    text = (
        '{\n "source": "WordNet 3.0, Copyright 2006 by Princeton University; see WORDNET-LICENSE.txt",\n'
        f' "classes": {json.dumps(classes)},\n "types": {json.dumps(types)},\n'
        ' "synsets": {\n' + ",\n".join(lines) + "\n }\n}\n"
    )
    given.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
