"""What SAM asks of a card, without one: tensors that say they lie on CUDA and have sizes, but no values.

Mixed devices and mixed types are refused here as on a card. tests/gpu has what needs a real one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from segment_anything import sam_model_registry  # noqa: E402
from torch._subclasses import FakeTensorMode  # noqa: E402
from torch.fx.experimental.symbolic_shapes import ShapeEnv  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils._pytree import tree_leaves  # noqa: E402

from pipeline.segment import sam_memory  # noqa: E402
from pipeline.segment.sam_encoder import FastEncoder  # noqa: E402
from pipeline.segment.sam_fast import FastNet  # noqa: E402
from pipeline.segment.sam_masks import Crop, measure  # noqa: E402
from pipeline.segment.sam_settings import SamSettings  # noqa: E402
from tests.doubles.small_sam import SIDE, small_sam  # noqa: E402

pytestmark = pytest.mark.deep
CARD = torch.device("cuda")
WAITS = ("nonzero", "masked_select", "_local_scalar_dense", "lift_fresh")
"""Operations whose answer the host waits for, or that begin from a number of the host's."""


class Watch(TorchDispatchMode):
    """Notes what is asked.

    Attributes:
        waits: operations that make the host wait. products: input types of each product. batches: first
            sizes of what is convolved. largest_bytes: the largest result of a known size.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self.products: set[tuple[torch.dtype, ...]] = set()
        self.batches: set[int] = set()
        self.largest_bytes = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name, tensors = str(func).split(".")[1], [t for t in tree_leaves(args) if isinstance(t, torch.Tensor)]
        made = [t for t in tree_leaves(result) if isinstance(t, torch.Tensor)]
        devices = {t.device.type for t in (*tensors, *made)}
        sizes = [t.nbytes for t in made if all(isinstance(n, int) for n in t.shape)]
        self.largest_bytes = max([self.largest_bytes, *sizes])
        is_mask = name == "index" and any(t.dtype == torch.bool for t in tensors[1:])
        if name in WAITS or is_mask or len(devices) > 1:
            self.waits.append(name)
        if any(word in name for word in ("linear", "mm", "conv", "attention")):
            self.products.add(tuple(dict.fromkeys(t.dtype for t in tensors)))
        if "conv" in name:
            self.batches.add(tensors[0].shape[0])
        return result


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], FastNet]]:
    """Give what puts ViT-B in its real size on the card that is none; in half precision or not."""
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, device: module)  # it lies there already
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *of: True)
    sizes = ShapeEnv(allow_dynamic_output_shape_ops=True)
    with FakeTensorMode(shape_env=sizes), CARD, torch.inference_mode():
        yield lambda half: FastNet(sam_model_registry["vit_b"](), CARD, half=half, compiled=False)


@pytest.mark.parametrize(("at_once", "waits"), [(1024, 1), (256, 1), (64, 4)])
def test_a_grid_of_points_is_waited_for_once_in_four_portions(
    card: Callable[[bool], FastNet], at_once: int, waits: int
) -> None:
    net, told = card(False), []
    features, points = torch.empty(256, 64, 64), torch.empty(1024, 2, dtype=torch.float64)
    with Watch() as watch:
        decoded = net.decode(features, points, 0.88, at_once, told.append)
    assert watch.waits == ["nonzero"] * waits
    assert watch.products == {(torch.float32,)}
    assert decoded.logits.shape[1:] == (256, 256)
    assert told == [k * at_once / 1024 for k in range(1, 1024 // at_once + 1)]


def test_a_piece_of_masks_is_waited_for_to_filter_it_and_to_take_its_run_lengths() -> None:
    crop = Crop((0, 0, 96, 64), 0, (64, 96), (85, 128))
    logits = 100 * torch.randn(6, 32, 32, generator=torch.Generator().manual_seed(0))
    settings = SamSettings(
        mode="reference", stability_score_thresh=0.5
    )  # as on a card; a CPU has its own way
    with Watch() as watch:
        table = measure(logits, torch.ones(6), crop, 128, 0.0, settings, at_once=3)
    assert watch.waits == ["nonzero", "nonzero"] * 2
    assert len(table.rles) == 6


def test_half_the_points_at_once_need_half_the_memory(card: Callable[[bool], FastNet]) -> None:
    net = card(False)
    features, points = torch.empty(256, 64, 64), torch.empty(1024, 2, dtype=torch.float64)
    largest = []
    for at_once in (64, 32, 16):
        with Watch() as watch:
            net.decode(features, points, 0.88, at_once)
        largest.append(watch.largest_bytes)
    assert largest[0] == 2 * largest[1] == 4 * largest[2]


@pytest.mark.parametrize(("half", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_images_are_encoded_in_one_padded_batch_in_the_arithmetic_of_the_mode(
    card: Callable[[bool], FastNet], half: bool, dtype: torch.dtype
) -> None:
    net = card(half)
    with Watch() as watch:
        features = net.encode(torch.empty(3, 3, 1024, 1024))
    assert (features.shape, features.dtype) == ((3, 256, 64, 64), torch.float32)
    assert watch.products == {(dtype,)}
    assert watch.batches == {4}
    assert watch.waits == []


def test_the_encoder_compiles_as_one_graph_in_half_precision() -> None:
    sam = small_sam()
    pixels = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    encoder = FastEncoder(sam.image_encoder)
    compiled = torch.compile(encoder, dynamic=False, fullgraph=True, backend="aot_eager")
    with torch.inference_mode():
        exact = sam.image_encoder(pixels)
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(compiled(pixels), encoder(pixels))
            off = (compiled(pixels) - exact).norm() / exact.norm()
    assert 1e-4 < off < 0.02


@pytest.mark.parametrize(("free_gb", "points"), [(78, 1024), (22, 256), (7, 64), (0.1, 4)])
def test_points_at_once_are_sized_to_the_free_memory(
    free_gb: float, points: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_bytes = int(free_gb * 2**30)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free_bytes, free_bytes))
    assert sam_memory.points_that_fit(CARD) == points
