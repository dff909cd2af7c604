"""What a result says of how it was made: the code, the engine, every network's file and the settings."""

from __future__ import annotations

from functools import cache
from importlib import metadata

from pipeline import looks, open_clip_labels, resnet, weights
from pipeline.contract import CountSettings, Provenance
from pipeline.segment.base import EngineInfo
from pipeline.settings import settings_to_json
from pipeline.types import Candidates


def provenance_of(
    info: EngineInfo, engine_reason: str, candidates: Candidates, settings: CountSettings
) -> Provenance:
    """Return what to say of a count.

    Args:
        info: of the engine when it found the candidates.
        engine_reason: why it was this engine.
        candidates: described and labelled.
        settings: of the count.
    """
    return Provenance(
        info.engine,
        engine_reason,
        info.model,
        info.weights_sha256,
        info.dtype,
        info.device,
        _code_version(),
        settings_to_json(settings),
        _patch_models(candidates),
        dict(info.prompt_models),
    )


def _patch_models(candidates: Candidates) -> dict[str, str]:
    """Return the sha256 of each network that looked at the patches, by name; made by hand, there is none."""
    found = {}
    if candidates.classification.source == "resnet50":
        found[resnet.WEIGHTS] = weights.entry(resnet.WEIGHTS).sha256
    if candidates.classification.source == "looks":
        found[looks.MODEL.stem] = _looks_sha256()
    if "open_clip" in candidates.type_probs.labelled_by.split("+"):
        found[open_clip_labels.WEIGHTS] = weights.entry(open_clip_labels.WEIGHTS).sha256
    return found


@cache
def _looks_sha256() -> str:
    return weights.file_sha256(looks.MODEL)


@cache
def _code_version() -> str:
    try:
        return metadata.version("tally")
    except metadata.PackageNotFoundError:
        return "unknown"
