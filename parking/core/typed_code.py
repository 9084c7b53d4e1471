"""A code that people read out and type, and that works once: to pair a device, to take an invitation."""

from __future__ import annotations

import secrets

from parking.core.pseudonym import token_hash

_LETTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # none that is read as another
_GROUPS, _GROUP = 3, 5


def new_typed_code() -> str:
    """Fifteen letters in three groups: 73 bits."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(_GROUP)) for _ in range(_GROUPS))


def typed_code_hash(purpose: str, text: str) -> bytes:
    """What is stored of a code; case, dashes and spaces do not matter."""
    return token_hash(f"{purpose} " + "".join(text.upper().replace("-", " ").split()))
