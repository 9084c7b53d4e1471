"""Plates that a camera takes for one another.

Letters and digits alone; a province is never guessed. Source of the pairs: usual mistakes of plate
readers (general knowledge), so they are tried with care: at an exit, and for one open plate only.
"""

from __future__ import annotations

from parking.core.plate import BadPlate, parse_plate

_GROUPS = ("0ODQ", "8B", "1I", "2Z", "5S")
LOOKALIKES = {letter: group.replace(letter, "") for group in _GROUPS for letter in group}


def lookalike_plates(text: str) -> set[str]:
    """The plates that differ from what was read in one letter or digit that looks alike.

    What was read need not be a plate itself: no plate has an I or an O, and cameras read them.
    """
    found = set()
    for place, letter in enumerate(text.upper()):
        for other in LOOKALIKES.get(letter, ""):
            try:
                found.add(parse_plate(text[:place] + other + text[place + 1:]).text)
            except BadPlate:
                continue
    return found
