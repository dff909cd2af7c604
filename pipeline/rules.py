"""Answer-set rules over candidates: reasoning that thresholds cannot express, solved in a sandbox.

In: Candidates, rules text.  Out: RuleEffects.  Device: CPU, another process.  See docs/rules.md for the
facts a program sees and the atoms it derives. Effects are stored with the candidates: the solver runs again
for other rules, or another type, alone.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import re
import signal
import subprocess
import sys
import threading
import unicodedata
from dataclasses import replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.contract import SettingsError
from pipeline.rules_facts import SAMPLE, facts_of
from pipeline.settings import MAX_RULES_CHARS
from pipeline.types import Candidates, RuleEffects, TypeProbs

log = logging.getLogger(__name__)

CPU_S = 5
TRIAL_CPU_S = 2
WALL_S = 10.0
MEMORY_BYTES = 1024 * 2**20
MAX_NAME_CHARS = 60
_ATOMS_PER_CANDIDATE = 20
_ANSWER_BYTES_PER_ATOM = 2 * MAX_NAME_CHARS + 80
_SANDBOX = Path(__file__).with_name("rules_sandbox.py")


def apply_rules(candidates: Candidates, rules: str) -> RuleEffects:
    """Return what the rules derive about the candidates.

    Args:
        candidates: N candidates with their type probabilities; facts are made of nothing else, so the
            effects hold for every threshold.
        rules: rules text, or the name of a bundled rule set.

    Raises:
        SettingsError: the program is refused, wrong, endless, too large, has no answer or several, or
            speaks of what does not exist; the message says which.
    """
    program = rules_text(rules)
    n = len(candidates)
    answer = _run_sandbox(program, facts_of(candidates), n, CPU_S)
    if "unfit" in answer:
        raise _refused(answer["unfit"])
    return _effects(answer["effects"], n, program)


def with_rules(candidates: Candidates, rules: str) -> Candidates:
    """Return the candidates with what ``apply_rules`` derives, in place of what earlier rules did.

    Names that rules give and that no type has become types of probability 0.

    Raises:
        SettingsError: as ``apply_rules``.
    """
    effects, known = apply_rules(candidates, rules), _without_given(candidates)
    new = tuple(sorted({name for name in effects.relabels if name} - set(known.types)))
    type_probs = TypeProbs(known.types + new, np.pad(known.probs, ((0, 0), (0, len(new)))), known.labelled_by)
    return replace(candidates, type_probs=type_probs, rule_effects=effects)


def _without_given(candidates: Candidates) -> TypeProbs:
    """Return the types without those that only rules know."""
    known, effects = candidates.type_probs, candidates.rule_effects
    given = set(effects.relabels) if effects else set()
    kept = [k for k, name in enumerate(known.types) if k == 0 or name not in given or known.probs[:, k].any()]
    return TypeProbs(tuple(known.types[k] for k in kept), known.probs[:, kept], known.labelled_by)


def follows(effects: RuleEffects | None, rules: str) -> bool:
    """Return whether stored effects are of these rules; raises SettingsError for what are no rules."""
    digest = program_sha256(rules)
    return effects is not None and effects.program_sha256 == digest


def try_rules(rules: str) -> None:
    """Run rules on a small sample, to refuse before any image is looked at what no image would mend.

    What depends on the image is not judged: the number of answers, and the values of effects.

    Args:
        rules: rules text, or the name of a bundled rule set.

    Raises:
        SettingsError: the program is refused, wrong or endless.
    """
    _run_sandbox(rules_text(rules), SAMPLE, 2, TRIAL_CPU_S)


@lru_cache(maxsize=16)
def why_refused(rules: str) -> SettingsError | None:
    """Return what ``try_rules`` raises, None for nothing: tried once a process, not once an image."""
    try:
        try_rules(rules)
    except SettingsError as error:
        return error
    return None


def has_solver() -> bool:
    """Return whether clingo is installed here; every worker needs it, a web process may lack it."""
    return importlib.util.find_spec("clingo") is not None


def rules_text(rules: str) -> str:
    """Return the program: of a bundled set where ``rules`` is a name, else ``rules`` itself.

    Raises:
        SettingsError: an unknown name, no text or too long a one, or control characters in it.
    """
    if re.fullmatch(r"\s*[a-z][a-z0-9_]*\s*", rules):
        named = rule_sets()
        if rules.strip() not in named:
            raise _refused(f"want rules text or one of {', '.join(named)}, got {rules.strip()!r}")
        return named[rules.strip()]
    if not rules.strip():
        raise _refused("want rules text or a saved name, got none")
    if len(rules) > MAX_RULES_CHARS:
        raise _refused(f"want at most {MAX_RULES_CHARS} characters, got {len(rules)}")
    if odd := next((c for c in rules if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\r\t"), None):
        raise _refused(f"want text, got the control character {odd!r}")
    return rules


def rule_sets() -> dict[str, str]:
    """Return the bundled rule sets by name, in alphabetical order."""
    folder = resources.files("pipeline").joinpath("data/rules")
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return {f.name.removesuffix(".lp"): f.read_text("utf-8") for f in files if f.name.endswith(".lp")}


def program_sha256(rules: str) -> str:
    """Return the digest by which ``RuleEffects`` names the rules it follows from."""
    return hashlib.sha256(rules_text(rules).encode()).hexdigest()


def _refused(message: str) -> SettingsError:
    return SettingsError([{"field": "config.symbolic_reasoning.rules", "message": message}])


def _run_sandbox(program: str, facts: str, n: int, cpu_s: int) -> dict[str, Any]:
    """Solve in another process and return its answer; kill it when it takes too long or says too much.

    Returns:
        ``effects``, or ``unfit``: why there are none of these facts, which describe n candidates.

    Raises:
        SettingsError: the program is refused, or ran into a limit.
    """
    if not has_solver():
        raise _refused("the package clingo is not installed here (pip install 'tally[worker]')")
    max_atoms = _ATOMS_PER_CANDIDATE * (n + 1)
    request = {
        "program": program,
        "facts": facts,
        "cpu_s": cpu_s,
        "memory_bytes": MEMORY_BYTES,
        "max_atoms": max_atoms,
    }
    limit = _ANSWER_BYTES_PER_ATOM * max_atoms
    command = [sys.executable, "-I", str(_SANDBOX)]
    with subprocess.Popen(  # noqa: S603 - our own script, no shell
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={}, cwd="/"
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise _refused("the solver did not start")
        clock = threading.Timer(WALL_S, process.kill)
        clock.start()
        try:
            process.stdin.write(json.dumps(request).encode())
            process.stdin.close()
            answer = process.stdout.read(limit + 1)
            if len(answer) > limit:
                process.kill()
            status = process.wait()
        except BrokenPipeError:
            answer, status = b"", process.wait()
        finally:
            clock.cancel()
            process.kill()
    if len(answer) > limit:
        raise _refused(f"the answer is longer than {limit} bytes")
    return _parsed(answer, status, cpu_s)


def _parsed(answer: bytes, status: int, cpu_s: int) -> dict[str, Any]:
    """Return what the sandbox answered; ``status`` tells one that a limit ended from one that crashed."""
    if status in (-signal.SIGKILL, -signal.SIGXCPU):
        raise _refused(
            f"the rules need more than {cpu_s} s or {MEMORY_BYTES >> 20} MB; "
            "look for endless recursion such as p(X+1) :- p(X)"
        )
    if status:
        log.error("the sandbox of rules ended with status %d", status)
        ending = f"signal {-status}" if status < 0 else f"status {status}"
        raise _refused(f"the solver crashed on these rules ({ending}); try simpler ones")
    parsed: dict[str, Any] = json.loads(answer)
    if "refused" in parsed:
        raise _refused(parsed["refused"])
    return parsed


def _effects(atoms: list[list[Any]], n: int, program: str) -> RuleEffects:
    boosts = np.zeros(n, np.float64)
    rejected_by, relabels = [""] * n, [""] * n
    for name, candidate, value in atoms:
        _check_atom(name, candidate, value, n)
        if name == "boost":
            boosts[candidate] += value / 1000
        elif name == "reject":
            rejected_by[candidate] = rejected_by[candidate] or value
        elif relabels[candidate] not in ("", value):
            raise _refused(f"two labels for candidate {candidate}: {relabels[candidate]} and {value}")
        else:
            relabels[candidate] = value
    clipped = np.clip(boosts, -1.0, 1.0).astype(np.float32)
    digest = hashlib.sha256(program.encode()).hexdigest()
    return RuleEffects(clipped, tuple(rejected_by), tuple(relabels), digest)


def _check_atom(name: str, candidate: object, value: object, n: int) -> None:
    """Raise unless the atom speaks of an existing candidate and its value is of the right kind."""
    atom = f"{name}({candidate},{value})"[:200]
    if not isinstance(candidate, int) or not 0 <= candidate < n:
        raise _refused(f"{atom}: want a candidate from 0 to {n - 1}")
    if name == "boost" and not (isinstance(value, int) and -1000 <= value <= 1000):
        raise _refused(f"{atom}: want a whole number from -1000 to 1000 (per mille of the score)")
    is_name = isinstance(value, str) and 0 < len(value) <= MAX_NAME_CHARS and value.isprintable()
    if name != "boost" and not is_name:
        raise _refused(f"{atom!a}: want a name of 1 to {MAX_NAME_CHARS} printable characters")
