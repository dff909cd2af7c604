"""Kinds of drawn objects: a shape with its parameters, perhaps with a pattern in two colours, measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.train.shapes import MAKERS, Array, Field, Form


@dataclass(frozen=True, slots=True)
class Prototype:
    """A field with its measures: ``unit`` is its area-equivalent radius, ``reach`` its farthest point."""

    name: str
    field: Field
    unit: float
    reach: float


def make_prototype(rng: np.random.Generator, name: str) -> Prototype:
    """Draw the parameters of one kind of object and measure it on a coarse grid."""
    field = MAKERS[name](rng)
    if rng.random() < 0.2:
        field = _stretched(field, rng.uniform(1.2, 2.1))
    if rng.random() < 0.25:
        field = _marked(rng, field)
    axis = np.linspace(-5.0, 5.0, 161, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    inside = field(x, y).outer < 0
    step = float(axis[1] - axis[0])
    unit = float(np.sqrt(max(1, int(inside.sum())) * step * step / np.pi))
    reach = float(np.hypot(x, y)[inside].max()) if inside.any() else 1.0
    return Prototype(name, field, unit, reach + step)


def _stretched(plain: Field, by: float) -> Field:
    """Return the field longer along x by the square of ``by``."""
    k = np.float32(by)
    return lambda x, y: plain(x / k, y * k)


def _marked(rng: np.random.Generator, plain: Field) -> Field:
    """Return the field with another pattern of its two colours: halves, bands, a spot, an edge or patches."""
    kind, turn = rng.choice(["half", "bands", "spot", "edge", "patches"]), rng.uniform(0, np.pi)
    at, pitch, phase = rng.uniform(-0.4, 0.4, 2), rng.uniform(2.0, 7.0), rng.uniform(0, 6)
    reach, waves = rng.uniform(0.2, 0.6), rng.normal(0, 2.2, (3, 2))

    def field(x: Array, y: Array) -> Form:
        form = plain(x, y)
        along = (x - at[0]) * np.float32(np.cos(turn)) + (y - at[1]) * np.float32(np.sin(turn))
        if kind == "half":
            tone = along > 0
        elif kind == "bands":
            tone = np.sin(pitch * along + phase) > 0
        elif kind == "spot":
            tone = np.hypot(x - at[0], y - at[1]) < reach
        elif kind == "edge":
            tone = form.outer > -0.6 * reach
        else:
            tone = sum(np.sin(a * x + b * y + phase) for a, b in waves) > 0.6
        return Form(form.outer, form.solid, form.height, tone.astype(np.float32))

    return field
