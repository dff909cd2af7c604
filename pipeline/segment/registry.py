"""Which engine counts: loads the one that was asked for, or picks the best that this machine can run."""

from __future__ import annotations

import importlib
import importlib.util
import threading
from types import ModuleType
from typing import Literal

from pipeline.contract import ENGINES, ErrorCode, PipelineError
from pipeline.segment.base import Segmenter
from pipeline.settings import unused_model

BEST_FIRST = ("sam", "mini", "classical")
"""What ``auto`` tries, in this order."""

_loaded: dict[tuple[str, str | None, str], Segmenter] = {}
_lock = threading.Lock()


def load(
    engine: str, model: str | None = None, mode: Literal["fast", "exact"] = "fast"
) -> tuple[Segmenter, str]:
    """Return the engine, loaded once a process, and why it is this one (``provenance.engine_reason``).

    ``auto`` takes ``sam`` where torch, a CUDA device and verified weights are present, else ``mini``
    where its model is present, else ``classical``.

    Args:
        engine: one of ``ENGINES``.
        model: variant of ``sam``; None is its default.
        mode: of ``sam``; the others have one.

    Raises:
        PipelineError: MODEL_LOAD_ERROR when the engine is unknown, has no models or cannot run here.
    """
    if engine not in ENGINES:
        message = f"engine: want one of {', '.join(ENGINES)}, got {engine}"
        raise PipelineError(ErrorCode.MODEL_LOAD_ERROR, message)
    if unused := unused_model(engine, model):
        raise PipelineError(ErrorCode.MODEL_LOAD_ERROR, f"model: {unused}")
    name, reason = choose() if engine == "auto" else (engine, "asked for")
    if engine == "auto" and name != "sam" and model is not None:
        reason, model = f"{reason}; model {model} is not used: only sam has models", None
    if name == "sam" and model is None:
        model = str(_module("sam").default_model())  # named or not, it is loaded once
    mode = mode if name == "sam" else "fast"
    with _lock:
        if (name, model, mode) not in _loaded:
            _loaded[name, model, mode] = _load(name, model, mode)
        return _loaded[name, model, mode], reason


def choose() -> tuple[str, str]:
    """Return the best engine that this machine can run, and why not a better one."""
    missing: list[str] = []
    for name in BEST_FIRST:
        usable, why = is_available(name, for_auto=True)
        if usable:
            return name, "; ".join([f"best engine available here: {name}", *missing])
        missing.append(f"no {name}: {why.split('. ')[0]}")  # the fact; what to do about it is doctor's
    return "classical", "; ".join(missing)


def is_available(name: str, model: str | None = None, *, for_auto: bool = False) -> tuple[bool, str]:
    """Return whether an engine can run here, and why not.

    Args:
        name: "sam", "mini" or "classical".
        model: variant of ``sam``; None is its default.
        for_auto: also ask for what makes it a good default: a CUDA device for ``sam``.
    """
    if name == "classical":
        return True, ""
    try:
        module = _module(name)
    except ImportError as error:
        return False, f"{error.name or error} is not installed"
    usable, why = module.available(model) if name == "sam" else module.available()
    if usable and for_auto and name == "sam" and not _has_cuda():
        return False, "no CUDA device"
    return bool(usable), str(why)


def _load(name: str, model: str | None, mode: str) -> Segmenter:
    usable, why = is_available(name, model)
    if not usable:
        raise PipelineError(ErrorCode.MODEL_LOAD_ERROR, f"engine {name} cannot run here: {why}")
    load_engine = _module(name).load
    segmenter: Segmenter = load_engine(model, mode) if name == "sam" else load_engine()
    return segmenter


def _module(name: str) -> ModuleType:
    """Import an engine only when it is wanted: torch and ONNX Runtime are optional."""
    return importlib.import_module(f"pipeline.segment.{name}")


def _has_cuda() -> bool:
    return importlib.util.find_spec("torch") is not None and bool(
        importlib.import_module("torch").cuda.is_available()
    )
