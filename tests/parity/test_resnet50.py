"""ResNet-50 against torchvision's own transform and model, on the same seeded weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from pipeline.contract import PipelineError
from pipeline.resnet import EMBEDDING_SIZE, ResNet50, same_side
from pipeline.types import PatchBatch
from pipeline.weights import entry

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")
pytestmark = pytest.mark.deep


@pytest.fixture(scope="module")
def reference() -> object:
    """A seeded torchvision ResNet-50 whose running statistics are not the trivial ones."""
    torch.manual_seed(3)
    model = torchvision.models.resnet50()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    with torch.no_grad():
        model.fc.weight.mul_(0.02)  # so that the five best share the probability
    return model.eval()


@pytest.fixture(scope="module")
def ours(reference: torch.nn.Module) -> ResNet50:
    return ResNet50(reference.state_dict(), "cpu")


def patches(n: int, seed: int, side: int = 224) -> PatchBatch:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (n, 7, 7, 3), dtype=np.uint8)
    pixels = [
        np.asarray(PILImage.fromarray(p).resize((side, side), PILImage.Resampling.BICUBIC)) for p in coarse
    ]
    pixels_n = np.stack(pixels) if n else np.zeros((0, side, side, 3), np.uint8)
    return PatchBatch(pixels_n, np.ones((n, side, side), np.bool_))


def logits_of(model: torch.nn.Module, batch: PatchBatch) -> torch.Tensor:
    """One image at a time, as torchvision's documentation does it."""
    transform = torchvision.models.ResNet50_Weights.IMAGENET1K_V2.transforms()
    with torch.inference_mode():
        images = [transform(torch.from_numpy(p).permute(2, 0, 1)) for p in batch.patches]
        return torch.cat([model(image[None]) for image in images])


def test_top_five_equal_torchvisions_for_every_patch(reference: torch.nn.Module, ours: ResNet50) -> None:
    batch = patches(6, seed=0)
    probs, ids = logits_of(reference, batch).softmax(dim=1).topk(5)
    seen = ours.classify([batch])[0]
    np.testing.assert_array_equal(seen.class_ids, ids.numpy())
    np.testing.assert_allclose(seen.class_probs, probs.numpy(), rtol=1e-4)
    assert probs[:, 0].max() < 0.9


def test_logits_of_our_embeddings_equal_torchvisions(reference: torch.nn.Module, ours: ResNet50) -> None:
    batch = patches(4, seed=1)
    features = torch.from_numpy(ours.classify([batch])[0].embeddings.astype(np.float32))
    with torch.inference_mode():
        logits = reference.fc(features)
    expected = logits_of(reference, batch)
    assert (logits - expected).abs().max() <= 1e-3 * expected.abs().max()  # embeddings are kept in fp16


def test_preprocessing_equals_torchvisions_on_pil_images_to_a_grey_level() -> None:
    transform = torchvision.models.ResNet50_Weights.IMAGENET1K_V2.transforms()
    batch = patches(3, seed=2)
    from_pil = torch.stack([transform(PILImage.fromarray(patch)) for patch in batch.patches])
    from_array = transform(torch.from_numpy(batch.patches).permute(0, 3, 1, 2))
    levels = (from_pil - from_array).abs() * 0.229 * 255
    assert levels.max() <= 1.2


def test_images_of_a_micro_batch_are_answered_as_if_alone_and_in_order(ours: ResNet50) -> None:
    batches = [patches(3, seed=4), patches(0, seed=5), patches(2, seed=6)]
    together = ours.classify(batches)
    assert [len(c.embeddings) for c in together] == [3, 0, 2]
    for batch, seen in zip(batches, together, strict=True):
        alone = ours.classify([batch])[0]
        np.testing.assert_array_equal(seen.class_ids, alone.class_ids)
        np.testing.assert_allclose(seen.embeddings, alone.embeddings, rtol=2e-3, atol=1e-2)


def test_no_patches_at_all_are_legal(ours: ResNet50) -> None:
    (seen,) = ours.classify([patches(0, seed=0)])
    assert seen.class_ids.shape == (0, 5)
    assert seen.embeddings.shape == (0, EMBEDDING_SIZE)
    assert ours.classify([]) == []


def test_smaller_patches_of_a_crowded_image_join_the_others(ours: ResNet50) -> None:
    small, large = patches(2, seed=7, side=112), patches(1, seed=8)
    assert same_side([*small.patches, *large.patches]).shape == (3, 224, 224, 3)
    assert [len(c.class_ids) for c in ours.classify([small, large])] == [2, 1]


def test_parameters_have_the_official_names_and_shapes(reference: torch.nn.Module) -> None:
    state = reference.state_dict()
    assert sum(p.numel() for p in reference.parameters()) == 25_557_032  # torchvision's published number
    assert len(state) == 320
    assert tuple(state["conv1.weight"].shape) == (64, 3, 7, 7)
    assert tuple(state["layer4.2.conv3.weight"].shape) == (2048, 512, 1, 1)
    assert tuple(state["fc.weight"].shape) == (1000, 2048)


def test_the_published_file_is_as_large_as_these_parameters(reference: torch.nn.Module) -> None:
    state = reference.state_dict()
    floats = sum(tensor.numel() for tensor in state.values() if tensor.is_floating_point())
    around_them = (entry("resnet50").bytes or 0) - 4 * floats
    assert 0 < around_them < 1024 * len(state)


@pytest.mark.parametrize("change", ["missing", "extra", "other shape"])
def test_one_entry_that_differs_is_refused(reference: torch.nn.Module, change: str) -> None:
    state = dict(reference.state_dict())
    if change == "missing":
        del state["layer3.5.bn3.running_var"]
    elif change == "extra":
        state["layer3.6.bn3.running_var"] = torch.ones(1024)
    else:
        state["layer3.5.bn3.running_var"] = torch.ones(512)
    with pytest.raises(PipelineError, match="resnet50: the file's parameters are not"):
        ResNet50(state, "cpu")


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(PipelineError, match="resnet50: the file's parameters are not"):
        ResNet50(torchvision.models.resnet18().state_dict(), "cpu")


def test_weights_from_a_file_stay_memory_mapped(reference: torch.nn.Module, tmp_path: Path) -> None:
    file = tmp_path / "seeded.pth"
    torch.save(reference.state_dict(), file)
    network = ResNet50(torch.load(file, mmap=True, weights_only=True), "cpu")
    mapped = [line for line in Path("/proc/self/maps").read_text().splitlines() if str(file) in line]
    assert mapped
    batch = patches(1, seed=9)
    expected = ResNet50(reference.state_dict(), "cpu").classify([batch])[0]
    np.testing.assert_array_equal(network.classify([batch])[0].class_ids, expected.class_ids)
