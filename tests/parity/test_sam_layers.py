"""Our encoder and decoder against segment-anything's layers on the same weights, and the official shapes."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from segment_anything import sam_model_registry  # noqa: E402
from segment_anything.modeling import ImageEncoderViT, TwoWayTransformer  # noqa: E402

from pipeline.segment.sam_decoder import FastDecoder  # noqa: E402
from pipeline.segment.sam_encoder import FastEncoder  # noqa: E402
from pipeline.segment.sam_fast import FastNet  # noqa: E402
from pipeline.segment.sam_package import PackageNet  # noqa: E402
from tests.doubles.small_sam import SIDE, small_sam  # noqa: E402

pytestmark = pytest.mark.deep
CPU = torch.device("cpu")
FLOAT32_TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_encoder_gives_the_packages_features(batch: int, seed: int) -> None:
    sam = small_sam(seed)
    pixels = torch.randn(batch, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
    with torch.inference_mode():
        torch.testing.assert_close(
            FastEncoder(sam.image_encoder)(pixels), sam.image_encoder(pixels), **FLOAT32_TOLERANCE
        )


@pytest.mark.parametrize("options", [{"use_rel_pos": False}, {"use_abs_pos": False, "use_rel_pos": True}])
def test_encoder_follows_the_packages_options(options: dict[str, bool]) -> None:
    torch.manual_seed(0)
    encoder = ImageEncoderViT(
        img_size=96, patch_size=4, embed_dim=32, depth=2, num_heads=2, out_chans=16, window_size=5,
        global_attn_indexes=(1,), **options,
    ).eval()  # fmt: skip
    for name, weight in encoder.named_parameters():
        if "rel_pos" in name:
            torch.nn.init.normal_(weight, std=0.3)
    pixels = torch.randn(2, 3, 96, 96)  # 24 x 24 tokens: more than the rows of one CPU step
    with torch.inference_mode():
        torch.testing.assert_close(FastEncoder(encoder)(pixels), encoder(pixels), **FLOAT32_TOLERANCE)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_decoder_gives_the_packages_masks_and_quality(seed: int) -> None:
    sam = small_sam(seed)
    rng = torch.Generator().manual_seed(seed)
    features = torch.randn(64, 16, 16, generator=rng)
    points = torch.rand(9, 2, generator=rng, dtype=torch.float64) * SIDE
    with torch.inference_mode():
        logits, iou = PackageNet(sam, CPU)._predict(features, points)
        decoder = FastDecoder(sam)
        prompted = decoder(decoder.remember(features), points)
        torch.testing.assert_close(prompted.predicted_iou, iou, **FLOAT32_TOLERANCE)
        drawn = decoder.draw(prompted, torch.arange(9))
        assert (drawn - logits).abs().max() <= 1e-4 * logits.std()
        some = torch.tensor([7, 2])
        torch.testing.assert_close(decoder.draw(prompted, some), drawn[some], **FLOAT32_TOLERANCE)


def test_a_decoder_of_another_depth_is_refused() -> None:
    sam = small_sam()
    sam.mask_decoder.transformer = TwoWayTransformer(depth=1, embedding_dim=64, mlp_dim=96, num_heads=8)
    with pytest.raises(ValueError, match="want 2 layers, got 1"):
        FastDecoder(sam)


def test_an_encoder_that_does_not_compile_runs_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    sam = small_sam()
    pixels = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))

    def no_compiler(graph: torch.fx.GraphModule, inputs: object) -> None:
        raise FileNotFoundError("no C compiler")

    net = FastNet(sam, CPU)
    net._encoder = torch.compile(net._encoder, backend=no_compiler, dynamic=False)
    with torch.inference_mode(), caplog.at_level("WARNING"):
        first, second = net.encode(pixels), net.encode(pixels)
        torch.testing.assert_close(first, sam.image_encoder(pixels), **FLOAT32_TOLERANCE)
    assert torch.equal(first, second)
    assert caplog.text.count("cannot be compiled here") == 1
    assert "no C compiler" in caplog.text


def test_a_lack_of_memory_is_not_taken_for_one_of_a_compiler() -> None:
    net = FastNet(small_sam(), CPU)
    net._encoder = lambda pixels: torch.empty(2**55, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="memory"):
        net.encode(torch.zeros(1, 3, SIDE, SIDE))


@pytest.mark.parametrize("thresh", [0.0, 0.6, 0.9, 3.0])
def test_only_masks_of_good_prompts_are_drawn_and_they_are_the_same(thresh: float) -> None:
    sam = small_sam()
    rng = torch.Generator().manual_seed(5)
    features, points = torch.randn(64, 16, 16, generator=rng), torch.rand(20, 2, generator=rng) * SIDE
    with torch.inference_mode():
        want = PackageNet(sam, CPU).decode(features, points, thresh, 6)
        got = FastNet(sam, CPU).decode(features, points, thresh, 6)
    assert got.points.tolist() == want.points.tolist()
    assert (thresh == 3.0) == (len(want.points) == 0)
    torch.testing.assert_close(got.predicted_iou, want.predicted_iou, **FLOAT32_TOLERANCE)
    torch.testing.assert_close(got.logits, want.logits, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(
    ("name", "parameters", "entries"),
    [("vit_b", 93_735_472, 314), ("vit_l", 312_342_832, 482), ("vit_h", 641_090_608, 594)],
)
def test_parameters_have_the_official_names_and_shapes(name: str, parameters: int, entries: int) -> None:
    """The numbers are those of the published checkpoints (segment-anything's model sizes)."""
    with torch.device("meta"):
        state = sam_model_registry[name]().state_dict()
    assert len(state) == entries
    frozen = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
    assert sum(t.numel() for k, t in state.items() if k != frozen) == parameters
    width = {"vit_b": 768, "vit_l": 1024, "vit_h": 1280}[name]
    assert state["image_encoder.pos_embed"].shape == (1, 64, 64, width)
    assert state["image_encoder.blocks.0.attn.rel_pos_h"].shape[0] == 27
    assert state["mask_decoder.mask_tokens.weight"].shape == (4, 256)
    assert np.prod(state[frozen].shape) == 256
