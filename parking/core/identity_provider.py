"""What the city's sign-in is to us: it tells, over the citizen's own browser, who somebody is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class ProviderUnavailable(Exception):
    """No answer, or one that makes no sense: the citizen may try again."""


class SignInRefused(Exception):
    """Nobody is signed in. reason: `cancelled` by the citizen, or `not_believed`: forged, replayed or for another.

    check: which check failed, a word for the log.
    """

    def __init__(self, reason: str, check: str = "") -> None:
        super().__init__(f"{reason} {check}".strip())
        self.reason, self.check = reason, check


@dataclass(frozen=True, slots=True)
class Asked:
    """One sign-in under way, which its browser alone holds: what the answer must come back with."""

    state: str
    nonce: str
    verifier: str


class IdentityProvider(Protocol):
    """A provider of sign-ins. realm: whose numbers its subjects are; two with one realm know the same people."""

    @property
    def name(self) -> str: ...

    @property
    def realm(self) -> str: ...

    def ask(self, asked: Asked, *, return_url: str, language: str, now: datetime) -> str:
        """The address that the citizen's browser goes to.

        :raises ProviderUnavailable: the provider does not tell where
        """

    def read_answer(self, asked: Asked, answer: Mapping[str, str], *, return_url: str, now: datetime) -> str:
        """The citizen's stable subject at the provider, once everything about the answer was checked.

        :raises SignInRefused: cancelled, or not to be believed
        :raises ProviderUnavailable: the provider could not be asked
        """
