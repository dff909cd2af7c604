"""What must not be in the repository: machines' paths, registries, secrets, large files."""

from __future__ import annotations

import configparser
import hashlib
import re
import subprocess

import pytest

from tests.arch.sources import ROOT, name_of, tracked_files

MAX_BYTES = 10 * 2**20
MAX_BUNDLED_BYTES = 13_000_000
DATA = ROOT / "pipeline" / "data"
TEXT = {
    ".py",
    ".md",
    ".txt",
    ".cfg",
    ".toml",
    ".json",
    ".yaml",
    ".yml",
    ".ts",
    ".svelte",
    ".html",
    ".css",
    ".in",
    ".conf",
}
PATHS = re.compile(r"(?<![\w.])/(?:work|root|home/\w+|opt/(?:pypi|wheels))/")
LOCK_URL = re.compile(r"https?://|--(?:extra-)?index-url|--find-links|--trusted-host")


def test_no_path_of_a_developers_machine_is_committed() -> None:
    found = [
        f"{name_of(path)}:{number}"
        for path in tracked_files()
        if path.suffix in TEXT or path.name in {"Makefile", "Dockerfile", "Procfile"}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if PATHS.search(line)
    ]
    assert found == []


def test_locks_hold_hashes_and_no_address() -> None:
    locks = [ROOT / "requirements" / name for name in ("run.txt", "dev.txt", "node.txt")]
    for lock in locks:
        text = lock.read_text()
        assert not LOCK_URL.search(text), lock.name
        assert len(re.findall(r"^\S+==\S+ \\$", text, re.M)) == len(re.findall(r"^\S+==", text, re.M)), (
            lock.name
        )
    assert '"resolved"' not in (ROOT / "frontend" / "package-lock.json").read_text()


def test_the_light_lock_is_part_of_the_full_one_and_has_no_torch() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^([\w.-]+==\S+) \\$", (ROOT / "requirements" / name).read_text(), re.M))

    assert pins("run.txt") <= pins("dev.txt")
    assert not [pin for pin in pins("run.txt") if pin.startswith(("torch", "nvidia"))]


def test_no_weights_or_large_files_are_tracked() -> None:
    assert [name_of(p) for p in tracked_files() if p.stat().st_size > MAX_BYTES] == []
    assert [name_of(p) for p in tracked_files() if p.suffix in {".pth", ".pt", ".safetensors"}] == []


def test_what_is_bundled_with_the_pipeline_stays_small() -> None:
    sizes = {name_of(p): p.stat().st_size for p in tracked_files() if p.is_relative_to(DATA)}
    assert {f"pipeline/data/{name}.onnx" for name in ("mini", "mini_like", "looks")} <= set(sizes)
    assert sum(sizes.values()) <= MAX_BUNDLED_BYTES, sizes


def test_the_digests_of_the_bundled_models_are_those_of_their_files() -> None:
    told = re.findall(r"^\| `(\S+\.onnx)` \| `(\w+)` \|$", (ROOT / "docs" / "models.md").read_text(), re.M)
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in DATA.glob("*.onnx")}
    assert dict(told) == files


def test_every_make_target_that_the_readme_shows_exists() -> None:
    shown = set(re.findall(r"^\s*make ([\w-]+)", (ROOT / "README.md").read_text(), re.M))
    listing = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"make ([\w-]+)", listing))
    assert {"run", "test"} <= shown <= targets


@pytest.mark.parametrize(
    ("lock", "extras"), [("run.txt", ["web", "worker"]), ("dev.txt", ["web", "worker", "deep", "dev"])]
)
def test_the_locks_hold_every_dependency_of_setup_cfg(lock: str, extras: list[str]) -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    wanted = setup["options"]["install_requires"] + "".join(
        setup["options.extras_require"][extra] for extra in extras
    )
    names = {re.split(r"[\[=<>]", line)[0].lower() for line in wanted.split()}
    locked = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements" / lock).read_text(), re.M))
    assert names - locked == set(), "make lock"
