"""A number that a lane shows and a phone signs: the one proof that the phone stands here now.

Asked of subjects that the bundle names. A nonce is for one subject, once, within a minute; a lane that
starts again has forgotten its nonces, and shows another.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from parking.core.code_wire import CHALLENGE, NONCE_BYTES, City, CodeRefused, parse_code

LIFE_SECONDS = 60.0
OUTSTANDING_MAX = 16
TEXT_PREFIX = "PKN1"


def nonce_text(nonce: bytes) -> str:
    """What the lane's display shows as a QR picture."""
    return TEXT_PREFIX + nonce.hex()


@dataclass
class Challenges:
    """The nonces that were shown and not answered. Times are the monotonic clock's."""

    _shown: dict[bytes, tuple[bytes, float]] = field(default_factory=dict)

    def show(self, subject: bytes, *, at: float) -> bytes:
        """A nonce for this subject: the one that stands there, or a new one."""
        self._drop_old(at)
        for nonce, (asked, _) in self._shown.items():
            if asked == subject:
                return nonce
        while len(self._shown) >= OUTSTANDING_MAX:
            del self._shown[next(iter(self._shown))]
        nonce = secrets.token_bytes(NONCE_BYTES)
        self._shown[nonce] = (subject, at)
        return nonce

    def expected(self, text: str, *, city: City, at: float) -> bytes | None:
        """The nonce that this code answers, if it was shown here to its subject and still stands."""
        self._drop_old(at)
        try:
            claims = parse_code(text, city=city).claims
        except CodeRefused:
            return None
        asked = self._shown.get(claims.nonce) if claims.form == CHALLENGE else None
        return claims.nonce if asked is not None and asked[0] == claims.subject else None

    def spend(self, nonce: bytes) -> None:
        self._shown.pop(nonce, None)

    def standing(self, *, at: float) -> bytes | None:
        """The newest nonce to show."""
        self._drop_old(at)
        return next(reversed(self._shown), None)

    def _drop_old(self, at: float) -> None:
        self._shown = {nonce: each for nonce, each in self._shown.items() if at - each[1] <= LIFE_SECONDS}
