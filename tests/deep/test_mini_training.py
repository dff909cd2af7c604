"""Training of mini: scenes repeat, targets are right, and a minute of it learns."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from pipeline.segment.mini_maps import maps_at_scale  # noqa: E402
from pipeline.segment.mini_peaks import find_instances  # noqa: E402
from pipeline.train import mini as training  # noqa: E402
from pipeline.train.network import MiniNet  # noqa: E402
from pipeline.train.scenes import COUNTED_RADII, IGNORE, draw_scene  # noqa: E402
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


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_minute_of_training_learns(trained):
    _, log = trained
    assert log[-1].loss < 0.85 * log[0].loss


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_the_exported_model_says_what_the_network_says(trained):
    onnxruntime = pytest.importorskip("onnxruntime")
    out, _ = trained
    image = draw_scene(21).image[:200, :176]
    maps = maps_at_scale(onnxruntime.InferenceSession(str(out)), image, 1.0)
    net = MiniNet()
    net.load_state_dict(torch.load(out.with_suffix(".pt"), weights_only=True)["state"])
    padded = np.pad(image, ((0, 8), (0, 0), (0, 0)), mode="edge").transpose(2, 0, 1)[None] / np.float32(255)
    with torch.no_grad():
        want = torch.sigmoid(net.eval()(torch.from_numpy(padded)))[0].numpy()
    np.testing.assert_allclose(maps.foreground, want[0, :100], atol=1e-4)
