"""When memory runs out: the allocator refuses for real, in a process whose address space is limited."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from pipeline.contract import ErrorCode, PipelineError  # noqa: E402
from pipeline.segment.sam_memory import Budget, is_out_of_memory, points_that_fit, within_memory  # noqa: E402

pytestmark = pytest.mark.deep
ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")

STARVED = """
import json, resource, sys
import torch
torch.set_num_threads(1)
from pipeline.contract import CountSettings, PipelineError
from pipeline.segment.base import EngineInfo
from pipeline.segment.sam_segmenter import SamSegmenter
from pipeline.segment.sam_settings import SamSettings
from pipeline.types import Image
from tests.doubles.small_sam import picture, small_sam

spare_mb = int(sys.argv[1])
sam = small_sam()
common = {"mode": "reference", "pred_iou_thresh": 0.6, "stability_score_thresh": 0.4}
def settings(side):
    return SamSettings(points_per_side=side, points_per_batch=side * side, **common)
images = [Image(str(seed), picture(int(sys.argv[2]), 128, seed)) for seed in range(4)]
def segmenter(side):
    return SamSegmenter(sam, EngineInfo("sam", "small", None, "", ""), torch.device("cpu"), settings(side))
segmenter(2).segment([Image("small", picture(64, 64))], CountSettings())
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + spare_mb * 2**20, resource.RLIM_INFINITY))
starved = segmenter(12)
try:
    counts = [len(batch) for batch in starved.segment(images, CountSettings())]
    answer = {"counts": counts, "images": starved.budget.images, "points": starved.budget.points}
except PipelineError as error:
    answer = {"code": error.code, "message": str(error)}
print(json.dumps(answer))
"""


def starve(spare_mb: int, height: int = 100) -> dict[str, Any]:
    command = [sys.executable, "-c", STARVED, str(spare_mb), str(height)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits the address space as Linux does")
class TestARealAllocatorRefuses:
    def test_fewer_images_then_fewer_points_give_the_same_counts(self) -> None:
        plenty, starved = starve(spare_mb=4000), starve(spare_mb=60)
        assert (plenty["images"], plenty["points"]) == (8, 144)
        assert starved["images"] == 1
        assert 4 <= starved["points"] < 144
        assert starved["counts"] == plenty["counts"]
        assert sum(starved["counts"]) > 0

    def test_too_little_for_one_image_is_a_clear_error(self) -> None:
        answer = starve(spare_mb=20, height=60_000)
        assert answer["code"] == ErrorCode.OUT_OF_MEMORY
        assert "want memory for one image" in str(answer["message"])


def test_the_ladder_halves_images_then_points_then_leaves_the_card() -> None:
    budget: Budget | None = Budget(8, 16, torch.device("cuda"))
    steps = []
    while budget is not None:
        steps.append((budget.images, budget.points, budget.device.type))
        budget = budget.smaller()
    card = [(8, 16), (4, 16), (2, 16), (1, 16), (1, 8), (1, 4)]
    assert steps[:6] == [(*step, "cuda") for step in card]
    assert steps[6:] == [(1, points, "cpu") for points in (64, 32, 16, 8, 4)]


def test_other_failures_of_torch_are_not_taken_for_a_lack_of_memory() -> None:
    def broken(budget: Budget) -> None:
        torch.zeros(2) @ torch.zeros(3)

    with pytest.raises(PipelineError, match="the model failed") as caught:
        within_memory(Budget(2, 8, CPU), broken)
    assert caught.value.code == ErrorCode.INFERENCE_ERROR


def test_the_allocators_refusal_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("shapes do not match"))


def test_a_cpu_decodes_64_points_at_once() -> None:
    assert points_that_fit(CPU) == 64
