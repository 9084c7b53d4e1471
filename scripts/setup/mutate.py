"""Mutation testing of the tariff engine: change one thing in it, run its tests, and see that one of them fails.

The tests are collected and run once as they are, which tells how long each takes and which functions it calls. Then
each mutant has a forked process: the function is exchanged there, and the tests that call it run, the quickest first,
until one fails. What no function holds, or one that is called as the tests are loaded, is tried with every test in a
process that loads the engine anew.

A mutant that survives shows a line that no test asks about, or one that may as well be otherwise; the table of
docs/mutation.md explains the latter, and those of a survivor that is not there are told. The last line is one JSON
object.
"""

from __future__ import annotations

import ast
import gc
import importlib.util
import json
import os
import resource
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from machine import PYTHON, ROOT, install_python, say, stop
from mutants import changed_functions, mutants_of

CORE = ROOT / "parking" / "core"
MODULES = ("price", "stretch", "next_step", "curve", "rule", "tariff")
TESTS = ("lines", "conditions", "stretch", "next_step", "curve", "calendar", "price", "tariff",
         "equal_tariffs", "against_oracle")
EXPLAINED = ROOT / "docs" / "mutation.md"
WORKERS = 2
KEEPS = type(lru_cache(lambda: None))  # a function that keeps its answers
BYTES_MAX = 6 << 30  # a mutant that asks for more makes lines for ever


@dataclass(frozen=True)
class Mutant:
    """A change of a module; `what` is "function: before → after", and functions those that differ, if nothing else."""

    module: str
    line: int
    what: str
    code: CodeType
    functions: tuple[CodeType, ...] | None

    @property
    def name(self) -> str:
        return f"{self.module}: {self.what}"


def list_mutants(module: str, loading: set[tuple[str, str]]) -> Iterator[Mutant]:
    """loading: the functions that are called as the tests are loaded"""
    file = CORE / f"{module}.py"
    tree = ast.parse(file.read_text("utf-8"))
    whole = compile(tree, str(file), "exec")
    for line, what in mutants_of(tree):
        code = compile(ast.fix_missing_locations(tree), str(file), "exec")
        functions = changed_functions(whole, code)
        # What a tariff has once found out of itself it keeps: a function exchanged later is not asked.
        if module in ("rule", "tariff") or any(place_of(each) in loading for each in functions or ()):
            functions = None
        yield Mutant(module, line, what, code, None if functions is None else tuple(functions))


def change_nothing(module: str) -> Mutant:
    """What every test lets through, where they are run as those of a mutant are."""
    file = CORE / f"{module}.py"
    return Mutant(module, 0, "nothing", compile(file.read_text("utf-8"), str(file), "exec"), None)


class Mutated(SourceFileLoader):
    """Loads one module changed."""

    def __init__(self, mutant: Mutant) -> None:
        super().__init__(f"parking.core.{mutant.module}", str(CORE / f"{mutant.module}.py"))
        self.mutant = mutant

    def get_code(self, fullname: str) -> Any:
        return self.mutant.code

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)


@dataclass
class Test:
    """One test as it is: CPU seconds, and the functions of the engine that it calls."""

    item: Any
    seconds: float
    called: set[tuple[str, str]]


class Trial:
    """As a plugin of pytest: what is done with the tests once they are collected, in place of running them all."""

    def __init__(self, deed: Callable[[Any], None]) -> None:
        self.deed = deed

    def pytest_runtestloop(self, session: Any) -> bool:
        if session.testsfailed:
            stop("the tests cannot be loaded")
        self.deed(session)
        return True


def collect(deed: Callable[[Any], None]) -> int:
    import pytest

    files = [f"tests/core/test_{name}.py" for name in TESTS]
    return int(pytest.main(
        ["-o", "addopts=--import-mode=importlib", "--noconftest", "--capture=no",
         *(f"-pno:{name}" for name in ("cacheprovider", "xdist", "terminal")), *files],
        plugins=[Trial(deed)]))


def passes(item: Any) -> bool:
    failed = item.session.testsfailed
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
    return bool(item.session.testsfailed == failed)


def measure(session: Any) -> list[Test]:
    """Each test run once as it is, the quickest first."""
    measured = []
    for item in session.items:
        started = time.process_time()
        with calls_noted() as called:
            passed = passes(item)
        if not passed:
            stop(f"a test fails before anything is changed: {item.nodeid}")
        measured.append(Test(item, time.process_time() - started, called))
    return sorted(measured, key=lambda test: test.seconds)


@contextmanager
def calls_noted() -> Iterator[set[tuple[str, str]]]:
    """The functions of the engine that are called meanwhile, known afterwards."""
    codes: set[CodeType] = set()
    called: set[tuple[str, str]] = set()
    sys.settrace(lambda frame, event, _: codes.add(frame.f_code))
    try:
        yield called
    finally:
        sys.settrace(None)
        called |= {place_of(code) for code in codes if Path(code.co_filename).parent == CORE}


def place_of(code: CodeType) -> tuple[str, str]:
    """File and outermost function: `outer.<locals>.inner` is outer's."""
    return code.co_filename, code.co_qualname.partition(".<locals>")[0]


