"""A plate as a camera or a person gives it, its class, and how it is shown to strangers.

Formats: GA 36-2018 and the table in docs/field.md ("Plates"); no plate has an I or an O in its body.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_BODY = "[A-HJ-NP-Z0-9]"
_LAST_CHARACTER = {
    "挂": "trailer", "学": "trainer", "警": "police", "港": "hk", "澳": "macao",
    "使": "embassy", "领": "consular",
}
_FORMS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("ordinary", re.compile(f"[{PROVINCES}][A-HJ-NP-Z]{_BODY}{{5}}")),
    ("special", re.compile(f"[{PROVINCES}][A-HJ-NP-Z]{_BODY}{{4}}[挂学警港澳使领]")),
    ("nev_small_pure", re.compile(f"[{PROVINCES}][A-HJ-NP-Z][DABCE]{_BODY}[0-9]{{4}}")),
    ("nev_small_hybrid", re.compile(f"[{PROVINCES}][A-HJ-NP-Z][FGHJK]{_BODY}[0-9]{{4}}")),
    ("nev_large_pure", re.compile(f"[{PROVINCES}][A-HJ-NP-Z][0-9]{{5}}D")),
    ("nev_large_hybrid", re.compile(f"[{PROVINCES}][A-HJ-NP-Z][0-9]{{5}}F")),
    ("armed_police", re.compile(f"WJ[{PROVINCES}]?[0-9]{{4}}[0-9A-HJ-NP-Z]")),
    ("military", re.compile("[A-HJ-NP-Z]{2}[0-9]{5}")),
)
_IGNORED = re.compile(r"[\s·•・.\-_]+")
TEXT_MAX = 32


class BadPlate(ValueError):
    """The text is not a plate."""


@dataclass(frozen=True, slots=True)
class Plate:
    """A plate in its one normal form (upper case, half width, no dots or spaces)."""

    text: str
    kind: str

    @property
    def is_new_energy(self) -> bool:
        return is_new_energy_kind(self.kind)


def is_new_energy_kind(kind: str) -> bool:
    return kind.startswith("nev_")


def size_of_kind(kind: str) -> Literal["small", "large"]:
    """What the form of a plate says; the yellow of a large one is no part of its text."""
    return "large" if kind.startswith("nev_large_") or kind == "trailer" else "small"


def exempt_word_of_kind(kind: str | None) -> str | None:
    """The word of an exemption that a plate itself proves."""
    return {"military": "military", "armed_police": "military", "police": "police"}.get(kind or "")


def parse_plate(text: str) -> Plate:
    """Normalise and classify.

    :raises BadPlate: no known form; the message never repeats the text
    """
    if len(text) > TEXT_MAX:
        raise BadPlate(f"longer than {TEXT_MAX} characters")
    normal = _IGNORED.sub("", unicodedata.normalize("NFKC", text)).upper()
    for kind, form in _FORMS:
        if form.fullmatch(normal):
            return Plate(normal, _LAST_CHARACTER[normal[-1]] if kind == "special" else kind)
    raise BadPlate("not a plate of a known form")


def mask_plate(plate: str) -> str:
    """Show a plate to someone who need not know it: 沪A12345 is 沪A·**345."""
    return f"{plate[:2]}·{'*' * (len(plate) - 5)}{plate[-3:]}"
