"""JSON as it is let in and as it is sealed.

The standard loader takes NaN, lets the last of two equal keys win and recurses without bound;
`load_strict` refuses all of that, and whatever a database column could not hold.
Source of the cases: JSONTestSuite (github.com/nst/JSONTestSuite), the `n_` files.
"""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import Any

DIGITS_MAX = 18
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)  # an unclosed string runs to the end, once


class BadJson(ValueError):
    """The text is not JSON that may come in; the message says why in a few words."""


def load_strict(raw: bytes, *, depth_max: int = 8, texts_apart: bool = False) -> Any:
    """Read UTF-8 JSON.

    :param texts_apart: the caller looks at the strings itself, part by part (check_text)
    :raises BadJson: no UTF-8, no JSON, NaN, equal keys, too deep, more than 18 digits,
        a NUL or a lone surrogate in a string
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise BadJson("the body is not UTF-8") from None
    _check_depth(text, depth_max)
    try:
        value = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_int=_read_int,
            parse_float=_read_float,
            object_pairs_hook=_read_object,
        )
    except BadJson:
        raise
    except (ValueError, RecursionError) as wrong:
        raise BadJson(f"the body is not JSON: {wrong}") from None
    if not texts_apart:
        check_text(value)
    return value


def load_object(raw: bytes, *, depth_max: int = 8) -> dict[str, Any]:
    """:raises BadJson: as load_strict, or no object"""
    value = load_strict(raw, depth_max=depth_max)
    if not isinstance(value, dict):
        raise BadJson("a JSON object")
    return value


def canonical(value: Any) -> str:
    """One text for one value: keys sorted, no spaces, characters as themselves."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def canonical_hash(value: Any) -> str:
    """SHA-256 of the canonical text, in hex."""
    return sha256(canonical(value).encode()).hexdigest()


def check_text(value: Any) -> None:
    """:raises BadJson: a string in it is none that a database column could hold"""
    if isinstance(value, str):
        if "\x00" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            raise BadJson("a string holds a NUL or half a surrogate pair")
    elif isinstance(value, dict):
        for key, item in value.items():
            check_text(key)
            check_text(item)
    elif isinstance(value, list):
        for item in value:
            check_text(item)


def _check_depth(text: str, depth_max: int) -> None:
    depth = 0
    for token in _TOKEN.finditer(text):
        first = token[0][0]
        if first in "[{":
            depth += 1
            if depth > depth_max:
                raise BadJson(f"nested deeper than {depth_max}")
        elif first in "]}":
            depth -= 1


def _refuse_constant(name: str) -> Any:
    raise BadJson(f"{name} is not JSON")


def _read_int(digits: str) -> int:
    if len(digits.lstrip("-")) > DIGITS_MAX:
        raise BadJson(f"a number has more than {DIGITS_MAX} digits")
    return int(digits)


def _read_float(digits: str) -> float:
    value = float(digits)
    if len(digits) > 40 or value in (float("inf"), float("-inf")):
        raise BadJson("a number is out of range")
    return value


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise BadJson("a key stands twice in one object")
    return made
