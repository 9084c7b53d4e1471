"""The rules of the house, kept by tests."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

from alembic.script import ScriptDirectory
from babel.messages.pofile import read_po
from flask import Flask

from parking.core.anomaly import RULES
from parking.core.line import RULE_NAMES
from parking.core.reason import LANGUAGES, REASONS
from parking.store.migrations import alembic_config

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "parking"
MAY_IMPORT = {
    "core": {"core"},
    "store": {"core", "store"},
    "services": {"core", "store", "services"},
    "adapters": {"core", "adapters"},
    "edge": {"core", "edge"},
    "simulators": {"core", "adapters", "simulators"},
    "web": {"core", "store", "services", "web"},
    "cli": {"core", "store", "services", "web", "cli"},
}
FORBIDDEN = {"core": {"flask", "sqlalchemy", "alembic", "psycopg"}, "edge": {"flask", "sqlalchemy", "alembic"}}


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_imports_point_one_way() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in PACKAGE.rglob("*.py")
        if "node_modules" not in path.parts and layer_of(path) != "__init__"
        for name in imports(path)
        if (name.startswith("parking.") and name.split(".")[1] not in MAY_IMPORT[layer_of(path)])
        or name.split(".")[0] in FORBIDDEN.get(layer_of(path), set())
    ]

    assert wrong == []


def test_sql_is_seen_in_the_store_alone() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for layer in ("web", "cli") for path in (PACKAGE / layer).glob("*.py")
        for name in imports(path)
        if name.startswith("sqlalchemy.") and name not in {"sqlalchemy.orm", "sqlalchemy.orm.Session",
                                                           "sqlalchemy.exc", "sqlalchemy.exc.SQLAlchemyError"}
    ]

    assert wrong == []


def test_core_and_edge_stand_alone() -> None:
    program = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in {'flask', 'sqlalchemy', 'alembic', 'psycopg', 'werkzeug'}:\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "import importlib, pkgutil, parking.core, parking.edge\n"
        "for package in (parking.core, parking.edge):\n"
        "    for each in pkgutil.iter_modules(package.__path__, package.__name__ + '.'):\n"
        "        importlib.import_module(each.name)\n"
    )

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def test_only_the_edges_read_the_clock() -> None:
    clock = re.compile(r"datetime\.now\(|time\.time\(|utcnow\(|date\.today\(")
    wrong = [
        str(path) for layer in ("core", "store", "services") for path in (PACKAGE / layer).rglob("*.py")
        if clock.search(path.read_text("utf-8"))
    ]

    assert wrong == []


def test_there_is_one_migration_head() -> None:
    assert len(ScriptDirectory.from_config(alembic_config("sqlite://")).get_heads()) == 1


def test_every_reason_is_documented_and_said_in_every_language() -> None:
    documented = set(re.findall(r"^\| `(\w+)`", (ROOT / "docs/reasons.md").read_text("utf-8"), re.MULTILINE))

    assert documented == set(REASONS)
    assert all(reason.says[language].strip() for reason in REASONS.values() for language in LANGUAGES)


def test_every_rule_of_an_anomaly_is_documented_and_said_in_every_language() -> None:
    documented = set(re.findall(r"^\| `(\w+)`", (ROOT / "docs/anomalies.md").read_text("utf-8"), re.MULTILINE))

    assert documented == set(RULES)
    assert all(says[language].strip() for says in RULES.values() for language in LANGUAGES)


def test_every_line_rule_is_in_the_tariff_page() -> None:
    page = (ROOT / "docs/tariffs.md").read_text("utf-8")

    assert [name for name in sorted(RULE_NAMES) if f"`{name}`" not in page] == []


def test_every_text_of_a_page_is_translated() -> None:
    said = {
        text
        for path in (PACKAGE / "web/templates").glob("*.html")
        for text in re.findall(r"""_\((?:"([^"]+)"|'([^']+)')""", path.read_text("utf-8"))
        for text in text if text
    }
    said |= {
        str(ast.literal_eval(call.args[0]))
        for path in (PACKAGE / "web").glob("*.py")
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "gettext"
    }
    for language in ("zh", "fr"):
        with (PACKAGE / f"web/translations/{language}/LC_MESSAGES/messages.po").open("rb") as file:
            known = {message.id for message in read_po(file) if message.string}
        assert said - known == set(), language


def test_no_fen_is_a_float() -> None:
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        if "node_modules" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and \
                    node.target.id.endswith("_fen") and "float" in ast.unparse(node.annotation):
                wrong.append(f"{path}:{node.lineno}")
    assert wrong == []


def test_every_route_says_who_may_call_it(app: Flask) -> None:
    silent = [
        rule.rule for rule in app.url_map.iter_rules()
        if rule.endpoint != "static" and not hasattr(app.view_functions[rule.endpoint], "audience")
    ]

    assert silent == []


def test_the_top_level_holds_what_was_agreed() -> None:
    agreed = {
        "parking", "migrations", "tests", "scripts", "config.py", "wsgi.py", "requirements.txt", "README.md",
        "CHANGELOG.md", "LICENSE", "pyproject.toml", "requirements-dev.txt", "docs",
    }
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    top = {line.split("/")[0] for line in tracked.splitlines()}

    assert {name for name in top if not name.startswith(".")} <= agreed
