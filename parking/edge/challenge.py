"""A number that a lane shows and a phone signs: the one proof that the phone stands here now.

Asked of subjects that the bundle names, or the service. A nonce is for one opening, within a minute, and for
whichever phone answers it: the code that was held may have been another of the driver's, as one on paper. A lane
that starts again has forgotten its nonces, and shows another.
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
    """The nonces that were shown and not answered, with when. Times are the monotonic clock's."""

    _shown: dict[bytes, float] = field(default_factory=dict)

    def show(self, *, at: float) -> bytes:
        """The nonce that stands there for a while still, or a new one."""
        self._drop_old(at)
        newest = self.standing(at=at)
        if newest is not None and at - self._shown[newest] <= LIFE_SECONDS / 2:
            return newest
        while len(self._shown) >= OUTSTANDING_MAX:
            del self._shown[next(iter(self._shown))]
        nonce = secrets.token_bytes(NONCE_BYTES)
        self._shown[nonce] = at
        return nonce

    def expected(self, text: str, *, city: City, at: float) -> bytes | None:
        """The nonce that this code answers, if it was shown here and still stands."""
        self._drop_old(at)
        try:
            claims = parse_code(text, city=city).claims
        except CodeRefused:
            return None
        return claims.nonce if claims.form == CHALLENGE and claims.nonce in self._shown else None

    def spend(self, nonce: bytes) -> None:
        self._shown.pop(nonce, None)

    def standing(self, *, at: float) -> bytes | None:
        """The newest nonce to show."""
        self._drop_old(at)
        return next(reversed(self._shown), None)

    def _drop_old(self, at: float) -> None:
        self._shown = {nonce: shown for nonce, shown in self._shown.items() if at - shown <= LIFE_SECONDS}
