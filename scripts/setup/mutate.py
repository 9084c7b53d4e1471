"""Mutation testing of the tariff engine: change one thing in it, run its tests, and see that one of them fails.

A mutant that survives shows a line that no test asks about, or one that may as well be otherwise; docs/mutation.md
explains the latter, and those of a survivor that is not there are told at the end. The last line is one JSON object.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from machine import PYTHON, ROOT, install_python, say, stop

CORE = ROOT / "parking" / "core"
MODULES = ("price", "stretch", "next_step", "tariff")
TESTS = ("test_next_step", "test_calendar", "test_tariff", "test_price", "test_equal_tariffs", "test_against_oracle")
EXPLAINED = ROOT / "docs" / "mutation.md"
SECONDS_MAX = 180  # a mutant that runs longer goes round for ever
OTHER: dict[type, tuple[type, ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,), ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.FloorDiv,),
    ast.FloorDiv: (ast.Mult,), ast.And: (ast.Or,), ast.Or: (ast.And,), ast.USub: (ast.UAdd,)}
OTHER_NAME = {"min": "max", "max": "min", "any": "all", "all": "any"}
DELETED = (ast.Expr, ast.AugAssign, ast.Raise, ast.Continue, ast.Break)


@dataclass(frozen=True)
class Mutant:
    """The number-th change of a module; `what` is "function: before → after"."""

    module: str
    number: int
    line: int
    what: str

    @property
    def name(self) -> str:
        return f"{self.module}: {self.what}"


def mutants_of(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Each change in turn, made in the tree for as long as it is looked at: (line, what)."""
    for node, around, function in _walk(tree, [], "module"):
        for holder, place, new in _changes(node):
            old = holder[place] if isinstance(holder, list) else getattr(holder, place)
            shown = around if isinstance(node, ast.Constant | ast.Name) else node
            before, line = _text(shown), getattr(old if isinstance(old, ast.AST) else shown, "lineno", 0)
            _put(holder, place, new)
            after = _text(shown)
            if isinstance(new, ast.Pass):
                before, after = _text(old), "nothing"
            elif isinstance(old, ast.expr):
                before, after = _text(old), _text(new)
            yield line, f"{function}: {before} → {after}"
            _put(holder, place, old)


def _walk(node: ast.AST, path: list[str], function: str) -> Iterator[tuple[ast.AST, ast.AST, str]]:
    """Each node with the one around it, but for what is said to people, to type checkers and by decorators."""
    for name, value in ast.iter_fields(node):
        for each in value if isinstance(value, list) else [value]:
            if not isinstance(each, ast.AST) or name in ("decorator_list", "returns"):
                continue
            if isinstance(each, ast.Raise | ast.JoinedStr | ast.Assert | ast.Import | ast.ImportFrom) or _is_text(each):
                if isinstance(each, ast.Raise):
                    yield each, node, function
                continue
            if isinstance(each, ast.arg) or (isinstance(each, ast.Subscript) and ast.unparse(each.value) == "Literal"):
                continue
            inside = each.name if isinstance(each, ast.FunctionDef | ast.ClassDef) else function
            if isinstance(each, ast.FunctionDef) and path:
                inside = f"{path[-1]}.{each.name}"
            yield each, node, inside
            yield from _walk(each, [*path, each.name] if isinstance(each, ast.ClassDef) else path, inside)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _changes(node: ast.AST) -> Iterator[tuple[Any, Any, Any]]:
    """(holder, field or index, what stands there instead)"""
    if isinstance(node, ast.Compare):
        for place, comparison in enumerate(node.ops):
            yield from ((node.ops, place, other()) for other in OTHER.get(type(comparison), ()))
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.UnaryOp):
        yield from ((node, "op", other()) for other in OTHER.get(type(node.op), ()))
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        yield node, "test", _not(node.test)
    if isinstance(node, ast.comprehension):
        yield from ((node.ifs, place, _not(test)) for place, test in enumerate(node.ifs))
    if isinstance(node, ast.Return) and node.value is not None and not isinstance(node.value, ast.Constant):
        yield node, "value", ast.Constant(None)
    if isinstance(node, ast.Name) and node.id in OTHER_NAME:
        yield node, "id", OTHER_NAME[node.id]
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield node, "value", not node.value
        elif isinstance(node.value, int):
            yield from ((node, "value", node.value + more) for more in (1, -1) if node.value + more >= 0)
        elif isinstance(node.value, str):
            yield node, "value", node.value + "~"
    for block in (getattr(node, name, None) for name in ("body", "orelse")):
        for place, statement in enumerate(block if isinstance(block, list) else ()):
            if isinstance(statement, DELETED) and not _is_text(statement):
                yield block, place, ast.copy_location(ast.Pass(), statement)


