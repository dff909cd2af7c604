"""Zero-shot labels: how well each patch fits a text, by open_clip's ViT-B-32. Needs torch and open_clip."""

from __future__ import annotations

import hashlib
import importlib.util
import io
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import weights
from pipeline.cache import cache_dir, keep
from pipeline.contract import ErrorCode, PipelineError
from pipeline.portions import Copies, OnPart, Passes, best_device, unheard
from pipeline.types import PatchBatch

ARCHITECTURE = "ViT-B-32"
WEIGHTS = "open_clip_vit_b_32"
INPUT_SIDE_PX = 224
PATCHES_AT_ONCE = {"cpu": 32, "gpu": 256}
PHRASES_AT_ONCE = {"cpu": 8, "gpu": 8}
"""In 80 templates each; a CPU takes a second a phrase."""

Floats = NDArray[np.float32]


class ZeroShot:
    """A CLIP model, loaded and warm, and the embeddings of the texts it was asked about."""

    def __init__(self, model: Any, tokenizer: Any, key: str, device: str, cache: Path | None) -> None:
        """Take a model of open_clip.

        Args:
            model: an ``open_clip.CLIP`` on the CPU; copied to the device, never trained.
            tokenizer: of that model.
            key: names the weights; texts are remembered under it.
            device: "cpu" or "cuda".
            cache: folder for text embeddings, made when it is missing; None keeps them in memory only.
        """
        self.device = device
        self._size = int(model.text_projection.shape[1])
        copies = Copies(model, device)
        self._scale = float(model.logit_scale.exp())
        self._images = Passes(copies, _encode_patches, "patches", PATCHES_AT_ONCE)
        self._texts = Passes(copies, self._encode_phrases, "phrases", PHRASES_AT_ONCE)
        self._tokenizer = tokenizer
        self._key = key
        self._cache = cache
        self._known: dict[str, Floats] = {}

    def probabilities(
        self, patches: PatchBatch, prompts: Sequence[Sequence[str]], on_part: OnPart = unheard
    ) -> Floats:
        """Return how probable each label is for each patch, if one of them it must be.

        Args:
            patches: N patches.
            prompts: for each of K labels, the phrases that describe it ("metal coin").
            on_part: told the share of the patches that is done, between two passes of the network.

        Returns:
            (N, K) float32, rows sum to 1: softmax of the cosines, scaled as the model was trained.

        Raises:
            PipelineError: OUT_OF_MEMORY when even one patch or phrase does not fit the CPU; INFERENCE_ERROR.
        """
        texts = self.label_embeddings(prompts, on_part)
        logits = self._scale * self.image_embeddings(patches, on_part) @ texts.T  # (N, D) @ (D, K)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float32)

    def image_embeddings(self, patches: PatchBatch, on_part: OnPart = unheard) -> Floats:
        """Return (N, D) float32 unit vectors of the patches, preprocessed as open_clip does."""
        parts = [answer for _, answer in self._images.over(list(patches.patches), on_part)]
        return np.concatenate([np.zeros((0, self._size), np.float32), *parts])

    def label_embeddings(self, prompts: Sequence[Sequence[str]], on_part: OnPart = unheard) -> Floats:
        """Return (K, D) float32 unit vectors: for each label the mean of its phrases' ensembles."""
        self._learn(sorted({phrase for phrases in prompts for phrase in phrases}), on_part)
        means = np.stack(
            [np.mean([self._known[phrase] for phrase in phrases], axis=0) for phrases in prompts]
        )
        return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)

    def _learn(self, phrases: Sequence[str], on_part: OnPart) -> None:
        """Know the embedding of every phrase: remembered, from the disk, or from the model at last."""
        new = [phrase for phrase in phrases if phrase not in self._known and not self._read(phrase)]
        for some, vectors in self._texts.over(new, lambda _: on_part(0.0)):  # no patch is done by that
            for phrase, vector in zip(some, vectors, strict=True):
                self._known[phrase] = vector
                self._write(phrase, vector)

    def _encode_phrases(self, model: Any, device: str, phrases: Sequence[str]) -> Floats:
        """Return (P, D): for each phrase the mean of its 80 embeddings, normalised."""
        import open_clip

        templates = open_clip.OPENAI_IMAGENET_TEMPLATES
        columns = open_clip.build_zero_shot_classifier(
            _ShortTexts(model), self._tokenizer, phrases, templates, device=device
        )  # (D, P)
        return np.asarray(columns.T.float().cpu().numpy(), np.float32)

    def _file(self, phrase: str) -> Path | None:
        if self._cache is None:
            return None
        digest = hashlib.sha256(f"{self._key}\n80 templates\n{phrase}".encode()).hexdigest()
        return self._cache / f"{digest}.npy"

    def _read(self, phrase: str) -> bool:
        file = self._file(phrase)
        try:
            vector = np.load(file, allow_pickle=False) if file else None
        except (OSError, ValueError, EOFError):
            return False
        if vector is None or vector.shape != (self._size,):
            return False
        self._known[phrase] = vector.astype(np.float32)
        return True

    def _write(self, phrase: str, vector: Floats) -> None:
        file = self._file(phrase)
        if file is not None:
            body = io.BytesIO()
            np.save(body, vector)
            keep(file, body.getvalue())


