"""Stage 2 of 7, what every engine offers.

In: Images.  Out: one CandidateBatch an image.  Device: the engine's.  Settings: CountSettings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

from pipeline.contract import CountSettings
from pipeline.portions import OnPart, unheard
from pipeline.types import CandidateBatch, Image


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What provenance says of an engine; equal info means equal masks on equal pixels.

    Attributes:
        prompt_models: name -> sha256 of the networks that proposed where the engine is asked.
    """

    engine: str
    model: str | None
    weights_sha256: str | None
    dtype: str
    device: str
    prompt_models: Mapping[str, str] = field(default_factory=dict)


def joined(infos: Sequence[EngineInfo]) -> EngineInfo:
    """Return what to say of work that one engine did in parts: each dtype, device and proposer, once.

    Args:
        infos: at least one, in the order of the parts.
    """
    dtypes, devices = (
        ", ".join(dict.fromkeys(name for info in infos for name in getattr(info, column).split(", ")))
        for column in ("dtype", "device")
    )
    prompt_models = {name: sha256 for info in infos for name, sha256 in info.prompt_models.items()}
    return replace(infos[0], dtype=dtypes, device=devices, prompt_models=prompt_models)


class Segmenter(Protocol):
    """An engine, loaded and warm. Deterministic: the same images and settings give the same masks.

    Attributes:
        info: of the latest call that returned; before the first, what it will be tried with. ``device`` names
            all that took part ("cuda, cpu" where a card's memory ran out in between).
    """

    info: EngineInfo

    def segment(
        self, images: Sequence[Image], settings: CountSettings, on_part: OnPart = unheard
    ) -> list[CandidateBatch]:
        """Return the candidates of each image, best first.

        Args:
            images: of any sizes.
            settings: of the count.
            on_part: told the share of all images that is done, never less than before, at least once an
                image and more often where one takes minutes. What it raises ends the call.

        Raises:
            PipelineError: OUT_OF_MEMORY or INFERENCE_ERROR.
        """
        ...


@runtime_checkable
class Prepares(Protocol):
    """An engine that can do a part of its work ahead, in another thread, while it looks at other images."""

    def prepare(self, image: Image, settings: CountSettings) -> None:
        """Do for an image what needs no network; ``segment`` does it itself for one that was not prepared.

        What is made lives no longer than the image's pixels.
        """
        ...