def _not(test: ast.expr) -> ast.expr:
    return ast.copy_location(ast.UnaryOp(ast.Not(), test), test)


def _put(holder: Any, place: Any, value: Any) -> None:
    if isinstance(holder, list):
        holder[place] = value
    else:
        setattr(holder, place, value)


def _text(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())[:100]


class Mutated(SourceFileLoader):
    """Loads one module changed."""

    def __init__(self, name: str, path: str, number: int) -> None:
        super().__init__(name, path)
        self.number = number

    def get_code(self, fullname: str) -> Any:
        tree = ast.parse(Path(self.path).read_text("utf-8"))
        for number, _ in enumerate(mutants_of(tree)):
            if number == self.number:
                return compile(ast.fix_missing_locations(tree), self.path, "exec")
        raise AssertionError("no such mutant")

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)


def run_tests(module: str, number: int | None) -> None:
    """In a process of its own; it exits with 0 where every test passes."""
    import pytest

    os.chdir(ROOT)
    silent = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silent, stream)
    if number is not None:
        sys.meta_path.insert(0, Mutated(f"parking.core.{module}", str(CORE / f"{module}.py"), number))
    files = [f"tests/core/{name}.py" for name in TESTS if (ROOT / "tests" / "core" / f"{name}.py").exists()]
    os._exit(int(pytest.main(["-x", "-q", "--noconftest", "-p", "no:cacheprovider", "-p", "no:xdist", *files])))


def is_killed(module: str, number: int | None) -> bool:
    process = multiprocessing.get_context("fork").Process(target=run_tests, args=(module, number))
    process.start()
    process.join(SECONDS_MAX)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode != 0


def main() -> None:
    if Path(sys.prefix).resolve() != (ROOT / ".venv").resolve():
        install_python(ROOT / "requirements-dev.txt")
        os.execv(PYTHON, [str(PYTHON), __file__, *sys.argv[1:]])  # noqa: S606
    asked = sys.argv[1:] or list(MODULES)
    if not set(asked) <= set(MODULES):
        stop(f"scripts/mutate [{' | '.join(MODULES)}]")
    os.environ.pop("PAIRS", None)
    os.nice(15)
    # Loaded once, before the processes fork; the engine and its tests are loaded in each.
    import hypothesis
    import pydantic
    import pytest  # noqa: F401

    hypothesis.settings.register_profile("mutants", phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate])
    hypothesis.settings.load_profile("mutants")
    say(f"pydantic {pydantic.VERSION}, hypothesis {hypothesis.__version__}; the engine as it is")
    if is_killed(asked[0], None):
        stop("the tests fail before anything is changed")
    mutants = [
        Mutant(module, number, line, what) for module in asked
        for number, (line, what) in enumerate(mutants_of(ast.parse((CORE / f"{module}.py").read_text("utf-8"))))]
    say(f"{len(mutants)} mutants")
    raise SystemExit(report(mutants))


def report(mutants: list[Mutant]) -> int:
    explained = EXPLAINED.read_text("utf-8") if EXPLAINED.exists() else ""
    counts: Counter[str] = Counter(mutants=len(mutants))
    started_at = time.monotonic()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for mutant, killed in zip(mutants, pool.map(lambda each: is_killed(each.module, each.number), mutants),
                                  strict=True):
            counts["killed" if killed else "survived"] += 1
            if not killed:
                is_explained = mutant.name in explained
                counts["explained" if is_explained else "unexplained"] += 1
                say(f"{'explained' if is_explained else 'SURVIVES '} {mutant.line}: {mutant.name}")
    counts["seconds"] = round(time.monotonic() - started_at)
    print(json.dumps({name: counts[name] for name in (
        "mutants", "killed", "survived", "explained", "unexplained", "seconds")}))
    return 1 if counts["unexplained"] else 0


if __name__ == "__main__":
    main()
