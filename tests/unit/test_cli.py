"""The ``tally`` command imports only what runs, and its failures are sentences."""

from __future__ import annotations

import importlib
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from app import cli
from app.version import VERSION


def test_help_lists_every_command_without_importing_one() -> None:
    script = (
        "import sys; from click.testing import CliRunner; from app.cli import main;"
        "print(CliRunner().invoke(main, ['--help']).output);"
        "print([name for name in sys.modules if name.startswith('app.commands.')])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    assert all(f"  {name} " in printed for name in cli.COMMANDS)
    assert printed.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_of_the_table_exists_and_explains_itself(name: str) -> None:
    module, _, attribute = cli.COMMANDS[name][0].partition(":")
    command = getattr(importlib.import_module(module), attribute)
    assert isinstance(command, click.Command)
    assert command.help


def test_version_is_the_one_of_the_package() -> None:
    assert CliRunner().invoke(cli.main, ["--version"]).output == f"tally, version {VERSION}\n"


def test_an_unknown_command_is_a_usage_error() -> None:
    result = CliRunner().invoke(cli.main, ["guess"])
    assert (result.exit_code, "No such command" in result.output) == (2, True)


def test_a_command_whose_extra_is_not_installed_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cli.COMMANDS, "lacking", ("torch_of_the_future:command", "Needs a missing package."))
    result = CliRunner().invoke(cli.main, ["lacking"])
    assert result.exit_code == 1
    assert "torch_of_the_future" in result.output


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    "command", ["up", "worker", "scheduler", "db upgrade", "jobs reconcile", "media purge"]
)
def test_a_command_stops_at_a_malformed_setting_by_name(here: Path, command: str) -> None:
    result = CliRunner().invoke(cli.main, command.split(), env={"TALLY_PORT": "many"})
    assert result.exit_code == 1
    assert "TALLY_PORT: want an integer" in result.output


def test_up_says_which_port_is_in_use_and_how_to_take_another(here: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(cli.main, ["up"], env={"TALLY_PORT": str(port)})
    assert result.exit_code == 1
    assert f"port {port} on 127.0.0.1 is in use" in result.output
    assert f"TALLY_PORT={port + 1}" in result.output


def test_up_refuses_an_address_that_is_not_this_machines(here: Path) -> None:
    result = CliRunner().invoke(cli.main, ["up"], env={"TALLY_HOST": "192.0.2.1"})
    assert result.exit_code == 1
    assert "cannot listen on 192.0.2.1:8000" in result.output


def test_bench_lists_scripts_with_their_question() -> None:
    printed = CliRunner().invoke(cli.main, ["bench"]).output
    assert "recount" in printed
    assert "How long does a recount take" in printed


def test_bench_refuses_a_name_it_does_not_have() -> None:
    result = CliRunner().invoke(cli.main, ["bench", "../wsgi"])
    assert result.exit_code == 1
    assert "no benchmark '../wsgi'" in result.output
