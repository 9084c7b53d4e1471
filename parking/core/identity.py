"""A gate is shown the city's own identity code, and the city's service tells whose it is.

Such a code (Suishen, Suishenxing) is opaque and short-lived: only the service that made it can read
it. It asks at which place and for what purpose a code was read, and keeps a log of each reading.
An adapter for each city's service stands in `parking/adapters`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

Purpose = Literal["entry", "exit", "both"]
UNKNOWN_CODE = "unknown_code"


class IdentityUnresolved(Exception):
    """Nobody is known by the code now. `why` is a word for the log, and names neither code nor person.

    UNKNOWN_CODE is the service's own answer; every other word is trouble on the way to one.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of a code, as the city logs it.

    reading_no: ours, of 36 letters, so that the city's log and our facts can be laid side by side.
    place: lot and gate in the words that stand there. purpose: what for; `both` for a lane that is either.
    """

    reading_no: str
    place: str
    purpose: Purpose


class CityCodes(Protocol):
    """The service that reads a city's identity codes; a gate waits for its answer."""

    def takes(self, text: str) -> bool:
        """Whether this text may be one of the city's codes; no other text is sent to it."""

    def resolve(self, text: str, reading: Reading, *, now: datetime) -> str:
        """The city's stable number of the person, within a second; keep it no longer than needed.

        :raises IdentityUnresolved: unknown, or the service is slow, down, busy or makes no sense
        """
