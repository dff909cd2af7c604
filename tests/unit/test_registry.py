"""The engine that counts is the one asked for, or the best that can run; and it says why."""

from __future__ import annotations

import pytest

from pipeline.contract import ErrorCode, PipelineError
from pipeline.segment import mini, registry, sam
from pipeline.segment.registry import BEST_FIRST, choose, is_available, load


def test_an_engine_asked_for_is_taken_and_loaded_once():
    engine, reason = load("classical")
    assert (engine.info.engine, reason) == ("classical", "asked for")
    assert load("classical")[0] is engine


def test_auto_takes_the_first_that_is_available_and_says_what_is_missing():
    name, reason = choose()
    better = BEST_FIRST[: BEST_FIRST.index(name)]
    assert is_available(name, for_auto=True)[0]
    assert not any(is_available(other, for_auto=True)[0] for other in better)
    assert reason.startswith(f"best engine available here: {name}")
    assert all(f"no {other}: " in reason for other in better)
    assert "http" not in reason
    engine, told = load("auto")
    assert (engine.info.engine, told) == (name, reason)


def test_without_cuda_and_weights_of_sam_auto_is_mini(monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "_has_cuda", lambda: False)
    monkeypatch.setenv("TALLY_WEIGHTS_DIR", str(tmp_path))
    name, reason = choose()
    assert name == load("auto")[0].info.engine == "mini"
    assert "no sam: " in reason
    assert "classical" not in reason


def test_without_the_model_of_mini_too_auto_is_classical(monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "_has_cuda", lambda: False)
    monkeypatch.setattr(mini, "MODEL", tmp_path / "mini.onnx")
    assert choose()[0] == "classical"


def test_auto_says_that_it_does_not_use_a_model_of_another_engine(monkeypatch):
    monkeypatch.setattr(registry, "_has_cuda", lambda: False)
    engine, reason = load("auto", "vit_b")
    assert engine is load("auto")[0]
    assert reason == f"{choose()[1]}; model vit_b is not used: only sam has models"
    assert "model" not in load("auto")[1]


@pytest.mark.parametrize("name", ["mini", "classical"])
def test_a_model_of_an_engine_that_has_none_is_refused(name):
    with pytest.raises(PipelineError) as caught:
        load(name, "vit_b")
    assert caught.value.code == ErrorCode.MODEL_LOAD_ERROR
    assert str(caught.value) == f"model: want none with the engine {name} (only sam has models), got vit_b"


def test_the_missing_file_is_that_of_the_model_asked_for(monkeypatch, tmp_path):
    monkeypatch.setattr(sam, "NEEDS", ())
    monkeypatch.setenv("TALLY_WEIGHTS_DIR", str(tmp_path))
    with pytest.raises(PipelineError, match=r"sam_vit_h_4b8939\.pth is missing") as caught:
        load("sam", "vit_h")
    assert "vit_b" not in str(caught.value)


def test_an_unknown_engine_names_the_known_ones():
    with pytest.raises(PipelineError, match="want one of auto, classical, mini, sam, got yolo") as caught:
        load("yolo")
    assert caught.value.code == ErrorCode.MODEL_LOAD_ERROR


@pytest.mark.parametrize("name", ["sam", "mini"])
def test_an_engine_that_cannot_run_says_why(name):
    usable, why = is_available(name)
    if usable:
        assert load(name)[0].info.engine == name
        return
    with pytest.raises(PipelineError) as caught:
        load(name)
    assert caught.value.code == ErrorCode.MODEL_LOAD_ERROR
    assert str(caught.value) == f"engine {name} cannot run here: {why}"
