"""The door of the ``sam`` engine: can it run here, and load it (torch is imported only then)."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Literal

from pipeline.contract import SAM_MODELS, ErrorCode, PipelineError
from pipeline.segment.base import EngineInfo, Segmenter
from pipeline.segment.sam_settings import COUNTING

NEEDS = ("torch", "torchvision", "segment_anything")


def available(model: str | None = None) -> tuple[bool, str]:
    """Return whether ``sam`` can run here with this model or its default, and if not, what is missing."""
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        return False, f"not installed: {', '.join(missing)}"
    from pipeline import weights

    return weights.available(f"sam_{model or default_model()}")


def default_model() -> str:
    """Return the first of ``SAM_MODELS`` whose weights are here, or else the first, whose lack is told."""
    from pipeline import weights

    return next((name for name in SAM_MODELS if weights.available(f"sam_{name}")[0]), SAM_MODELS[0])


def load(model: str | None = None, mode: Literal["fast", "exact"] = "fast") -> Segmenter:
    """Return SAM with verified weights on the best device, compiled if at all, tiling where that helps.

    In ``fast`` mode on a CPU ``mini`` proposes points where it can run; otherwise the whole grid is asked.

    Args:
        model: one of ``SAM_MODELS``; None is the first whose weights are here, ``vit_b`` before others.
        mode: "exact" for the reference's masks, asked for on its whole grid.

    Raises:
        PipelineError: MODEL_LOAD_ERROR when the model is unknown or its weights are missing or wrong.
    """
    name = model or default_model()
    if name not in SAM_MODELS:
        message = f"model: want one of {', '.join(SAM_MODELS)}, got {name}"
        raise PipelineError(ErrorCode.MODEL_LOAD_ERROR, message)
    from segment_anything import sam_model_registry

    from pipeline import weights
    from pipeline.segment import mini
    from pipeline.segment.sam_prompts import MiniPrompter
    from pipeline.segment.sam_segmenter import SamSegmenter
    from pipeline.segment.tiles import TiledSegmenter
    from pipeline.sessions import open_session

    entry, state = weights.entry(f"sam_{name}"), weights.load_state_dict(f"sam_{name}")
    sam = sam_model_registry[name]()
    try:
        sam.load_state_dict(state, assign=True)
    except RuntimeError as error:  # it lists every parameter: for the log, not for people
        message = f"{entry.file}: want the parameters of {name}, got another model's"
        raise PipelineError(ErrorCode.MODEL_LOAD_ERROR, message) from error
    prompter = MiniPrompter(open_session(mini.MODEL)) if mode == "fast" and mini.available()[0] else None
    proposes = {mini.MODEL.stem: weights.file_sha256(mini.MODEL)} if prompter else {}
    info = EngineInfo("sam", name, entry.sha256, "float32", "cpu", proposes)
    segmenter = SamSegmenter(sam, info, settings=replace(COUNTING, mode=mode), prompter=prompter)
    segmenter.warm_up()
    return TiledSegmenter(segmenter, sam.image_encoder.img_size)
