"""SAM on CUDA: parity with segment-anything on the same card, and what happens when its memory runs out."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
if not torch.cuda.is_available():
    pytest.skip("no CUDA device", allow_module_level=True)

from pipeline.contract import CountSettings  # noqa: E402
from pipeline.ops.rle import rle_to_mask  # noqa: E402
from pipeline.segment.base import EngineInfo  # noqa: E402
from pipeline.segment.sam_fast import FastNet  # noqa: E402
from pipeline.segment.sam_generate import Generator  # noqa: E402
from pipeline.segment.sam_package import PackageNet  # noqa: E402
from pipeline.segment.sam_segmenter import SamSegmenter  # noqa: E402
from pipeline.segment.sam_settings import SamSettings  # noqa: E402
from pipeline.types import Image  # noqa: E402
from tests.doubles.small_memory import SmallMemory  # noqa: E402
from tests.doubles.small_sam import iou_quantile, picture, reference, small_sam  # noqa: E402

pytestmark = [pytest.mark.gpu, pytest.mark.deep]
CUDA = torch.device("cuda")
INFO = EngineInfo("sam", "small", None, "", "")


@pytest.fixture(autouse=True)
def full_precision() -> Iterator[None]:
    """Let convolutions be of float32, for the package's layers as for ours, and as on the CPU."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    limit = iou_quantile(small_sam(), picture(128, 128), 6, 0.3)
    return {"points_per_side": 6, "pred_iou_thresh": limit, "stability_score_thresh": 0.4}


@pytest.mark.parametrize("size_hw", [(128, 128), (90, 200), (300, 220)])
@pytest.mark.parametrize("change", [{}, {"crop_n_layers": 1}, {"min_mask_region_area": 30}])
def test_reference_arithmetic_is_equal_on_the_same_card(
    size_hw: tuple[int, int], change: dict[str, Any], settings: dict[str, Any]
) -> None:
    sam, image, chosen = small_sam().to(CUDA), picture(*size_hw, seed=3), settings | change
    theirs = reference(sam, image, **chosen)
    net = PackageNet(sam, CUDA)
    got = Generator(net, SamSettings(mode="reference", points_per_batch=64, **chosen)).generate(
        [image], 1, 64
    )[0]
    assert len(theirs) > 0
    assert [r.tolist() for r in got.rles] == [m["segmentation"]["counts"] for m in theirs]


@pytest.mark.parametrize("size_hw", [(128, 128), (90, 200), (300, 220)])
def test_exact_keeps_count_order_and_masks_on_the_card(
    size_hw: tuple[int, int], settings: dict[str, Any]
) -> None:
    sam, image = small_sam().to(CUDA), picture(*size_hw, seed=3)
    theirs = reference(sam, image, **settings)
    net = FastNet(sam, CUDA, half=False, compiled=False)
    got = Generator(net, SamSettings(mode="exact", **settings)).generate([image], 1, 64)[0]
    assert len(got.rles) == len(theirs) > 0
    for ours, want in zip(got.rles, theirs, strict=True):
        a = rle_to_mask(ours, size_hw)
        b = rle_to_mask(np.array(want["segmentation"]["counts"], dtype=np.uint32), size_hw)
        assert (a & b).sum() / max(1, (a | b).sum()) >= 0.999


def test_proposals_of_any_number_give_the_masks_they_give_on_the_cpu(settings: dict[str, Any]) -> None:
    images = [picture(128, 128, seed) for seed in range(3)]
    proposed = iter(np.random.default_rng(0).random((n, 2)) for n in (5, 0, 17) * 2)
    found = []
    for device in (CUDA, torch.device("cpu")):
        net = FastNet(small_sam(), device, half=False, compiled=False)
        generator = Generator(net, SamSettings(mode="exact", **settings), lambda pixels: next(proposed))
        found.append([len(masks.rles) for masks in generator.generate(images, 2, 7)])
    assert found[0] == found[1]
    assert min(found[0]) > 0


@pytest.mark.filterwarnings("default")  # the compiler's own: none of them is about our code
def test_fast_runs_compiled_in_half_precision_on_batches_of_any_size(settings: dict[str, Any]) -> None:
    images = [Image(str(seed), picture(128, 128, seed)) for seed in range(3)]
    fast = SamSegmenter(small_sam(), INFO, CUDA, SamSettings(mode="fast", **settings))
    exact = SamSegmenter(small_sam(), INFO, CUDA, SamSettings(mode="exact", **settings))
    assert fast.info.dtype == "bfloat16"
    counts = [len(batch) for batch in fast.segment(images, CountSettings())]
    wanted = [len(batch) for batch in exact.segment(images, CountSettings())]
    assert sum(counts) == pytest.approx(sum(wanted), rel=0.3)  # random weights: many masks near every limit


@pytest.mark.filterwarnings("default")
def test_a_warm_engine_compiles_nothing_for_any_number_of_images(settings: dict[str, Any]) -> None:
    engine = SamSegmenter(small_sam(), INFO, CUDA, SamSettings(mode="fast", **settings), max_images=4)
    torch._dynamo.reset()
    engine.warm_up()
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    for n in (1, 4, 3):
        engine.segment([Image(f"{n} {k}", picture(100, 128, 10 * n + k)) for k in range(n)], CountSettings())
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == graphs > 0


def test_provenance_follows_the_work_to_the_cpu_and_back(settings: dict[str, Any]) -> None:
    engine = SamSegmenter(small_sam(), INFO, CUDA, SamSettings(mode="exact", **settings))
    engine.segment([Image("first", picture(100, 128, 1))], CountSettings())
    assert engine.info.device == "cuda"
    with SmallMemory(10**4, "cuda"):
        engine.segment([Image("second", picture(100, 128, 2))], CountSettings())
    assert (engine.info.device, engine.info.dtype) == ("cpu", "float32")
    engine.segment([Image("third", picture(100, 128, 3))], CountSettings())
    assert engine.info.device == "cuda"


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Let torch's allocator have only what is taken already and a little more."""
    gc.collect()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 24 * 2**20) / total)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.usefixtures("little_memory")
def test_out_of_memory_on_the_card_is_survived_with_the_same_count(settings: dict[str, Any]) -> None:
    images = [Image(str(seed), picture(900, 1200, seed)) for seed in range(4)]
    wide = settings | {"points_per_side": 16}
    on_cpu = SamSegmenter(small_sam(), INFO, torch.device("cpu"), SamSettings(mode="exact", **wide))
    wanted = [len(batch) for batch in on_cpu.segment(images, CountSettings())]
    starved = SamSegmenter(small_sam(), INFO, CUDA, SamSettings(mode="exact", **wide))
    assert [len(batch) for batch in starved.segment(images, CountSettings())] == wanted
    assert starved.budget.images == 1
