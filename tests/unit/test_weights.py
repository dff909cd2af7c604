"""The manifest, verification and its memory, loading, and the ``tally weights`` command."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.commands.weights import weights as command
from pipeline import weights
from pipeline.contract import PipelineError
from pipeline.weights import WeightsFile, check_file, manifest, state


def toy(body: bytes, size: int | None = None) -> WeightsFile:
    url = "https://example.org/toy.pth"
    return WeightsFile("toy", "toy.pth", url, size, hashlib.sha256(body).hexdigest(), "MIT", "tests")


@pytest.mark.parametrize("name", manifest())
def test_every_entry_names_an_https_source_a_full_hash_and_a_licence(name: str) -> None:
    entry = manifest()[name]
    assert entry.url.startswith("https://")
    assert entry.url.endswith(entry.file)
    assert re.fullmatch("[0-9a-f]{64}", entry.sha256)
    assert entry.licence
    assert entry.bytes is None or entry.bytes > 10_000_000


@pytest.mark.parametrize("name", ["resnet50", "open_clip_vit_b_32"])
def test_hashes_agree_with_the_digits_their_publisher_put_in_the_file_name(name: str) -> None:
    digits = re.search(r"-([0-9a-f]{8})\.pth$", manifest()[name].file)
    assert digits is not None
    assert manifest()[name].sha256.startswith(digits[1])


def test_a_missing_file_is_not_available_and_the_reason_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLY_WEIGHTS_DIR", str(tmp_path))
    ready, reason = weights.available("sam_vit_b")
    assert not ready
    for part in (str(tmp_path / "sam_vit_b_01ec64.pth"), "375042383", "ec2df627", "tally weights pull"):
        assert part in reason


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(PipelineError, match=r"sam_vit_b.*got 'nonsense'"):
        weights.path("nonsense")


@pytest.mark.parametrize(("body", "message"), [(b"abcd", "4 bytes, want 3"), (b"abd", "sha256")])
def test_a_file_that_is_not_the_published_one_is_refused(tmp_path: Path, body: bytes, message: str) -> None:
    file = tmp_path / "toy.pth"
    file.write_bytes(body)
    with pytest.raises(PipelineError, match=message):
        check_file(toy(b"abc", 3), file)


def test_a_changed_file_is_read_again_even_when_it_was_verified_before(tmp_path: Path) -> None:
    file = tmp_path / "toy.pth"
    file.write_bytes(b"abc")
    check_file(toy(b"abc"), file)
    file.write_bytes(b"abd")
    os.utime(file, ns=(1, 1))
    with pytest.raises(PipelineError, match="sha256"):
        check_file(toy(b"abc"), file)


def test_the_verified_note_saves_reading_and_rehash_does_not_trust_it(tmp_path: Path) -> None:
    file = tmp_path / "toy.pth"
    file.write_bytes(b"abc")
    os.utime(file, ns=(5, 5))
    check_file(toy(b"abc"), file)
    file.write_bytes(b"xyz")
    os.utime(file, ns=(5, 5))  # same size and time: only reading tells
    assert check_file(toy(b"abc"), file) == file
    with pytest.raises(PipelineError, match="sha256"):
        check_file(toy(b"abc"), file, rehash=True)


def forget() -> None:
    """Be another process: what is known is on the disk."""
    weights._read_here.clear()


@pytest.fixture
def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are read whole, one by one."""
    read: list[Path] = []
    whole = weights.file_sha256
    monkeypatch.setattr(weights, "file_sha256", lambda file: (read.append(file), whole(file))[1])
    return read


def test_the_next_process_does_not_read_again_and_nothing_is_written_beside_the_weights(
    tmp_path: Path, count_reads: list[Path]
) -> None:
    file = tmp_path / "toy.pth"
    file.write_bytes(b"abc")
    for _ in range(2):
        check_file(toy(b"abc"), file)
        forget()
    assert count_reads == [file]
    assert list(tmp_path.iterdir()) == [file]


