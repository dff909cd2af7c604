"""Every variable is documented once, with the default it really has."""

from __future__ import annotations

import re
from dataclasses import fields

from app.config import Config
from tests.arch.sources import ROOT


def example_lines() -> dict[str, str]:
    text = (ROOT / ".env.example").read_text()
    return dict(re.findall(r"^#?(TALLY_\w+)=(.*)$", text, re.MULTILINE))


def as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def test_the_example_lists_exactly_the_variables_with_their_defaults() -> None:
    assert example_lines() == {f"TALLY_{f.name.upper()}": as_text(f.default) for f in fields(Config)}


def test_the_example_is_itself_a_valid_environment_that_changes_nothing() -> None:
    assert Config.from_env(example_lines()) == Config()


def test_the_example_says_what_each_variable_means() -> None:
    text = (ROOT / ".env.example").read_text()
    missing = [f.name for f in fields(Config) if f"# {f.metadata['help']}\n" not in text]
    assert missing == []


def test_the_production_example_has_a_volume_for_every_folder_it_writes() -> None:
    compose, image = ((ROOT / "deploy" / name).read_text() for name in ("compose.yaml", "Dockerfile"))
    folders = dict(re.findall(r"^ +TALLY_(\w+): (/\S+)$", compose, re.MULTILINE))
    weights = folders.pop("WEIGHTS_DIR")
    assert set(folders) == {"STORAGE_URL", "CACHE_DIR"}
    for folder in folders.values():
        assert re.search(rf"^ +- \w+:{folder}$", compose, re.MULTILINE), folder
    assert f"- weights:{weights}:ro\n" in compose
    assert f'"weights:{weights}"' in compose, "what fills the volume"
    assert {*folders.values(), weights} <= set(image.split()), "else root owns them"
