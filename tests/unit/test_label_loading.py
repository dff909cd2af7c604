"""ResNet-50 and open_clip on their way in: seeded files, registered, verified, memory-mapped, and told."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")
open_clip = pytest.importorskip("open_clip")

from pipeline import looks, open_clip_labels, resnet, weights  # noqa: E402
from pipeline.classify import classifier_choice  # noqa: E402
from pipeline.contract import CountRequest, CountSettings, ErrorCode, PipelineError  # noqa: E402
from pipeline.run import count_batch  # noqa: E402
from pipeline.types import PatchBatch  # noqa: E402
from tests.doubles.small_clip import SMALL, small_clip  # noqa: E402
from tests.drawn import CENTRES, discs, ground  # noqa: E402

pytestmark = pytest.mark.deep

RESNET, CLIP = resnet.WEIGHTS, open_clip_labels.WEIGHTS
DOORS: dict[str, ModuleType] = {RESNET: resnet, CLIP: open_clip_labels}
REAL_SIZE: dict[str, Callable[[], Any]] = {
    RESNET: torchvision.models.resnet50,
    CLIP: lambda: open_clip.CLIP(**open_clip.get_model_config(open_clip_labels.ARCHITECTURE)),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where weights lie; the real sizes are 102 and 605 MB."""
    folder = tmp_path_factory.mktemp("weights")
    yield folder
    for file in folder.glob("*.pth"):
        file.unlink()


@pytest.fixture(scope="module")
def published(folder: Path) -> Callable[[str], weights.WeightsFile]:
    """Save networks of the real size when first asked for, and return what a manifest would say of them."""
    saved: dict[str, weights.WeightsFile] = {}

    def entry_of(name: str) -> weights.WeightsFile:
        if name not in saved:
            torch.manual_seed(0)
            saved[name] = save(folder, name, REAL_SIZE[name]())
        return saved[name]

    return entry_of


def save(folder: Path, name: str, network: Any) -> weights.WeightsFile:
    file = folder / f"{name}_{len(list(folder.iterdir()))}.pth"
    torch.save(network.state_dict(), file)
    size, digest = file.stat().st_size, weights.file_sha256(file)
    return weights.WeightsFile(name, file.name, "https://example.org/", size, digest, "MIT", "a test")


@pytest.fixture
def register(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Give what makes these files all that the manifest holds; nothing is loaded before or after."""
    monkeypatch.setenv("TALLY_WEIGHTS_DIR", str(folder))

    def to(*entries: weights.WeightsFile) -> None:
        monkeypatch.setattr(weights, "manifest", lambda: {entry.name: entry for entry in entries})

    for door in DOORS.values():
        door.load.cache_clear()
    yield to
    for door in DOORS.values():
        door.load.cache_clear()


def patches(n: int) -> PatchBatch:
    pixels = np.random.default_rng(0).integers(0, 256, (n, 224, 224, 3), dtype=np.uint8)
    return PatchBatch(pixels, np.ones((n, 224, 224), np.bool_))


@pytest.mark.parametrize("name", DOORS)
def test_a_network_of_the_real_size_is_mapped_not_copied_and_loaded_once(
    name: str, published: Callable[[str], weights.WeightsFile], register: Callable[..., None], folder: Path
) -> None:
    register(published(name))
    network = DOORS[name].load()
    if network.device == "cpu":
        assert str(folder / published(name).file) in Path("/proc/self/maps").read_text()
    assert DOORS[name].load() is network
    if name == RESNET:
        (seen,) = network.classify([patches(1)])
        assert (seen.source, seen.class_ids.shape) == ("resnet50", (1, resnet.TOP))
    else:
        assert network.image_embeddings(patches(1)).shape == (1, 512)


@pytest.mark.parametrize("name", DOORS)
def test_a_file_with_another_hash_is_refused(
    name: str, published: Callable[[str], weights.WeightsFile], register: Callable[..., None]
) -> None:
    register(replace(published(name), sha256="0" * 64))
    with pytest.raises(PipelineError, match="is not the published file: sha256") as caught:
        DOORS[name].load()
    assert caught.value.code == ErrorCode.MODEL_LOAD_ERROR


@pytest.mark.parametrize(("name", "other"), [(RESNET, CLIP), (CLIP, RESNET)])
def test_a_genuine_file_of_another_network_is_refused(
    name: str, other: str, published: Callable[[str], weights.WeightsFile], register: Callable[..., None]
) -> None:
    register(replace(published(other), name=name))
    with pytest.raises(PipelineError, match="the file's parameters are not this network's") as caught:
        DOORS[name].load()
    assert caught.value.code == ErrorCode.MODEL_LOAD_ERROR


@pytest.mark.parametrize(
    ("present", "labelled_by"),
    [
        ((), "request"),
        ((RESNET,), "imagenet"),
        ((CLIP,), "open_clip"),
        ((RESNET, CLIP), "imagenet+open_clip"),
    ],
)
def test_a_count_says_which_networks_took_part_and_what_their_files_are(
    present: tuple[str, ...],
    labelled_by: str,
    published: Callable[[str], weights.WeightsFile],
    register: Callable[..., None],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(open_clip, "get_model_config", lambda name: SMALL)  # 80 texts a label take seconds
    small = {RESNET: published(RESNET), CLIP: save(folder, CLIP, small_clip())}
    register(*(small[name] for name in present))
    picture = tmp_path / "discs.png"
    PillowImage.fromarray(discs(ground(), CENTRES[:3], 20)).save(picture)
    (outcome,) = count_batch(
        [CountRequest("one", str(picture), "coin", CountSettings(engine="classical", visualize=False))]
    )
    assert outcome.error is None
    assert outcome.result.labelled_by == labelled_by
    wanted = {name: small[name].sha256 for name in present}
    if RESNET not in present and classifier_choice()[0] == "looks":
        wanted["looks"] = hashlib.sha256(looks.MODEL.read_bytes()).hexdigest()
    assert outcome.result.provenance.patch_models == wanted
    assert outcome.result.to_json()["provenance"]["patch_models"] == wanted
