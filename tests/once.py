"""Made once a process, where each app of a test would make the same again: routes, statements and merchants' keys."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import sqlalchemy
from werkzeug.routing import Rule

from parking.adapters import alipay_trust, payment_wechat
from parking.store import database

STATEMENTS_MAX = 3000


def compile_once() -> None:
    """From now on in this process."""
    _share_builders()
    _share_statements()
    for module in (payment_wechat, alipay_trust):
        module.load_pem_private_key = cache(module.load_pem_private_key)  # type: ignore[attr-defined]


def _share_builders() -> None:
    """A rule's function that builds addresses hangs on its text alone, unless it has defaults."""
    compile_builder, kept = Rule._compile_builder, dict[Any, Callable[..., Any]]()

    def look_up(rule: Rule, append_unknown: bool = True) -> Callable[..., Any]:
        if rule.defaults:
            return compile_builder(rule, append_unknown)
        key = rule.rule, append_unknown, tuple(rule._trace)
        if key not in kept:
            kept[key] = compile_builder(rule, append_unknown)
        return kept[key]

    Rule._compile_builder = look_up  # type: ignore[method-assign]


class _Statements(dict[Any, Any]):
    """SQLAlchemy's cache of compiled statements, for every engine of a kind instead of each."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(self._of_kind(key), default)

    def __setitem__(self, key: Any, compiled: Any) -> None:
        if len(self) >= STATEMENTS_MAX:
            self.clear()
        super().__setitem__(self._of_kind(key), compiled)

    @staticmethod
    def _of_kind(key: Any) -> Any:
        dialect, *rest = key
        return dialect.name, dialect.driver, *rest


def _share_statements() -> None:
    kept = _Statements()

    def create_engine(address: Any, **options: Any) -> sqlalchemy.Engine:
        return sqlalchemy.create_engine(address, execution_options={"compiled_cache": kept}, **options)

    database.create_engine = create_engine  # type: ignore[attr-defined]
