"""What holds for every mixture of parts, every scene and every crowd."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.consistency import HIGHEST, consistency
from pipeline.contract import CountSettings
from pipeline.embedding import handcrafted_embeddings
from pipeline.label_mix import pool, with_prior
from pipeline.patches import extract_patches
from pipeline.types import Classification, Image
from tests.candidates import batch_of, disc

SIZE = (96, 128)
shares = st.floats(0, 1, width=32)
tables = st.integers(2, 6).flatmap(lambda k: arrays(np.float32, (3, k), elements=shares))
scenes = st.lists(
    st.tuples(st.integers(0, SIZE[1] - 1), st.integers(0, SIZE[0] - 1), st.integers(1, 30)), max_size=8
)


@given(tables, st.data())
def test_pools_are_distributions_whatever_the_parts_say(table: np.ndarray, data: st.DataObject) -> None:
    other = data.draw(arrays(np.float32, table.shape, elements=shares))
    for parts in ({"open_clip": table}, {"imagenet": table}, {"open_clip": table, "imagenet": other}):
        pooled = pool(parts)
        np.testing.assert_allclose(pooled.sum(axis=1), 1, atol=1e-5)
        assert (pooled >= 0).all()


@given(tables, arrays(np.float32, 3, elements=shares))
def test_the_prior_keeps_distributions_and_the_order_of_the_others(
    table: np.ndarray, prior: np.ndarray
) -> None:
    pooled = pool({"open_clip": table})
    mixed = with_prior(pooled, prior)
    np.testing.assert_allclose(mixed.sum(axis=1), 1, atol=1e-4)
    strongest = pooled[:, 1:].argmax(axis=1)
    assert (mixed[np.arange(3), 1 + strongest] >= mixed[:, 1:].max(axis=1) - 1e-6).all()


@settings(deadline=None)
@given(scenes, st.integers(0, 2**16))
def test_every_scene_is_cut_embedded_and_judged_within_bounds(
    scene: list[tuple[int, int, int]], seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    batch = batch_of([disc(SIZE, x, y, r) for x, y, r in scene], SIZE)
    patches = extract_patches(Image("a", pixels), batch, CountSettings(), side_px=64)
    assert patches.masks.any(axis=(1, 2)).all()
    n = len(scene)
    none = np.zeros((n, 0))
    seen = Classification(
        none.astype(np.int16), none.astype(np.float32), handcrafted_embeddings(patches), "handcrafted"
    )
    probs = consistency(batch, seen)
    assert probs.shape == (n,)
    assert ((probs >= 0) & (probs <= HIGHEST)).all()


def test_the_light_install_is_never_asked_for_torch() -> None:
    code = (
        "import sys, pipeline.classify, pipeline.label_map, pipeline.patches, pipeline.weights\n"
        "print(*{'torch', 'torchvision', 'open_clip', 'clingo'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == ""
