"""Whatever is put into a queue is taken out and can be run."""

from __future__ import annotations

import ast
import importlib
import re

import pytest

from tests.arch.sources import ROOT, name_of, python_files, tree

DOTTED = re.compile(r"^app\.worker(\.\w+)+$")


def enqueued_names() -> list[str]:
    """Return the dotted names of functions that app/jobs sends to workers."""
    return sorted(
        {
            node.value
            for path in python_files("app/jobs")
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and DOTTED.match(node.value)
        }
    )


def test_something_is_enqueued_by_name() -> None:
    assert enqueued_names()


@pytest.mark.parametrize("name", enqueued_names())
def test_every_enqueued_name_is_a_function_of_the_worker(name: str) -> None:
    module, _, function = name.rpartition(".")
    assert callable(getattr(importlib.import_module(module), function))


def test_queues_are_made_in_one_place_and_the_worker_listens_to_it() -> None:
    makers = [name_of(path) for path in python_files("app") if re.search(r"\bQueue\(", path.read_text())]
    makers = [name for name in makers if name != "app/supervisor.py"]  # a queue.Queue, inside one process
    assert makers == ["app/jobs/queue.py"]
    listeners = [name_of(path) for path in python_files("app/worker") if "message_queue" in path.read_text()]
    assert listeners, "no worker takes messages"


@pytest.mark.parametrize("profile", ["Procfile", "deploy/compose.yaml"])
def test_every_profile_runs_web_worker_and_scheduler(profile: str) -> None:
    text = (ROOT / profile).read_text()
    assert re.search(r"\bgunicorn\b.*\bwsgi:application\b", text)
    for command in ("worker", "scheduler"):
        assert re.search(rf"\btally\b.{{0,8}}\b{command}\b", text), command
