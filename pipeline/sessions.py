"""Opens the bundled ONNX models."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from pipeline.contract import ErrorCode, PipelineError

DATA = Path(__file__).parent / "data"
_MAX_THREADS = 8


def available(*paths: Path) -> tuple[bool, str]:
    """Return whether models can run here, and why not."""
    if importlib.util.find_spec("onnxruntime") is None:
        return False, "onnxruntime is not installed"
    missing = [path.name for path in paths if not path.exists()]
    return (not missing, f"{' and '.join(missing)} not in this installation" if missing else "")


def open_session(path: Path) -> Any:
    """Return an onnxruntime session on as many cores as this process may use, at most 8.

    Raises:
        PipelineError: MODEL_LOAD_ERROR when the file is missing or is no model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(_MAX_THREADS, len(os.sched_getaffinity(0)))
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # kept for each size of input, of which there are hundreds
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no public base class
        raise PipelineError(
            ErrorCode.MODEL_LOAD_ERROR, f"want a model in {path.name}, got: {error}"
        ) from error
