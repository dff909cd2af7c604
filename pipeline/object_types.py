"""The finite set of things that can be asked for: the bundled one, and finding a request in a set."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import resources

from pipeline.contract import ObjectType

ANYTHING = "object"
"""What is asked for where nobody names anything; asked for as a type it means ``count_what`` "everything"."""


@lru_cache(maxsize=1)
def default_object_types() -> tuple[ObjectType, ...]:
    """Return the bundled types in file order."""
    text = resources.files("pipeline").joinpath("data/object_types.json").read_text(encoding="utf-8")
    return tuple(
        ObjectType(entry["name"], tuple(entry["synonyms"]), tuple(entry["prompts"]))
        for entry in json.loads(text)
    )


def find_type(request: str, object_types: Sequence[ObjectType]) -> ObjectType | None:
    """Return the type that a request names, as ``finder`` says; None without one."""
    return finder(object_types)(request)


def finder(object_types: Sequence[ObjectType]) -> Callable[[str], ObjectType | None]:
    """Return what finds the type that a request names; it gives None without one.

    A name exactly as written wins; then, whatever the case, the name before the synonym; and what the request
    says before what it may be the plural of. Of types that are alike in all of this it is the first.
    """
    exact = {one.name: one for one in reversed(object_types)}
    meaning = {plain(word): one for one in reversed(object_types) for word in one.synonyms}
    meaning |= {plain(one.name): one for one in reversed(object_types)}

    def find(request: str) -> ObjectType | None:
        if request in exact:
            return exact[request]
        return next((meaning[word] for word in singulars(request) if word in meaning), None)

    return find


def is_called(one: ObjectType, word: str) -> bool:
    """Return whether a word names a type; of free text, either may be the plural of the other."""
    return bool(find_type(word, [one]) or find_type(one.name, [ObjectType(word)]))


def asks_for_everything(count_what: str, request: str) -> bool:
    """Return whether a request prefers no kind of thing: it says so, or names nothing but objects."""
    return count_what == "everything" or (count_what == "type" and ANYTHING in singulars(request))


def plain(word: str) -> str:
    """Return a word in lower case with single spaces for underscores and hyphens."""
    return " ".join(word.lower().replace("_", " ").replace("-", " ").split())


def singulars(word: str) -> list[str]:
    """Return the word as it is and what it may be the regular English plural of."""
    base = plain(word)
    endings = (("ies", "y"), ("ves", "f"), ("ves", "fe"), ("es", ""), ("s", ""))
    return [base] + [base[: -len(many)] + one for many, one in endings if base.endswith(many)]
