"""Training of the network that is told of exemplars: what it is taught, and that it learns."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from pipeline.segment import mini_like  # noqa: E402
from pipeline.segment.mini_like import LikeMaps, exemplar_mask  # noqa: E402
from pipeline.segment.mini_maps import maps_at_scale  # noqa: E402
from pipeline.train import mini as training  # noqa: E402
from pipeline.train.export import network_of  # noqa: E402
from pipeline.train.like import LikeTrainer  # noqa: E402
from pipeline.train.like_data import MAX_EXEMPLARS, _choose, draw_like_sample  # noqa: E402
from pipeline.train.like_network import LIKE_WIDTH, LikeNet  # noqa: E402
from pipeline.train.network import MiniNet  # noqa: E402
from pipeline.train.scenes import IGNORE, Scene, draw_scene  # noqa: E402

pytestmark = pytest.mark.deep


def test_a_sample_repeats_from_its_seed():
    for first, again in zip(draw_like_sample(5), draw_like_sample(5), strict=True):
        np.testing.assert_array_equal(first, again)


def test_exemplars_lie_on_what_is_like_them():
    covered = []
    for seed in range(12):
        _, targets, masks = draw_like_sample(seed)
        foreground = targets[0].reshape(64, 2, 64, 2).mean((1, 3)) / 255
        covered += [(mask * foreground).sum() / mask.sum() for mask in masks / 255]
    assert min(covered) > 0.15  # a thin rod across its box
    assert np.mean(covered) > 0.6


def test_most_scenes_show_other_things_too():
    other = 0
    for seed in range(20):
        scene = draw_scene(seed, several=True)
        shown = np.unique(scene.labels[scene.labels > 0])
        other += len(np.unique(scene.kinds[shown, 0])) > 1
    assert other >= 10


def scene_of(kinds):
    """Return a scene with one object a row of ``kinds`` (shape, colours)."""
    labels = np.zeros((256, 256), np.int32)
    for number in range(1, len(kinds) + 1):
        labels[10:20, 12 * number : 12 * number + 10] = number
    return Scene(np.zeros((256, 256, 3), np.uint8), labels, np.array([(0, 0), *kinds], np.int32))


def test_things_of_another_shape_are_ground():
    scene = scene_of([(0, 0)] * 3 + [(1, 0)] * 2)
    for seed in range(10):
        chosen, labels = _choose(np.random.default_rng(seed), scene, np.arange(1, 6))
        like = set(np.unique(labels)) - {0}
        assert like == ({1, 2, 3} if chosen[0] <= 3 else {4, 5})


def test_other_colours_are_ground_only_where_three_exemplars_agree():
    scene, seen = scene_of([(0, 0)] * 4 + [(0, 1)]), set()
    for seed in range(60):
        chosen, labels = _choose(np.random.default_rng(seed), scene, np.arange(1, 6))
        value = int(labels[15, 65])
        alike = len({int(scene.kinds[k, 1]) for k in chosen}) == 1
        if alike and chosen[0] <= 4:
            assert value == (0 if len(chosen) == MAX_EXEMPLARS else IGNORE)
        elif not alike:
            assert value == 5
        seen.add((alike, len(chosen)))
    assert {(True, 3), (False, 3), (True, 1)} <= seen


def test_untrained_it_says_what_mini_says():
    torch.manual_seed(0)
    base = MiniNet().eval()
    net = LikeNet(base).eval()
    picture, masks = torch.rand(2, 3, 64, 96), torch.rand(2, MAX_EXEMPLARS, 16, 24)
    with torch.no_grad():
        torch.testing.assert_close(net(picture, masks), base(picture))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    torch.set_num_threads(2)
    folder = tmp_path_factory.mktemp("like")
    torch.manual_seed(1)
    torch.save({"state": MiniNet().state_dict(), "meta": {}}, folder / "start.pt")
    settings = training.TrainSettings(
        steps=30, batch=6, fresh=3, replay=60, lr=3e-3, start=(str(folder / "start.pt"),)
    )
    return folder / "like.onnx", training.train(settings, folder / "like.onnx", LikeTrainer, every=6)


def test_half_a_minute_of_training_learns(trained):
    _, log = trained
    assert log[-1].loss < 0.9 * log[0].loss


def test_the_exported_model_says_what_the_network_says_of_exemplars(trained, monkeypatch):
    monkeypatch.setattr(mini_like, "maps_at_scale", partial(maps_at_scale, mirror_px=0))
    onnxruntime = pytest.importorskip("onnxruntime")
    out, _ = trained
    net = network_of(torch.load(out.with_suffix(".pt"), weights_only=True)["state"])
    picture, _, _ = draw_like_sample(3)
    image = np.ascontiguousarray(picture.transpose(1, 2, 0))
    boxes = np.array([[60, 60, 90, 84], [120, 130, 150, 155]], np.float32)
    session = onnxruntime.InferenceSession(str(out))
    assert session.get_inputs()[1].shape[1] == LIKE_WIDTH
    maps = LikeMaps(session, image, boxes).at(1.0, image)
    masks = torch.from_numpy(np.stack([exemplar_mask(box, (256, 256)) for box in boxes]))[None]
    with torch.no_grad():
        want = torch.sigmoid(net(torch.from_numpy(picture)[None] / 255, masks))[0].numpy()
    # A crop around each exemplar is looked at and weights are stored as float16, so they differ a little.
    assert np.abs(maps.foreground - want[0]).mean() < 0.02
    assert np.corrcoef(maps.cone.ravel(), want[1].ravel())[0, 1] > 0.95


def test_large_weights_are_stored_in_half_the_room(trained):
    model = onnx.load(str(trained[0]))
    stored = {w.data_type: 0 for w in model.graph.initializer}
    for weights in model.graph.initializer:
        stored[weights.data_type] += onnx.numpy_helper.to_array(weights).size
    assert stored[onnx.TensorProto.FLOAT16] > 50 * stored[onnx.TensorProto.FLOAT]
