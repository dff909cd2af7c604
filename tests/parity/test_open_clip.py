"""Zero-shot labels against open_clip's own functions, on a small seeded CLIP of its own classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from pipeline.contract import PipelineError
from pipeline.open_clip_labels import ARCHITECTURE, ZeroShot, assemble
from pipeline.types import PatchBatch

torch = pytest.importorskip("torch")
open_clip = pytest.importorskip("open_clip")

from tests.doubles.small_clip import SMALL, small_clip  # noqa: E402

pytestmark = pytest.mark.deep

PHRASES = ["metal coin", "medicine tablet", "human hand", "chicken egg"]


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return small_clip()


@pytest.fixture(scope="module")
def tokenizer() -> object:
    return open_clip.get_tokenizer(ARCHITECTURE)


@pytest.fixture
def ours(model: torch.nn.Module, tokenizer: object, tmp_path: Path) -> ZeroShot:
    return ZeroShot(model, tokenizer, "seeded", "cpu", tmp_path / "texts")


def patches(n: int, side: int = 224) -> PatchBatch:
    coarse = np.random.default_rng(1).integers(0, 256, (n, 7, 7, 3), dtype=np.uint8)
    pixels = [np.asarray(PILImage.fromarray(p).resize((side, side))) for p in coarse]
    stacked = np.stack(pixels) if n else np.zeros((0, side, side, 3), np.uint8)
    return PatchBatch(stacked, np.ones((n, side, side), np.bool_))


def reference_classifier(model: torch.nn.Module, tokenizer: object) -> np.ndarray:
    templates = open_clip.OPENAI_IMAGENET_TEMPLATES
    assert len(templates) == 80
    return open_clip.build_zero_shot_classifier(model, tokenizer, PHRASES, templates).numpy()


def reference_images(model: torch.nn.Module, batch: PatchBatch) -> torch.Tensor:
    mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    transform = open_clip.image_transform(224, is_train=False, mean=mean, std=std)
    with torch.inference_mode():
        pixels = torch.stack([transform(PILImage.fromarray(p)) for p in batch.patches])
        return model.encode_image(pixels, normalize=True)


def test_text_embeddings_equal_build_zero_shot_classifier(
    model: torch.nn.Module, tokenizer: object, ours: ZeroShot
) -> None:
    found = ours.label_embeddings([[phrase] for phrase in PHRASES])
    np.testing.assert_allclose(found.T, reference_classifier(model, tokenizer), atol=1e-5)


def test_image_embeddings_equal_open_clips_transform_and_encoder(
    model: torch.nn.Module, ours: ZeroShot
) -> None:
    batch = patches(5)
    np.testing.assert_allclose(
        ours.image_embeddings(batch), reference_images(model, batch).numpy(), atol=1e-5
    )


def test_probabilities_equal_the_scaled_softmax_of_open_clip(
    model: torch.nn.Module, tokenizer: object, ours: ZeroShot
) -> None:
    batch = patches(5)
    with torch.inference_mode():
        text = torch.from_numpy(reference_classifier(model, tokenizer))
        logits = model.logit_scale.exp() * reference_images(model, batch) @ text
    found = ours.probabilities(batch, [[phrase] for phrase in PHRASES])
    np.testing.assert_allclose(found, logits.softmax(dim=1).numpy(), atol=1e-5)


def test_a_label_of_several_phrases_is_their_normalised_mean(ours: ZeroShot) -> None:
    one, two = ours.label_embeddings([[PHRASES[0]], [PHRASES[1]]])
    mean = (one + two) / 2
    (both,) = ours.label_embeddings([PHRASES[:2]])
    np.testing.assert_allclose(both, mean / np.linalg.norm(mean), atol=1e-6)


def test_texts_are_read_from_the_disk_by_model_and_phrase(
    model: torch.nn.Module, tokenizer: object, ours: ZeroShot, tmp_path: Path
) -> None:
    expected = ours.label_embeddings([[PHRASES[0]]])
    files = list((tmp_path / "texts").iterdir())
    assert len(files) == 1

    def unusable(texts: list[str]) -> None:
        raise AssertionError("the text encoder was asked again")

    again = ZeroShot(model, unusable, "seeded", "cpu", tmp_path / "texts")
    np.testing.assert_array_equal(again.label_embeddings([[PHRASES[0]]]), expected)
    other_weights = ZeroShot(model, unusable, "other", "cpu", tmp_path / "texts")
    with pytest.raises(AssertionError, match="asked again"):
        other_weights.label_embeddings([[PHRASES[0]]])


def test_damaged_or_unwritable_caches_are_no_error(
    model: torch.nn.Module, tokenizer: object, ours: ZeroShot, tmp_path: Path
) -> None:
    expected = ours.label_embeddings([[PHRASES[0]]])
    (file,) = (tmp_path / "texts").iterdir()
    file.write_bytes(b"not an array")
    again = ZeroShot(model, tokenizer, "seeded", "cpu", tmp_path / "texts")
    np.testing.assert_array_equal(again.label_embeddings([[PHRASES[0]]]), expected)
    blocked = tmp_path / "a file"
    blocked.write_text("")
    without = ZeroShot(model, tokenizer, "seeded", "cpu", blocked / "texts")
    np.testing.assert_array_equal(without.label_embeddings([[PHRASES[0]]]), expected)


def test_no_patches_and_small_patches_are_legal(ours: ZeroShot) -> None:
    assert ours.probabilities(patches(0), [["coin"], ["pill"]]).shape == (0, 2)
    small = ours.probabilities(patches(2, side=64), [["coin"], ["pill"]])
    np.testing.assert_allclose(small.sum(axis=1), 1, atol=1e-6)


def test_an_assembled_model_is_the_model_its_parameters_come_from(
    model: torch.nn.Module, tokenizer: object
) -> None:
    again = assemble(SMALL, model.state_dict()).eval()
    assert not any(t.is_meta for t in [*again.parameters(), *again.buffers()])
    texts = tokenizer(["a metal coin", "a longer text about a medicine tablet on a table"])
    pixels = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(again.encode_text(texts), model.encode_text(texts))
        torch.testing.assert_close(again.encode_image(pixels), model.encode_image(pixels))


def test_parameters_of_another_network_are_refused(model: torch.nn.Module) -> None:
    with pytest.raises(PipelineError, match="open_clip ViT-B-32: the file's parameters are not"):
        assemble({**SMALL, "text_cfg": {**SMALL["text_cfg"], "layers": 3}}, model.state_dict())


def official_model() -> torch.nn.Module:
    """ViT-B-32 as open_clip builds it, without memory for its parameters."""
    with torch.device("meta"):
        return open_clip.CLIP(**open_clip.get_model_config(ARCHITECTURE))


@pytest.mark.parametrize("change", ["missing", "extra", "other shape"])
def test_one_entry_of_vit_b_32_that_differs_is_refused(change: str) -> None:
    config, state = open_clip.get_model_config(ARCHITECTURE), dict(official_model().state_dict())
    ours = assemble(config, state).state_dict()
    assert {name: t.shape for name, t in ours.items()} == {name: t.shape for name, t in state.items()}
    if change == "missing":
        del state["visual.ln_post.bias"]
    elif change == "extra":
        state["visual.ln_last.bias"] = torch.zeros(768)
    else:
        state["visual.ln_post.bias"] = torch.zeros(512)
    with pytest.raises(PipelineError, match="not this network's"):
        assemble(config, state)


def test_vit_b_32_has_the_official_parameters() -> None:
    official = official_model()
    state = official.state_dict()
    assert sum(p.numel() for p in official.parameters()) == 151_277_313  # as published with the weights
    assert len(state) == 302
    assert tuple(state["visual.conv1.weight"].shape) == (768, 3, 32, 32)
    assert tuple(state["visual.positional_embedding"].shape) == (50, 768)
    assert tuple(state["visual.proj"].shape) == (768, 512)
    assert tuple(state["token_embedding.weight"].shape) == (49408, 512)
    assert tuple(state["text_projection"].shape) == (512, 512)
    assert tuple(state["logit_scale"].shape) == ()
