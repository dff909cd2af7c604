"""The ladder that every network goes down when an allocator refuses; what those who asked are told then."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from pipeline.contract import ErrorCode, PipelineError, unforeseen
from pipeline.memory import copy_to, is_out_of_memory, within_memory

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.deep


@dataclass(frozen=True)
class Megabytes:
    n: int

    def smaller(self) -> Megabytes | None:
        return Megabytes(self.n // 2) if self.n > 1 else None

    def __str__(self) -> str:
        return f"{self.n} MB"


def test_steps_go_down_until_the_allocator_agrees() -> None:
    tried = []

    def work(step: Megabytes) -> int:
        tried.append(step.n)
        return torch.empty(2**55 if step.n > 2 else step.n, dtype=torch.uint8).numel()

    assert within_memory(Megabytes(8), work) == (2, Megabytes(2))
    assert tried == [8, 4, 2]


def test_the_end_of_the_steps_is_told_without_the_allocators_words(caplog) -> None:
    with pytest.raises(PipelineError) as caught, caplog.at_level(logging.WARNING):
        within_memory(Megabytes(2), lambda step: torch.empty(2**55, dtype=torch.uint8))
    assert caught.value.code == ErrorCode.OUT_OF_MEMORY
    assert str(caught.value) == "not enough memory even for 1 MB"
    assert "allocat" in caplog.records[-1].reason


def test_opencvs_refusal_is_followed_by_less() -> None:
    def work(step: Megabytes) -> int:
        return int(cv2.resize(np.zeros((1, 1), np.uint8), (2**20, 2**20 if step.n > 2 else 1)).size)

    assert within_memory(Megabytes(8), work) == (2**20, Megabytes(2))


def test_other_failures_of_torch_are_not_taken_for_a_lack_of_memory(caplog) -> None:
    with pytest.raises(PipelineError) as caught:
        within_memory(Megabytes(8), lambda step: torch.zeros(2) @ torch.zeros(3))
    assert caught.value.code == ErrorCode.INFERENCE_ERROR
    assert str(caught.value) == str(unforeseen())
    assert "inconsistent tensor size" in caplog.text


def test_the_allocators_refusal_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."))
    assert is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"))
    assert is_out_of_memory(MemoryError())
    with pytest.raises(cv2.error) as caught_of_opencv:
        cv2.resize(np.zeros((1, 1), np.float32), (2**20, 2**20))
    assert is_out_of_memory(caught_of_opencv.value)
    with pytest.raises(cv2.error) as another:
        cv2.resize(np.zeros((1, 1), np.float32), (0, 0))
    assert not is_out_of_memory(another.value)
    assert not is_out_of_memory(RuntimeError("shapes do not match"))


def test_a_copy_lies_on_the_other_device_and_the_original_stays() -> None:
    original = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).eval()
    copy = copy_to(original, "meta")
    assert {t.device.type for t in copy.state_dict().values()} == {"meta"}
    assert {t.device.type for t in original.state_dict().values()} == {"cpu"}
    assert copy(torch.zeros(5, 3, device="meta")).shape == (5, 2)
