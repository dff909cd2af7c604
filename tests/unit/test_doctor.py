"""``tally doctor`` finds what is missing and says how to get it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import main
from app.commands.db import upgrade_to_head
from app.commands.doctor import Finding, findings
from app.config import Config
from pipeline.weights import manifest


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def found() -> dict[str, Finding]:
    return {finding.name: finding for finding in findings()}


def test_a_fresh_folder_has_a_database_to_come_and_a_writable_store() -> None:
    report = found()
    assert report["database"].ok is True
    assert "will be created" in report["database"].text
    assert report["storage"].ok is True
    assert "GiB free" in report["storage"].text


def test_a_malformed_setting_is_named() -> None:
    result = CliRunner().invoke(main, ["doctor"], env={"TALLY_LEASE_S": "soon"})
    assert result.exit_code == 1
    assert "TALLY_LEASE_S: want an integer" in result.output


def test_an_outdated_database_is_found_and_the_remedy_named(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "tally.sqlite3").touch()
    assert found()["database"].ok is False
    assert "tally db upgrade" in found()["database"].text
    upgrade_to_head(Config())
    assert found()["database"].ok is True


def test_a_redis_that_does_not_answer_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLY_REDIS_URL", "redis://127.0.0.1:1/0")
    assert found()["redis"].ok is False


def test_without_any_redis_server_the_ways_to_get_one_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("app.embedded.find_spec", lambda name: None)
    redis = found()["redis"]
    assert redis.ok is False
    assert "apt-get install redis-server" in redis.text


def test_an_engine_that_cannot_run_says_why_and_does_not_fail_the_check() -> None:
    engines = {name: f for name, f in found().items() if name.startswith("engine ")}
    assert engines["engine classical"].ok is True
    assert all(finding.text for finding in engines.values())
    assert all(finding.ok is not False for finding in engines.values())


def test_weights_are_listed_and_a_damaged_file_is_told(tmp_path: Path) -> None:
    file = tmp_path / "weights" / manifest()["resnet50"].file
    file.parent.mkdir()
    file.write_bytes(b"not weights")
    report = found()
    assert {f"weights {name}" for name in manifest()} <= set(report)
    assert "is not the published file: 11 bytes" in report["weights resnet50"].text
    assert report["weights sam_vit_b"].text == "not here: tally weights pull sam_vit_b"
    assert report["weights resnet50"].ok is report["weights sam_vit_b"].ok is None


def test_without_pillow_heif_the_way_to_get_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.commands.doctor.find_spec", lambda name: None)
    heif = found()["[heif]"]
    assert (heif.ok, "pip install pillow-heif" in heif.text) == (None, True)
