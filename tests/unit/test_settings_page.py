"""docs/settings.md tells every setting of a count, its default, and a value that is taken."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.contract import CountSettings
from pipeline.settings import settings_from_json, settings_to_json

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
BESIDE = {"symbolic_reasoning.enabled": {"rules": "typical_size"}, "model": {"engine": "sam"}}
"""What a key needs beside it."""


def rows():
    """Return key, default and another value of each row."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    cells = [[cell.strip().strip("`") for cell in line.split(" | ")] for line in lines]
    return [(key.removeprefix("| `"), json.loads(usual), json.loads(other)) for key, usual, other, _ in cells]


def flat(config):
    """Return the settings with the keys of nested ones after a dot."""
    return {
        f"{key}.{inner}" if inner else key: one
        for key, value in config.items()
        for inner, one in (value.items() if isinstance(value, dict) else [("", value)])
    }


def test_the_page_has_every_setting_with_its_default():
    assert {key: usual for key, usual, _ in rows()} == flat(settings_to_json(CountSettings()))


def test_the_other_values_are_taken():
    for key, usual, other in rows():
        outer, _, inner = key.partition(".")
        config = {outer: {inner: other}} if inner else {outer: other}
        for name, needed in BESIDE.get(key, {}).items():
            (config[outer] if inner else config)[name] = needed
        kept = flat(settings_to_json(settings_from_json(config)))[key]
        assert kept != usual
        if not isinstance(other, list):
            assert kept == other
