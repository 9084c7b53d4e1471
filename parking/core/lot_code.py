"""The code printed at a lot: it opens a page that needs a plate and a payment, nothing else.

Path form: `/l/<lot>/<lane>-<check>`; lane 0 is the lot as a whole. The check is keyed, so that an
invented sticker opens nothing; it is no secret, for everybody can read it off the wall.
"""

from __future__ import annotations

import base64
import hmac
import re
from hashlib import sha256

_FORM = re.compile(r"([1-9][0-9]{0,4})/([0-9]{1,4})-([A-Z2-7]{8})", re.ASCII)


class BadLotCode(ValueError):
    """Not the code of a lot of this service."""


def lot_code(pepper: bytes, lot_id: int, lane: int = 0) -> str:
    """Such as `3/2-K7QM4TXA`."""
    mac = hmac.digest(pepper, f"lot code\x1f{lot_id}\x1f{lane}".encode(), sha256)
    return f"{lot_id}/{lane}-{base64.b32encode(mac[:5]).decode()}"


def lot_address(base: str, code: str) -> str:
    """Where the code leads, as it stands in the picture on the wall. base: the service's public address."""
    return f"{base}/l/{code}"


def read_lot_code(pepper: bytes, text: str) -> tuple[int, int]:
    """The lot and the lane.

    :raises BadLotCode: malformed, or its check value is another's
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise BadLotCode("not of the form lot/lane-CHECK")
    lot_id, lane = int(found[1]), int(found[2])
    if not hmac.compare_digest(lot_code(pepper, lot_id, lane), text):
        raise BadLotCode("the check value does not fit")
    return lot_id, lane
