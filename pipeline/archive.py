"""Candidates ⇄ bytes: the ``candidates.npz`` of an image and run. Versioned, compressed, no pickle."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import ErrorCode, PipelineError
from pipeline.types import CandidateBatch, Candidates, Classification, RuleEffects, TypeProbs

FORMAT_VERSION = 1

_BATCH = (
    "rle_counts",
    "rle_offsets",
    "bbox_xyxy",
    "area",
    "predicted_iou",
    "stability_score",
    "polygon_xy",
    "polygon_offsets",
)
_CLASSIFICATION = ("class_ids", "class_probs", "embeddings")


def write_candidates(candidates: Candidates) -> bytes:
    """Return the bytes of a compressed npz that ``read_candidates`` gives back unchanged."""
    arrays: dict[str, NDArray[Any]] = {
        "format_version": np.array(FORMAT_VERSION),
        "size_hw": np.array(candidates.batch.size_hw, dtype=np.int64),
        "source": np.array(candidates.classification.source),
        "types": np.array(candidates.type_probs.types, dtype=np.str_),
        "probs": candidates.type_probs.probs,
        "labelled_by": np.array(candidates.type_probs.labelled_by),
    }
    arrays |= {name: getattr(candidates.batch, name) for name in (*_BATCH, "faint")}
    arrays |= {name: getattr(candidates.classification, name) for name in _CLASSIFICATION}
    if candidates.batch.scales:
        arrays["scales"] = np.array(candidates.batch.scales, dtype=np.float64)
    if candidates.batch.n_beside:
        arrays["n_beside"] = np.array(candidates.batch.n_beside, dtype=np.int64)
    if candidates.batch.pages_left:
        arrays["pages_left"] = np.array(candidates.batch.pages_left)
    if candidates.batch.page_sizes_hw:
        arrays["page_sizes_hw"] = np.array(candidates.batch.page_sizes_hw, dtype=np.int64)
    effects = candidates.rule_effects
    if effects is not None:
        arrays |= {
            "rule_boosts": effects.boosts,
            "rule_rejected_by": np.array(effects.rejected_by, dtype=np.str_),
            "rule_relabels": np.array(effects.relabels, dtype=np.str_),
            "rule_program_sha256": np.array(effects.program_sha256),
        }
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return file.getvalue()


def read_candidates(data: bytes) -> Candidates:
    """Return the candidates that ``write_candidates`` stored.

    Raises:
        PipelineError: CORRUPTED_FILE when the bytes are damaged, not such a file, or of another version.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            version = int(arrays["format_version"])
            if version != FORMAT_VERSION:
                raise ValueError(f"want format version {FORMAT_VERSION}, got {version}")
            return _assemble({name: arrays[name] for name in arrays.files})
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, zlib.error, IndexError) as error:
        raise PipelineError(ErrorCode.CORRUPTED_FILE, f"candidates file does not read: {error}") from error


def _assemble(arrays: dict[str, NDArray[Any]]) -> Candidates:
    height, width = (int(v) for v in arrays["size_hw"])
    parts: list[Any] = [arrays[name] for name in _BATCH]
    batch = CandidateBatch((height, width), *parts)
    if "faint" in arrays:
        batch = replace(batch, faint=arrays["faint"])
    if "scales" in arrays:
        batch = replace(batch, scales=tuple(arrays["scales"].tolist()))
    if "n_beside" in arrays:
        batch = replace(batch, n_beside=tuple(arrays["n_beside"].tolist()))
    if "pages_left" in arrays:
        batch = replace(batch, pages_left=int(arrays["pages_left"]))
    if "page_sizes_hw" in arrays:
        batch = replace(batch, page_sizes_hw=tuple((h, w) for h, w in arrays["page_sizes_hw"].tolist()))
    runs = np.concatenate([[0], np.cumsum(batch.rle_counts, dtype=np.int64)])
    if not np.array_equal(np.diff(runs[batch.rle_offsets]), np.full(len(batch), height * width)):
        raise ValueError(f"want run lengths that fill {height} x {width} px, got others")
    seen = (arrays["class_ids"], arrays["class_probs"], arrays["embeddings"])
    classification = Classification(*seen, str(arrays["source"]))
    probs = TypeProbs(_words(arrays["types"]), arrays["probs"], str(arrays["labelled_by"]))
    return Candidates(batch, classification, probs, _rule_effects(arrays))


def _rule_effects(arrays: dict[str, NDArray[Any]]) -> RuleEffects | None:
    if "rule_boosts" not in arrays:
        return None
    return RuleEffects(
        arrays["rule_boosts"],
        _words(arrays["rule_rejected_by"]),
        _words(arrays["rule_relabels"]),
        str(arrays["rule_program_sha256"]),
    )


def _words(array: NDArray[Any]) -> tuple[str, ...]:
    return tuple(str(word) for word in array)
