"""What one person asks for and a second one decides."""

from __future__ import annotations


class AlreadyDecided(Exception):
    """It is approved, rejected or withdrawn, or was not proposed; `state` says which."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.state = state


class SecondPersonNeeded(Exception):
    """Who proposed it cannot approve or reject it."""
