"""The changes that scripts/mutate makes to a module, one at a time: another comparison, a statement left out."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from types import CodeType
from typing import Any

OTHER: dict[type, tuple[type, ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,), ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.FloorDiv,),
    ast.FloorDiv: (ast.Mult,), ast.And: (ast.Or,), ast.Or: (ast.And,), ast.USub: (ast.UAdd,)}
OTHER_NAME = {"min": "max", "max": "min", "any": "all", "all": "any"}
DELETED = (ast.Expr, ast.AugAssign, ast.Raise, ast.Continue, ast.Break)
SHORT, LONG = 12, 100  # characters that tell a place; of a longer text the beginning
IS_FUNCTION = 1  # CO_OPTIMIZED: not the code of a module or of a class


def mutants_of(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Each change in turn, made in the tree for as long as it is looked at: (line, "function: before → after")."""
    told: Counter[str] = Counter()
    for node, around, function in _walk(tree, (), [], "module"):
        for holder, place, new in _changes(node):
            old = _put(holder, place, new)
            if isinstance(new, ast.Pass):
                before, after = _text(old), "nothing"
            elif isinstance(node, ast.Return | ast.If | ast.While | ast.comprehension):
                before, after = _text(old), _text(new)
            else:
                shown = next((each for each in (node, *around) if len(_text(each)) >= SHORT), [node, *around][-1])
                after = _text(shown)
                _put(holder, place, old)
                before = _text(shown)
                _put(holder, place, new)
            what = f"{function}: {before} → {after}"
            told[what] += 1
            yield _line(old, node, *around), what if told[what] == 1 else f"{what} ({told[what]})"
            _put(holder, place, old)


def changed_functions(old: CodeType, new: CodeType) -> list[CodeType] | None:
    """The functions whose code is another; None where more of the module is."""
    if old == new:
        return []
    if new.co_flags & IS_FUNCTION:
        return [new]
    if len(old.co_consts) != len(new.co_consts) or old.replace(co_consts=()) != new.replace(co_consts=()):
        return None
    found: list[CodeType] = []
    for before, after in zip(old.co_consts, new.co_consts, strict=True):
        if isinstance(before, CodeType) and isinstance(after, CodeType):
            inside = changed_functions(before, after)
            if inside is None:
                return None
            found += inside
        elif before != after:
            return None
    return found


def _walk(
    node: ast.AST, around: tuple[ast.expr, ...], path: list[str], function: str
) -> Iterator[tuple[ast.AST, tuple[ast.expr, ...], str]]:
    """Each node with the expressions around it, but for what is said to people, to type checkers and by decorators."""
    for name, value in ast.iter_fields(node):
        for each in value if isinstance(value, list) else [value]:
            if not isinstance(each, ast.AST) or name in ("decorator_list", "returns"):
                continue
            if isinstance(each, ast.Raise | ast.JoinedStr | ast.Assert | ast.Import | ast.ImportFrom) or _is_text(each):
                continue
            if isinstance(each, ast.arg) or (isinstance(each, ast.Subscript) and ast.unparse(each.value) == "Literal"):
                continue
            inside = each.name if isinstance(each, ast.FunctionDef | ast.ClassDef) else function
            if isinstance(each, ast.FunctionDef) and path:
                inside = f"{path[-1]}.{each.name}"
            above = (node, *around) if isinstance(node, ast.expr) else () if isinstance(node, ast.stmt) else around
            yield each, above, inside
            yield from _walk(each, above, [*path, each.name] if isinstance(each, ast.ClassDef) else path, inside)


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


def _put(holder: Any, place: Any, value: Any) -> Any:
    """What stood there."""
    if isinstance(holder, list):
        old, holder[place] = holder[place], value
    else:
        old = getattr(holder, place)
        setattr(holder, place, value)
    return old


def _text(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())[:LONG]


def _line(*nodes: Any) -> int:
    return next((node.lineno for node in nodes if hasattr(node, "lineno")), 0)