def run(items: Iterable[tuple[Any, float]]) -> None:
    """In a process of its own, which it ends: with 0 where every test passes."""
    for item, seconds in items:
        signal.setitimer(signal.ITIMER_VIRTUAL, 5 + 4 * seconds)  # that much of the CPU is round for ever
        if not passes(item):
            os._exit(1)
    os._exit(0)


def try_out(mutant: Mutant, tests: list[Test], functions: dict[tuple[str, str], list[FunctionType]]) -> None:
    if mutant.functions is None:
        return run_anew(mutant, tests)
    for code in mutant.functions:
        for function in functions[place_of(code)]:
            function.__code__ = code
    for each in gc.get_objects():  # what was worked out before the change is worked out anew
        if isinstance(each, KEEPS) and (each.__module__ or "").startswith("parking."):
            each.cache_clear()
    places = {place_of(code) for code in mutant.functions}
    return run((test.item, test.seconds) for test in tests if places & test.called)


def run_anew(mutant: Mutant, tests: list[Test]) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] in ("parking", "tests")]:
        del sys.modules[name]
    sys.meta_path.insert(0, Mutated(mutant))
    seconds = {test.item.nodeid: (place, test.seconds) for place, test in enumerate(tests)}

    def deed(session: Any) -> None:
        items = sorted(session.items, key=lambda item: seconds[item.nodeid])
        run((item, seconds[item.nodeid][1]) for item in items)

    signal.setitimer(signal.ITIMER_VIRTUAL, 60)
    collect(deed)
    os._exit(1)


def fork(deed: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        silent = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(silent, stream)
        resource.setrlimit(resource.RLIMIT_AS, (BYTES_MAX, BYTES_MAX))
        deed()
    finally:
        os._exit(1)


def survivors(mutants: list[Mutant], tests: list[Test]) -> Iterator[Mutant]:
    """Each mutant that all tests let through, as soon as it is known."""
    functions: dict[tuple[str, str], list[FunctionType]] = defaultdict(list)
    for each in gc.get_objects():
        if isinstance(each, FunctionType) and Path(each.__code__.co_filename).parent == CORE:
            functions[place_of(each.__code__)].append(each)
    waiting, running = mutants[::-1], dict[int, Mutant]()
    while waiting or running:
        while waiting and len(running) < WORKERS:
            mutant = waiting.pop()
            running[fork(lambda: try_out(mutant, tests, functions))] = mutant  # noqa: B023
        child, status = os.wait()
        mutant = running.pop(child)
        if status == 0:
            yield mutant


def main() -> None:
    if Path(sys.prefix).resolve() != (ROOT / ".venv").resolve():
        install_python(ROOT / "requirements-dev.txt")
        os.execv(PYTHON, [str(PYTHON), __file__, *sys.argv[1:]])  # noqa: S606
    asked = sys.argv[1:] or list(MODULES)
    if not set(asked) <= set(MODULES):
        stop(f"scripts/mutate [{' | '.join(MODULES)}]")
    os.environ.pop("PAIRS", None)
    os.chdir(ROOT)
    os.nice(15)
    from hypothesis import Phase, settings

    settings.register_profile(
        "mutants", phases=[Phase.explicit, Phase.generate], derandomize=True, database=None, deadline=None)
    settings.load_profile("mutants")
    say("the engine as it is")
    started_at = time.monotonic()
    with ExitStack() as until_loaded:
        loading = until_loaded.enter_context(calls_noted())

        def deed(session: Any) -> None:
            until_loaded.close()
            report(asked, loading, session, started_at)

        raise SystemExit(collect(deed) or 1)


def report(asked: list[str], loading: set[tuple[str, str]], session: Any, started_at: float) -> None:
    tests = measure(session)
    say(f"{len(tests)} tests of {sum(test.seconds for test in tests):.0f} s")
    if not any(survivors([change_nothing(asked[0])], tests)):
        stop("with nothing changed, a test fails where the engine is loaded anew")
    mutants = [mutant for module in asked for mutant in list_mutants(module, loading)]
    say(f"{len(mutants)} mutants")
    counts: Counter[str] = Counter(mutants=len(mutants))
    explained = read_explained()
    for mutant in survivors(mutants, tests):
        is_explained = mutant.name in explained
        counts["survived"] += 1
        counts["explained" if is_explained else "unexplained"] += 1
        say(f"{'explained' if is_explained else 'SURVIVES '} {mutant.line}: {mutant.name}")
    counts["killed"] = counts["mutants"] - counts["survived"]
    counts["seconds"] = round(time.monotonic() - started_at)
    print(json.dumps({name: counts[name] for name in (
        "mutants", "killed", "survived", "explained", "unexplained", "seconds")}), flush=True)
    os._exit(1 if counts["unexplained"] else 0)


def read_explained() -> set[str]:
    """The first column of the table."""
    if not EXPLAINED.exists():
        return set()
    rows = (line.split("`") for line in EXPLAINED.read_text("utf-8").splitlines() if line.startswith("| `"))
    return {row[1] for row in rows}


if __name__ == "__main__":
    main()
