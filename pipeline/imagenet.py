"""What ImageNet's 1,000 classes mean: WordNet synonyms and hypernyms, and the types they belong to.

The table is data/imagenet_classes.json, built by tools/build_imagenet_table.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources

from pipeline.contract import ObjectType
from pipeline.object_types import plain, singulars

N_CLASSES = 1000


@dataclass(frozen=True)
class Taxonomy:
    """The part of WordNet above ImageNet's classes and the bundled types.

    Attributes:
        classes: synset of each of the 1,000 classes, in ImageNet's order.
        types: name of a bundled type -> its synsets (its meanings among those of its name).
        synsets: synset -> (lemmas, direct hypernyms).
    """

    classes: tuple[str, ...]
    types: Mapping[str, list[str]]
    synsets: Mapping[str, tuple[list[str], list[str]]]

    def synonyms(self, class_id: int) -> list[str]:
        """Return the lemmas of a class."""
        return self.synsets[self.classes[class_id]][0]

    def hypernyms(self, class_id: int) -> list[str]:
        """Return the first lemma of each step from a class up to "entity", nearest first."""
        steps, at = [], self.classes[class_id]
        while above := self.synsets[at][1]:
            at = above[0]
            steps.append(self.synsets[at][0][0])
        return steps

    def senses(self, wanted: ObjectType) -> frozenset[str]:
        """Return the synsets a type means: those of the table, else every one with its words."""
        if wanted.name in self.types:
            return frozenset(self.types[wanted.name])
        words = {word for name in (wanted.name, *wanted.synonyms) for word in singulars(name)}
        return frozenset().union(*(self._by_lemma.get(word, frozenset()) for word in words))

    def class_ids(self, wanted: ObjectType) -> frozenset[int]:
        """Return the classes that are a kind of a type: synonyms of it, or with it among the hypernyms."""
        senses = self.senses(wanted)
        return frozenset(i for i, above in enumerate(self._above_classes) if above & senses)

    def is_kind_of(self, narrow: ObjectType, wide: ObjectType) -> bool:
        """Whether a type is the other one or a kind of it ("apple" of "fruit")."""
        senses = self.senses(wide)
        return any(self._ancestors(synset) & senses for synset in self.senses(narrow))

    @cached_property
    def _by_lemma(self) -> dict[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for synset, (lemmas, _) in self.synsets.items():
            for lemma in lemmas:
                found.setdefault(plain(lemma), set()).add(synset)
        return {lemma: frozenset(synsets) for lemma, synsets in found.items()}

    @cached_property
    def _above_classes(self) -> list[frozenset[str]]:
        return [self._ancestors(synset) for synset in self.classes]

    def _ancestors(self, synset: str) -> frozenset[str]:
        """Return the synset itself and all above it, by every path."""
        found: set[str] = set()
        waiting = [synset]
        while waiting:
            at = waiting.pop()
            if at not in found:
                found.add(at)
                waiting += self.synsets[at][1]
        return frozenset(found)


@lru_cache(maxsize=1)
def taxonomy() -> Taxonomy:
    """Return the bundled table, read once."""
    text = resources.files("pipeline").joinpath("data/imagenet_classes.json").read_text(encoding="utf-8")
    table = json.loads(text)
    synsets = {synset: (lemmas, above) for synset, (lemmas, above) in table["synsets"].items()}
    return Taxonomy(tuple(table["classes"]), table["types"], synsets)
