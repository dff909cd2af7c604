"""Solves one answer-set program in a process of its own: JSON in, JSON out, nothing else.

Run as a script (``python -I rules_sandbox.py``) by ``pipeline.rules``, never imported by it. Before any
rule is read, the process gives up: more CPU seconds and memory than allowed, writing to files, opening
files, starting processes. Programs that could run code or read files are refused by their syntax tree.
"""

from __future__ import annotations

import json
import re
import resource
import sys
from typing import Any

import clingo
from clingo import ast

ALLOWED = frozenset(
    {
        ast.ASTType.Program,  # "#program base.", which the parser puts first
        ast.ASTType.Rule,
        ast.ASTType.Definition,
        ast.ASTType.Minimize,
        ast.ASTType.Defined,
        ast.ASTType.ShowSignature,
        ast.ASTType.Comment,
    }
)
_FORBIDDEN = re.compile(r'"(?:\\.|[^"\\\n])*"|%\*.*?\*%|%[^\n]*|(#script|#include)', re.DOTALL)
"""Strings, comments, and as a group the words that may stand only in these: the parser itself opens what
``#include`` names. Of a comment within a comment it sees too little; then the limits and ``ALLOWED`` hold."""

EFFECTS = {"boost": "P", "reject": "name", "relabel": "name"}
"""What a program may say of a candidate, and what it says it with."""


class RefusedError(Exception):
    """The program is not one we solve; the message is for the person who wrote it."""


class UnfitError(RefusedError):
    """The program can be solved, but on these facts says too much, or has not one answer."""


def limit_process(cpu_s: int, memory_bytes: int) -> None:
    """Give up what a solver does not need; called after the imports, before any rule is read."""
    for kind, value in (
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 3),  # standard input, output and error are open already
    ):
        resource.setrlimit(kind, (value, value))


class _Guard(ast.Transformer):
    """Refuses calls of external functions and effects of other than two values, wherever they are."""

    def visit_Function(self, node: ast.AST) -> ast.AST:  # noqa: N802 - clingo looks for this name
        """Refuse ``@f(x)``: it would call into the host program."""
        if node.external:
            raise RefusedError(f"external functions are not allowed: @{node.name}")
        return node.update(**self.visit_children(node))

    def visit_SymbolicAtom(self, node: ast.AST) -> ast.AST:  # noqa: N802 - clingo looks for this name
        """Refuse ``reject(0)``: it would have no effect."""
        symbol = node.symbol
        while symbol.ast_type == ast.ASTType.UnaryOperation:
            symbol = symbol.argument
        for atom in symbol.arguments if symbol.ast_type == ast.ASTType.Pool else [symbol]:
            if atom.name in EFFECTS and len(atom.arguments) != 2:
                place, wanted = atom.location.begin, f"{atom.name}(C, {EFFECTS[atom.name]})"
                raise RefusedError(f"line {place.line}:{place.column}: want {wanted}, got {str(atom)[:80]}")
        return node.update(**self.visit_children(node))


def check_syntax(program: str) -> None:
    """Refuse all but rules, constants and #minimize."""
    for part in _FORBIDDEN.finditer(program):
        if part[1]:
            raise RefusedError(f"{part[1]} is not allowed")
    guard = _Guard()
    messages: list[str] = []

    def check(statement: ast.AST) -> None:
        is_part = statement.ast_type == ast.ASTType.Program and statement.name != "base"
        if statement.ast_type not in ALLOWED or is_part:
            raise RefusedError(f"not allowed: {str(statement)[:80]}")
        guard.visit(statement)

    try:
        ast.parse_string(program, check, logger=lambda code, text: messages.append(text))
    except RuntimeError as error:
        raise RefusedError(_first(messages, str(error))) from None


def solve(program: str, facts: str, max_atoms: int) -> list[list[Any]]:
    """Return [name, candidate, value] of every derived effect, sorted.

    Raises:
        RefusedError: bad syntax, atoms that nothing derives.
        UnfitError: too many effects, no answer, or several that are equally good and differ in their effects.
    """
    check_syntax(program)
    control = _grounded(program, facts)
    found, cost = _best(control, max_atoms)
    if _has_equal(control, found, cost):
        advice = (
            "let #minimize tell them apart"
            if cost
            else "leave out choices and disjunctions, or add #minimize"
        )
        raise UnfitError(
            f"want one {'best ' if cost else ''}answer, got several with other effects: {advice}"
        )
    return [_plain(symbol) for symbol in sorted(found)]


def _grounded(program: str, facts: str) -> clingo.Control:
    messages: list[str] = []
    options = ["--models=0", "--warn=none", "--warn=atom-undefined"]
    control = clingo.Control(options, logger=lambda code, text: messages.append(text))
    try:
        control.add("base", [], facts)
        control.add("base", [], program)
        control.ground([("base", [])])
    except RuntimeError as error:
        raise RefusedError(_first(messages, str(error))) from None
    if messages:
        raise RefusedError(f"{_first(messages, '')}: want a fact or what a rule derives (or #defined NAME/N)")
    return control


def _best(control: clingo.Control, max_atoms: int) -> tuple[set[clingo.Symbol], list[int]]:
    """Return the effects and the cost of an answer that no other betters; no cost without #minimize."""
    found: set[clingo.Symbol] | None = None
    cost: list[int] = []
    with control.solve(yield_=True) as handle:
        for model in handle:
            found, cost = {s for s in model.symbols(atoms=True) if _is_effect(s)}, list(model.cost)
            if len(found) > max_atoms:
                raise UnfitError(f"want at most {max_atoms} effects, got {len(found)}")
            if not cost:
                break
    if found is None:
        raise UnfitError("the rules contradict each other: no answer")
    return found, cost


def _has_equal(control: clingo.Control, found: set[clingo.Symbol], cost: list[int]) -> bool:
    """Return whether an answer of at most this cost has other effects than those found."""
    effects = [a for a in control.symbolic_atoms if _is_effect(a.symbol) and not a.is_fact]
    with control.backend() as backend:
        backend.add_rule([], [a.literal if a.symbol in found else -a.literal for a in effects])
    if cost:
        solving: Any = control.configuration.solve
        solving.opt_mode = ",".join(["enum", *map(str, cost)])
    return bool(control.solve().satisfiable)


def _is_effect(symbol: clingo.Symbol) -> bool:
    return symbol.positive and symbol.name in EFFECTS


def _plain(symbol: clingo.Symbol) -> list[Any]:
    values: list[Any] = [symbol.name]
    for argument in symbol.arguments:
        if argument.type == clingo.SymbolType.Number:
            values.append(argument.number)
        elif argument.type == clingo.SymbolType.String:
            values.append(argument.string)
        else:
            values.append(str(argument))
    return values


def _first(messages: list[str], otherwise: str) -> str:
    """The first thing the parser complained of, as ``line:columns: what``, without our file name."""
    text = " ".join((messages[0] if messages else otherwise).split())
    return text.replace("<string>:", "line ").replace("<block>:", "line ").replace("info: ", "")[:400]


def main() -> None:
    """Read one request from standard input, answer on standard output."""
    request = json.load(sys.stdin)
    limit_process(request["cpu_s"], request["memory_bytes"])
    answer: dict[str, Any]
    try:
        answer = {"effects": solve(request["program"], request["facts"], request["max_atoms"])}
    except UnfitError as error:
        answer = {"unfit": str(error)}
    except RefusedError as error:
        answer = {"refused": str(error)}
    except MemoryError:
        answer = {"refused": "out of memory"}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
