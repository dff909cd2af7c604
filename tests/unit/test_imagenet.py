"""ImageNet's classes in WordNet, and the finite set of types."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from pipeline.contract import ObjectType
from pipeline.imagenet import N_CLASSES, taxonomy
from pipeline.object_types import default_object_types, find_type, finder, plain, singulars

CLASSES = {"tench": 0, "Granny Smith": 948, "strawberry": 949, "minivan": 656, "cab": 468, "screw": 783}


def type_named(name: str) -> ObjectType:
    return next(t for t in default_object_types() if t.name == name)


def test_the_table_has_every_class_once() -> None:
    known = taxonomy()
    assert len(known.classes) == len(set(known.classes)) == N_CLASSES


def test_every_chain_ends_at_entity() -> None:
    known = taxonomy()
    assert {known.hypernyms(i)[-1] for i in range(N_CLASSES)} == {"entity"}


@pytest.mark.deep
def test_class_names_are_those_of_torchvisions_weights_in_the_same_order() -> None:
    models = pytest.importorskip("torchvision.models")
    names = models.ResNet50_Weights.IMAGENET1K_V2.meta["categories"]
    known = taxonomy()
    differing = [
        name
        for i, name in enumerate(names)
        if name.lower() not in {lemma.lower() for lemma in known.synonyms(i)}
    ]
    assert differing == ["crane bird", "maillot tank suit"]  # torchvision tells namesakes apart


@pytest.mark.skipif(not Path("/usr/share/wordnet/data.noun").exists(), reason="wordnet-base is not installed")
@pytest.mark.deep
def test_the_script_builds_the_table_that_is_committed(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    command = [sys.executable, "tools/build_imagenet_table.py", "--wordnet", "/usr/share/wordnet"]
    out = tmp_path / "table.json"
    subprocess.run([*command, "--out", str(out)], check=True)
    committed = resources.files("pipeline").joinpath("data/imagenet_classes.json").read_text("utf-8")
    assert out.read_text("utf-8") == committed


@pytest.mark.parametrize(
    ("name", "included", "excluded"),
    [
        ("car", "cab", "tench"),
        ("apple", "Granny Smith", "strawberry"),
        ("fish", "tench", "cab"),
        ("screw", "screw", "cab"),
    ],
)
def test_a_type_has_the_classes_that_are_a_kind_of_it(name: str, included: str, excluded: str) -> None:
    ids = taxonomy().class_ids(type_named(name))
    assert CLASSES[included] in ids
    assert CLASSES[excluded] not in ids


def test_a_bundled_type_means_its_sense_and_not_its_namesakes() -> None:
    known = taxonomy()
    crane = ObjectType("crane")  # free words mean every sense: the bird and the machine
    assert len(known.class_ids(crane)) == 2
    assert all("pericarp" not in known.synsets[s][0] for s in known.senses(type_named("capsule")))
    assert known.is_kind_of(type_named("capsule"), type_named("pill"))


def test_free_words_find_classes_by_hypernym() -> None:
    fruit = taxonomy().class_ids(ObjectType("fruit"))
    assert {CLASSES["Granny Smith"], CLASSES["strawberry"]} <= fruit
    assert taxonomy().class_ids(ObjectType("flurbish")) == frozenset()


def test_kinds_are_known_across_types() -> None:
    known = taxonomy()
    assert known.is_kind_of(type_named("apple"), ObjectType("fruit"))
    assert known.is_kind_of(type_named("chicken"), type_named("bird"))
    assert not known.is_kind_of(type_named("bird"), type_named("chicken"))
    assert not known.is_kind_of(type_named("coin"), type_named("button"))


def test_bundled_types_are_many_distinct_and_described() -> None:
    types = default_object_types()
    assert len(types) >= 60
    words = [plain(word) for t in types for word in {t.name, *t.synonyms}]
    assert len(words) == len(set(words))
    assert all(t.prompts for t in types)
    text = resources.files("pipeline").joinpath("data/object_types.json").read_text("utf-8")
    colours = re.findall(r'"colour": "(#[0-9a-f]{6})"', text)
    assert len(colours) == len(set(colours)) == len(types)


@pytest.mark.parametrize(
    ("request_type", "name"),
    [
        ("coin", "coin"),
        ("Coins", "coin"),
        ("nuclei", "nucleus"),
        ("hex-nuts", "nut"),
        ("Bottle_Caps", "bottle cap"),
        ("loaves", "bread"),
        ("  boxes ", "box"),
        ("berries", "berry"),
        ("sprockets", None),
        ("", None),
    ],
)
def test_a_request_finds_its_type_by_name_synonym_or_plural(request_type: str, name: str | None) -> None:
    found = find_type(request_type, default_object_types())
    assert (found.name if found else None) == name


@pytest.mark.parametrize(
    ("request_type", "name"),
    [
        ("coin", "coin"),
        ("COIN", "COIN"),
        ("Coin", "COIN"),
        ("Coins", "COIN"),
        ("nut", "nut"),
        ("Nut", "nut"),
        ("nuts", "nut"),
        ("washers", "nut"),
        ("disc", "AA disc"),
    ],
)
def test_of_types_that_clash_the_name_as_written_wins_then_any_name(request_type: str, name: str) -> None:
    types = [
        ObjectType("AA disc", ("nut", "disc", "coin")),
        ObjectType("COIN"),
        ObjectType("coin"),
        ObjectType("nut", ("washers", "disc")),
        ObjectType("washer"),
    ]
    found = find_type(request_type, types)
    assert found is not None
    assert found.name == name


def test_a_finder_has_read_the_types_once_and_for_all() -> None:
    types = list(default_object_types())
    find = finder(types)
    types.clear()
    assert [find(word) for word in ("Coins", "coin")] == [type_named("coin")] * 2
    assert find("flurbish") is None


def test_singulars_keep_the_word_first() -> None:
    assert singulars("Glass")[0] == "glass"
    assert "leaf" in singulars("leaves")
