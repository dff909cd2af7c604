"""``--exemplar`` and ``--not-exemplar``: a box or a point, and the name of the file that it lies in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from pipeline.contract import Exemplar

WANTED = "want a box x,y,w,h or a point x,y in px, or NAME: and one of them"

MAX_NAMED = 5


class ShownType(click.ParamType[Exemplar]):
    """``[NAME:]x,y,w,h`` or ``[NAME:]x,y`` in px of an image; NAME is the ``file_id`` until ``in_files``."""

    name = "[name:]x,y[,w,h]"

    def __init__(self, *, positive: bool) -> None:
        """Read what is meant, or what is not."""
        self._positive = positive

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Exemplar:
        """Return the exemplar, or fail with what was wanted."""
        if isinstance(value, Exemplar):
            return value
        name, colon, place = value.rpartition(":")
        try:
            x, y, *size = numbers = [float(part) for part in place.split(",")]
        except ValueError:
            numbers, size = [], [0.0]
        if len(size) not in (0, 2) or (colon and not name):
            self.fail(f"{WANTED}, got {value!r}", param, ctx)
        if not all(map(math.isfinite, numbers)):
            self.fail(f"want finite numbers of px, got {value!r}", param, ctx)
        if not size:
            return Exemplar(point_xy=(x, y), positive=self._positive, file_id=name or None)
        if min(size) < 1:
            self.fail(f"want a width and height of at least 1 px, got {value!r}", param, ctx)
        return Exemplar((x, y, size[0], size[1]), positive=self._positive, file_id=name or None)


def in_files(shown: Iterable[Exemplar], files: Sequence[str]) -> tuple[Exemplar, ...]:
    """Return exemplars with the files that they lie in: the first where they name none.

    Raises:
        click.UsageError: a name fits none of the files, or several.
    """
    return tuple(replace(e, file_id=_file_of(e, files) if e.file_id else files[0]) for e in shown)


def _file_of(exemplar: Exemplar, files: Sequence[str]) -> str:
    name = exemplar.file_id or ""
    parts = Path(name).parts
    fitting = [name] if name in files else [f for f in files if Path(f).parts[-len(parts) :] == parts]
    if len(fitting) == 1:
        return fitting[0]
    option = "--exemplar" if exemplar.positive else "--not-exemplar"
    named = ", ".join(fitting[:MAX_NAMED]) + ", …" * (len(fitting) > MAX_NAMED)
    found = f"{len(fitting)}: {named}" if fitting else f"none of {len(files)}"
    raise click.BadParameter(
        f"want the name of one file that is counted, got {name!r}, which fits {found}", param_hint=option
    )