def test_a_refused_file_is_not_read_again_until_it_changes(tmp_path: Path, count_reads: list[Path]) -> None:
    file = tmp_path / "toy.pth"
    file.write_bytes(b"abd")
    for _ in range(2):
        for _ in range(2):
            with pytest.raises(PipelineError, match="sha256"):
                check_file(toy(b"abc", 3), file)
        forget()
    assert count_reads == [file]
    file.write_bytes(b"abc")
    os.utime(file, ns=(1, 1))
    assert check_file(toy(b"abc", 3), file) == file


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(file: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(weights, "file_sha256", forbidden)
    (tmp_path / "toy.pth").write_bytes(b"abc")
    with pytest.raises(PipelineError, match=r"toy\.pth cannot be read: Permission denied"):
        check_file(toy(b"abc"), tmp_path / "toy.pth")


def test_what_is_not_used_is_logged_once_and_what_is_missing_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TALLY_WEIGHTS_DIR", str(tmp_path))
    file = tmp_path / manifest()["resnet50"].file
    file.write_bytes(b"not weights")
    for name in ("resnet50", "sam_vit_b", "resnet50"):
        assert not weights.available(name)[0]
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"{file} is not the published file: 11 bytes" in record.getMessage()


def test_the_state_of_a_file_is_told_without_reading_where_that_is_asked(
    tmp_path: Path, count_reads: list[Path]
) -> None:
    file, wanted = tmp_path / "toy.pth", toy(b"abc", 3)
    states = [state(wanted, file, read=False)]
    for body in (b"abcd", b"abd", b"abc"):
        file.write_bytes(body)
        os.utime(file, ns=(len(states), len(states)))
        states += [state(wanted, file, read=False), state(wanted, file), state(wanted, file, read=False)]
    assert states == [
        "missing",
        *("damaged", "damaged", "damaged"),  # its size tells
        *("unread", "damaged", "damaged"),
        *("unread", "genuine", "genuine"),
    ]
    assert len(count_reads) == 2


def test_a_note_is_of_one_place_only(tmp_path: Path, count_reads: list[Path]) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        file = tmp_path / name / "toy.pth"
        file.write_bytes(b"abc")
        os.utime(file, ns=(5, 5))
        check_file(toy(b"abc"), file)
        forget()
    assert len(count_reads) == 2


def test_a_garbled_note_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count_reads: list[Path]
) -> None:
    monkeypatch.setenv("TALLY_CACHE_DIR", str(tmp_path / "cache"))
    file = tmp_path / "toy.pth"
    file.write_bytes(b"abc")
    check_file(toy(b"abc"), file)
    (note,) = (path for path in (tmp_path / "cache").rglob("*") if path.is_file())
    for garbled in ("{", "[]", "7", '["a", 1, 2]'):
        note.write_text(garbled)
        forget()
        assert check_file(toy(b"abc"), file) == file
    assert len(count_reads) == 5


@pytest.mark.deep
@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("zipped", [True, False], ids=["mappable", "old format"])
def test_parameters_are_read_without_wrapper_or_prefix(tmp_path: Path, wrapped: bool, zipped: bool) -> None:
    torch = pytest.importorskip("torch")
    state = {"module.fc.weight": torch.arange(6.0)}
    file = tmp_path / "toy.pth"
    whole = {"epoch": 3, "state_dict": state} if wrapped else state
    torch.save(whole, file, _use_new_zipfile_serialization=zipped)
    read = weights.read_state_dict(file)
    assert list(read) == ["fc.weight"]
    assert read["fc.weight"].tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.deep
def test_a_file_with_code_in_it_is_refused_and_the_code_is_not_run(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    marker, file = tmp_path / "was run", tmp_path / "toy.pth"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(marker),)

    torch.save({"x": Trap()}, file)
    with pytest.raises(PipelineError, match="cannot be read"):
        weights.read_state_dict(file)
    assert not marker.exists()


def test_the_command_lists_every_file_as_missing_in_an_empty_folder(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["list"], env={"TALLY_WEIGHTS_DIR": str(tmp_path)})
    assert result.exit_code == 0
    assert result.output.count("missing") == len(manifest())


def test_the_command_verify_fails_on_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "resnet50-11ad3fa6.pth").write_bytes(b"not weights")
    env = {"TALLY_WEIGHTS_DIR": str(tmp_path)}
    result = CliRunner().invoke(command, ["verify"], env=env)
    assert result.exit_code == 1
    assert "want 102540417" in result.output
    assert "damaged" in CliRunner().invoke(command, ["list"], env=env).output


def test_the_command_verify_says_that_nothing_is_here(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["verify"], env={"TALLY_WEIGHTS_DIR": str(tmp_path)})
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"want weights in {tmp_path}, found none" in result.stderr


def test_the_command_pull_refuses_unknown_names(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["pull", "nonsense"], env={"TALLY_WEIGHTS_DIR": str(tmp_path)})
    assert result.exit_code == 2
    assert "want one of sam_vit_b" in result.output
