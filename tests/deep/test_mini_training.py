"""Training of mini: scenes repeat, targets are right, and a minute of it learns."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import ClassVar

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from pipeline.segment.mini_maps import maps_at_scale  # noqa: E402
from pipeline.segment.mini_peaks import find_instances  # noqa: E402
from pipeline.train import mini as training  # noqa: E402
from pipeline.train import prototypes  # noqa: E402
from pipeline.train.data import augment, draw_sample  # noqa: E402
from pipeline.train.export import averaged, network_of  # noqa: E402
from pipeline.train.layouts import LAYOUTS  # noqa: E402
from pipeline.train.network import MiniNet  # noqa: E402
from pipeline.train.plan import draw_generic  # noqa: E402
from pipeline.train.scenes import COUNTED_RADII, IGNORE, SCENE_PX, _place, draw_scene  # noqa: E402
from pipeline.train.shapes import MAKERS  # noqa: E402
from pipeline.train.targets import make_targets  # noqa: E402

pytestmark = pytest.mark.deep


def test_a_scene_repeats_from_its_seed_and_differs_from_the_next():
    first, again, other = draw_scene(11), draw_scene(11), draw_scene(12)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert not np.array_equal(first.image, other.image)


def test_whole_objects_have_counted_sizes():
    most = np.pi * COUNTED_RADII[1] ** 2
    for seed in range(30):
        labels = draw_scene(seed).labels
        assert labels.min() >= IGNORE
        assert np.bincount(labels[labels > 0], minlength=1).max(initial=0) < 1.3 * most


def test_a_larger_scene_has_things_of_the_same_sizes_in_all_of_it():
    most, spots = np.pi * COUNTED_RADII[1] ** 2, np.zeros((2, 2), np.int64)
    for seed in range(12):
        labels = draw_scene(seed, 2 * SCENE_PX).labels
        assert labels.shape == (512, 512)
        assert np.bincount(labels[labels > 0], minlength=1).max(initial=0) < 1.3 * most
        spots += [[(quarter > 0).sum() for quarter in np.hsplit(half, 2)] for half in np.vsplit(labels, 2)]
    assert spots.min() > 0.5 * spots.max()


def test_every_second_step_shows_larger_scenes():
    trainer = training.Trainer(training.TrainSettings(batch=8, fresh=4, replay=20))
    shapes = [trainer._next(step)[0].shape for step in range(4)]
    assert shapes == [(8, 3, 256, 256), (2, 3, 512, 512)] * 2


def test_some_scenes_have_nothing_to_count():
    assert 1 <= sum((draw_scene(seed).labels <= 0).all() for seed in range(40)) <= 30


def test_the_targets_of_a_scene_give_its_number_back():
    labels = np.zeros((256, 256), np.int32)
    y, x = np.mgrid[:256, :256]
    for number, (row, column) in enumerate([(60, 60), (60, 94), (180, 150)], start=1):
        labels[np.hypot(y - row, x - column) < 18] = number
    fore, cone, contact, weight = make_targets(labels)
    from pipeline.segment.mini_maps import Maps

    assert len(find_instances(Maps(1.0, fore, cone, contact)).area) == 3
    assert weight.min() == 1
    assert contact[30, 37:41].max() == 1
    assert contact[90, 75] == 0


def test_ignored_objects_weigh_nothing():
    labels = np.full((256, 256), IGNORE, np.int32)
    assert make_targets(labels)[3].max() == 0


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    torch.set_num_threads(2)
    out = tmp_path_factory.mktemp("smoke") / "mini.onnx"
    return out, training.smoke(out)


@pytest.mark.timeout(1200)  # on a busy machine
def test_a_minute_of_training_learns(trained):
    _, log = trained
    assert training.has_learned(log)


class StillTrainer(training.Trainer):
    """Takes every step and changes nothing."""

    draws = ((partial(draw_sample, size=128), 3),)
    rates: ClassVar = {"": 0.0}


def test_a_smoke_run_that_learns_nothing_fails(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["mini", "--smoke", "--out", str(tmp_path / "mini.onnx")])
    with pytest.raises(SystemExit, match="too little learned: want a loss below"):
        training.main(trainer=StillTrainer)


@pytest.mark.timeout(1200)  # on a busy machine
def test_the_exported_model_says_what_the_network_says(trained):
    onnxruntime = pytest.importorskip("onnxruntime")
    out, _ = trained
    image = draw_scene(21).image[:200, :176]
    maps = maps_at_scale(onnxruntime.InferenceSession(str(out)), image, 1.0, mirror_px=0)
    net = network_of(torch.load(out.with_suffix(".pt"), weights_only=True)["state"])
    padded = np.pad(image, ((0, 24), (0, 16), (0, 0)), mode="reflect")
    padded = padded.transpose(2, 0, 1)[None] / np.float32(255)
    with torch.no_grad():
        want = torch.sigmoid(net(torch.from_numpy(padded)))[0].numpy()
    np.testing.assert_allclose(maps.foreground, want[0, :100, :88], atol=5e-3)  # stored as float16


def test_styles_are_mixed_in_training_only():
    torch.manual_seed(0)
    pictures = torch.rand(4, 3, 64, 64) * torch.tensor([0.1, 0.4, 0.7, 1.0]).reshape(4, 1, 1, 1)
    mix = MiniNet().mix_style
    assert any(not torch.equal(mix(pictures), pictures) for _ in range(20))
    assert torch.equal(mix.eval()(pictures), pictures)


def test_augmented_pictures_keep_the_outlines_that_the_targets_have():
    disc = np.hypot(*(np.mgrid[:64, :64] - 31.5)) < 15
    images = torch.from_numpy(np.where(disc, 220, 30).astype(np.uint8)).expand(6, 3, 64, 64)
    targets = torch.from_numpy(disc.astype(np.uint8) * 255).expand(6, 4, 64, 64)
    choice, torn = np.random.default_rng(3), 0
    for _ in range(20):
        pictures, truth = augment((images, targets), choice)
        assert 0 <= pictures.min() <= pictures.max() <= 1
        inside = truth[:, :1] > 0.5
        gaps = [
            (p[:, m[0]].mean(1) - p[:, ~m[0]].mean(1)).abs().max()
            for p, m in zip(pictures, inside, strict=True)
        ]
        torn += sum(float(gap) < 0.05 for gap in gaps)
    assert torn <= 6  # a filter may cancel the difference of a grey picture, seldom


def test_a_pattern_of_colours_leaves_the_outline_of_a_kind():
    axis = np.linspace(-2, 2, 41, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    tones = set()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        plain = MAKERS["disc"](np.random.default_rng(1))
        marked = prototypes._marked(rng, plain)(x, y)
        np.testing.assert_array_equal(marked.outer, plain(x, y).outer)
        tones.add(marked.tone.tobytes())
    assert len(tones) > 10


def test_a_compound_is_one_object_of_several_parts():
    for seed in range(10):
        kind = prototypes.make_prototype(np.random.default_rng(seed), "compound")
        axis = np.linspace(-kind.reach, kind.reach, 201, dtype=np.float32)
        inside = (kind.field(*np.meshgrid(axis, axis)).outer < 0).astype(np.uint8)
        assert cv2.connectedComponents(inside)[0] == 2


def test_checkpoints_are_averaged_weight_by_weight(tmp_path):
    paths, nets = [], [MiniNet(), MiniNet()]
    for k, net in enumerate(nets):
        paths.append(tmp_path / f"{k}.pt")
        torch.save({"state": net.state_dict(), "meta": {"seed": k}}, paths[-1])
    mean = averaged(paths)
    for name, value in mean["state"].items():
        first, second = (net.state_dict()[name] for net in nets)
        torch.testing.assert_close(value, ((first.double() + second.double()) / 2).to(first.dtype))
    assert mean["meta"] == {"seed": 0, "averaged": 2}


@pytest.mark.parametrize("seed", range(20))
def test_rows_are_cut_by_the_edge_and_their_things_apart(seed):
    radius = 9.0
    places = LAYOUTS["edged"](np.random.default_rng(seed), SCENE_PX, np.full(200, radius), 1.0)
    to_edge = np.minimum(places, SCENE_PX - 1 - places).min(axis=1)
    assert (np.abs(to_edge) < radius).sum() > 0.7 * SCENE_PX / (3 * radius)
    apart = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    assert apart[np.triu_indices(len(places), 1)].min() > 1.9 * radius
    few = LAYOUTS["edged"](np.random.default_rng(seed), SCENE_PX, np.full(3, radius), 1.0)
    assert few.shape == (3, 2)


@pytest.mark.parametrize("seed", range(20))
def test_between_piled_things_no_ground_shows(seed):
    radius = 8.0
    places = LAYOUTS["piled"](np.random.default_rng(seed), SCENE_PX, np.full(200, radius), 1.0)
    middle, within = np.median(places, axis=0), np.random.default_rng(seed).uniform(-2, 2, (500, 2)) * radius
    nearest = np.hypot(*(places[:, None] - (middle + within)[None]).transpose(2, 0, 1)).min(axis=0)
    assert (nearest < radius).mean() > 0.93
    assert len(places) <= 200


def test_what_is_nearer_is_larger_lower_and_covers_what_is_behind():
    rng = np.random.default_rng(3)
    plan = replace(draw_generic(rng, SCENE_PX), makers=("disc",), layout="piled", holder="none", n_max=300)
    plan = replace(plan, spread=0.4, gap=1.0, receding=True, pictured=0)
    labels = np.zeros((SCENE_PX, SCENE_PX), np.int32)
    _place(rng, plan, np.ascontiguousarray(plan.ground), labels, 13.0)
    numbers = [n for n in np.unique(labels) if n > 0]
    rows, sizes = zip(
        *[(np.argwhere(labels == n)[:, 0].mean(), (labels == n).sum()) for n in numbers], strict=True
    )
    assert np.corrcoef(rows, sizes)[0, 1] > 0.5
    assert np.corrcoef(rows, numbers)[0, 1] > 0.8
