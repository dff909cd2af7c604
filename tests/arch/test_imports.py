"""Who may import whom; the rules are in setup.cfg and docs/architecture.md."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import sys

import pytest

from tests.arch.sources import ROOT, name_of, python_files, tree

NOT_WEB = {"__init__", "__main__", "cli", "commands", "worker"}
PIPELINE_FOR_WEB = (
    "contract",
    "settings",
    "count",
    "calibration",
    "faint",
    "object_types",
    "labels",
    "ops",
    "rules",
    "types",
    "archive",
    "header",
    "damaged",
    "formats",
    "weights",
)
HEAVY = ("torch", "torchvision", "cv2", "skimage", "onnxruntime", "segment_anything", "open_clip")


def imported_modules(source: ast.Module) -> set[str]:
    """Return the dotted names a file imports, wherever in the file; ``from a import b`` gives a and a.b."""
    names = set()
    for node in ast.walk(source):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_the_import_contracts_hold() -> None:
    # In a process of its own: it switches off the loggers of the one it runs in.
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports('setup.cfg'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_contract_on_tensors_names_every_part_of_the_web_application() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = setup["importlinter:contract:web-has-no-tensors"]["source_modules"].split()
    parts = {path.relative_to(ROOT / "app").parts[0].removesuffix(".py") for path in python_files("app")}
    assert sorted(listed) == sorted(f"app.{part}" for part in parts - NOT_WEB)


def test_the_web_application_uses_only_the_light_part_of_the_pipeline() -> None:
    allowed = tuple(f"pipeline.{name}" for name in PIPELINE_FOR_WEB)
    strays = [
        f"{name_of(path)}: {module}"
        for path in python_files("app")
        if path.relative_to(ROOT / "app").parts[0].removesuffix(".py") not in NOT_WEB - {"__init__"}
        for module in imported_modules(tree(path))
        if module.startswith("pipeline.") and not module.startswith(allowed)
    ]
    assert strays == []


def test_the_page_on_architecture_names_the_light_part() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    (row,) = [line for line in page.splitlines() if line.startswith("| `app`, all but")]
    named = re.findall(r"`(\w+)`", row.split("of the pipeline")[1].split("|")[0])
    assert sorted(named) == sorted(PIPELINE_FOR_WEB)


@pytest.mark.parametrize("module", ["wsgi", *(f"pipeline.{name}" for name in PIPELINE_FOR_WEB)])
def test_what_the_web_process_imports_leaves_tensors_out(module: str) -> None:
    script = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_training_is_never_imported_by_what_counts() -> None:
    importers = [
        name_of(path)
        for path in python_files("app", "pipeline")
        if ROOT / "pipeline" / "train" not in path.parents
        and any(module.startswith("pipeline.train") for module in imported_modules(tree(path)))
    ]
    assert importers == []