def _encode_patches(model: Any, device: str, patches: Sequence[NDArray[np.uint8]]) -> Floats:
    """Return (N, D) unit vectors of (N, S, S, 3) patches."""
    import torch

    with torch.inference_mode():
        embeddings = model.encode_image(_preprocess(np.stack(patches), device), normalize=True)
        return np.asarray(embeddings.float().cpu().numpy(), np.float32)


def _preprocess(patches: NDArray[np.uint8], device: str) -> Any:
    """Return (N, 3, 224, 224) on the device, normalised; bicubic where the side is another."""
    import open_clip
    import torch

    pixels = torch.from_numpy(patches).to(device).permute(0, 3, 1, 2).float() / 255
    if pixels.shape[-1] != INPUT_SIDE_PX:
        size = (INPUT_SIDE_PX, INPUT_SIDE_PX)
        pixels = torch.nn.functional.interpolate(pixels, size, mode="bicubic", antialias=True).clamp(0, 1)
    mean = torch.tensor(open_clip.OPENAI_DATASET_MEAN, device=device).view(3, 1, 1)
    std = torch.tensor(open_clip.OPENAI_DATASET_STD, device=device).view(3, 1, 1)
    return (pixels - mean) / std


class _ShortTexts:
    """The text encoder of a CLIP without the padding: equal embeddings in a fifth of the time.

    Attention is causal, so what comes after a text's last token cannot change what is read at it.
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    def encode_text(self, texts: Any, normalize: bool) -> Any:
        """Return (N, D) embeddings of (N, 77) token ids, as ``open_clip.CLIP.encode_text``."""
        import torch

        model = self._model
        last = texts.argmax(dim=-1)  # (N,) the end-of-text token has the highest id
        length = int(last.max()) + 1
        x = model.token_embedding(texts[:, :length]) + model.positional_embedding[:length]
        x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:length, :length]))
        features = x[torch.arange(len(x)), last] @ model.text_projection  # (N, W) @ (W, D)
        return torch.nn.functional.normalize(features, dim=-1) if normalize else features


def zero_shot_choice() -> tuple[bool, str]:
    """Say whether text labels are possible here, and why not."""
    if importlib.util.find_spec("open_clip") is None:
        return False, "open_clip is not installed (pip install 'tally[deep]')"
    return weights.available(WEIGHTS)


def assemble(config: dict[str, Any], state: dict[str, Any]) -> Any:
    """Return an ``open_clip.CLIP`` of these parameters, without ever allocating others.

    Args:
        config: of the architecture, as ``open_clip.get_model_config``.
        state: all of its parameters; memory-mapped ones stay mapped.

    Raises:
        PipelineError: MODEL_LOAD_ERROR when names or shapes are not those of the architecture.
    """
    import open_clip
    import torch

    with torch.device("meta"):
        model = open_clip.CLIP(**config)
    try:
        model.load_state_dict(state, assign=True)
    except RuntimeError as error:
        message = f"open_clip {ARCHITECTURE}: the file's parameters are not this network's"
        raise PipelineError(ErrorCode.MODEL_LOAD_ERROR, message) from error
    length = model.positional_embedding.shape[0]
    model.attn_mask = torch.full((length, length), float("-inf")).triu(1)  # causal; not in the state
    return model


@lru_cache(maxsize=1)
def load() -> ZeroShot:
    """Return ViT-B-32 with the published weights, on the GPU where there is one.

    Text embeddings are kept in ``text-embeddings`` of the cache folder.

    Raises:
        PipelineError: MODEL_LOAD_ERROR without verified weights or when they are of another network.
    """
    import open_clip

    model = assemble(open_clip.get_model_config(ARCHITECTURE), weights.load_state_dict(WEIGHTS))
    cache = cache_dir() / "text-embeddings"
    key = weights.entry(WEIGHTS).sha256
    return ZeroShot(model, open_clip.get_tokenizer(ARCHITECTURE), key, best_device(), cache)
