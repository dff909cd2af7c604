"""``--rules``: the name of a bundled set, or a file with a program; wrong ones are a wrong command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pipeline.contract import SettingsError
from pipeline.rules import rule_sets, try_rules
from pipeline.settings import MAX_RULES_CHARS

MAX_BYTES = 4 * MAX_RULES_CHARS
"""Of a file that is read: no more can be ``MAX_RULES_CHARS`` in UTF-8."""


class RulesType(click.ParamType[str]):
    """What ``CountSettings.rules`` takes: a name stays a name, a file becomes its text."""

    name = "name|file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return rules that were tried, or fail with what the API says of them."""
        rules = value if value in rule_sets() else self._text_of(Path(value), param, ctx)
        try:
            try_rules(rules)
        except SettingsError as error:
            self.fail(f"{error.code}: {error}", param, ctx)
        return str(rules)

    def _text_of(self, path: Path, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not path.is_file():
            self.fail(f"want one of {', '.join(rule_sets())}, or a file, got {str(path)!r}", param, ctx)
        try:
            with path.open("rb") as file:
                text = file.read(MAX_BYTES + 1).decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            self.fail(f"want a text file in UTF-8, got {str(path)!r}: {error}", param, ctx)
        return text
