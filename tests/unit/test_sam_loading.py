"""SAM's weights on their way in: a file of ViT-B's real size, seeded, registered, verified, memory-mapped."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from segment_anything import sam_model_registry  # noqa: E402

from pipeline import weights  # noqa: E402
from pipeline.contract import ErrorCode, PipelineError  # noqa: E402
from pipeline.segment import mini, registry  # noqa: E402
from pipeline.segment import sam as door  # noqa: E402

pytestmark = pytest.mark.deep


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, weights.WeightsFile]]:
    """A SAM built by segment-anything's own classes, its file, and what a manifest would say of it."""
    torch.manual_seed(0)
    sam = sam_model_registry["vit_b"]()
    file = tmp_path_factory.mktemp("weights") / "sam_seeded.pth"
    torch.save(sam.state_dict(), file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    url = "https://example.org/sam_seeded.pth"
    yield sam, weights.WeightsFile("sam_vit_b", file.name, url, file.stat().st_size, digest, "MIT", str(file))
    file.unlink()  # 375 MB


@pytest.fixture
def entry(published: tuple[Any, weights.WeightsFile], monkeypatch: pytest.MonkeyPatch) -> weights.WeightsFile:
    """The manifest holds the seeded file; the folder of weights is where it lies; nothing is loaded yet."""
    found = published[1]
    monkeypatch.setenv("TALLY_WEIGHTS_DIR", str(Path(found.used_for).parent))
    register(monkeypatch, found)
    monkeypatch.setattr(registry, "_loaded", {})
    return found


def register(monkeypatch: pytest.MonkeyPatch, *entries: weights.WeightsFile) -> None:
    monkeypatch.setattr(weights, "manifest", lambda: {entry.name: entry for entry in entries})


def test_the_engine_has_the_parameters_of_the_file_mapped_not_copied(
    published: tuple[Any, weights.WeightsFile], entry: weights.WeightsFile
) -> None:
    engine, reason = registry.load("sam", "vit_b", "exact")
    loaded = engine.inner._sam.state_dict()  # type: ignore[attr-defined]
    wanted = published[0].state_dict()
    assert list(loaded) == list(wanted)
    assert all(torch.equal(loaded[name].cpu(), wanted[name]) for name in wanted)
    assert (engine.info.engine, engine.info.model, engine.info.weights_sha256) == (
        "sam",
        "vit_b",
        entry.sha256,
    )
    assert reason == "asked for"
    if engine.info.device == "cpu" and Path("/proc/self/maps").exists():
        assert entry.used_for in Path("/proc/self/maps").read_text()


def test_each_mode_is_loaded_once_and_only_fast_has_a_prompter(entry: weights.WeightsFile) -> None:
    fast, exact = (registry.load("sam", "vit_b", mode)[0].inner for mode in ("fast", "exact"))  # type: ignore[attr-defined,arg-type]
    assert registry.load("sam", "vit_b")[0].inner is fast  # type: ignore[attr-defined]
    assert registry.load("sam")[0].inner is fast  # type: ignore[attr-defined]
    assert (fast.settings.mode, exact.settings.mode) == ("fast", "exact")
    assert (fast.settings.points_per_side, exact.settings.points_per_side) == (32, 32)
    assert (fast._prompter is not None) == mini.available()[0]
    assert exact._prompter is None
    digest = hashlib.sha256(mini.MODEL.read_bytes()).hexdigest()
    asks = fast._prompter is not None and fast.info.device == "cpu"
    assert fast.info.prompt_models == ({"mini": digest} if asks else {})
    assert exact.info.prompt_models == {}


def test_engines_with_one_mode_are_not_loaded_twice() -> None:
    assert registry.load("classical", None, "exact")[0] is registry.load("classical")[0]


def test_a_file_with_another_hash_is_refused_before_it_is_read(
    entry: weights.WeightsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, replace(entry, sha256="0" * 64))
    with pytest.raises(PipelineError, match=f"sha256 {entry.sha256}, want 0000") as caught:
        door.load("vit_b")
    assert caught.value.code == ErrorCode.MODEL_LOAD_ERROR
    usable, why = door.available()
    assert not usable
    assert "is not the published file" in why


def test_a_genuine_file_of_another_architecture_is_refused(
    entry: weights.WeightsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, replace(entry, name="sam_vit_l"))
    with pytest.raises(PipelineError) as caught:
        door.load("vit_l")
    assert str(caught.value) == "sam_seeded.pth: want the parameters of vit_l, got another model's"
    assert caught.value.code == ErrorCode.MODEL_LOAD_ERROR


def test_where_no_model_is_named_the_first_whose_weights_are_here_is_meant(
    entry: weights.WeightsFile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    large, absent = replace(entry, name="sam_vit_l"), replace(entry, name="sam_vit_b", file="absent.pth")
    register(monkeypatch, absent, large)
    assert door.available() == (True, entry.used_for)
    with pytest.raises(PipelineError, match="want the parameters of vit_l"):  # it is vit_b's, in truth
        door.load()
    monkeypatch.setenv("TALLY_WEIGHTS_DIR", str(tmp_path))
    with pytest.raises(PipelineError, match=r"absent\.pth"):
        door.load()
