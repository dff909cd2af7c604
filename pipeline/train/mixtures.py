"""Several kinds of things in one scene, as exemplars tell apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.train.plan import Plan, draw_palette
from pipeline.train.shapes import MAKERS


def with_other_kinds(rng: np.random.Generator, plan: Plan) -> Plan:
    """Return the plan with one to three kinds more, as in a tray of unlike things."""
    more = int(rng.integers(1, 4))
    makers = plan.makers[:1] + tuple(str(name) for name in rng.choice(list(MAKERS), more))
    own = bool(rng.random() < 0.6)
    palette = plan.palette + draw_palette(rng, plan.ground, len(makers) if own else int(rng.integers(0, 3)))
    spread = float(rng.choice([0.0, 0.25, 0.5]))
    sizes = (1.0, *np.exp(rng.normal(0, spread, more)).tolist())
    pictured = len(makers) if plan.pictured else 0
    return replace(plan, makers=makers, palette=palette, own_colours=own, sizes=sizes, pictured=pictured)
