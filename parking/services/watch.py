"""Terminals that fall silent are noticed, and so is that they are heard again.

Whether one is silent now is seen in when it was last heard; the rows are for what was.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

from parking.store import silences
from parking.store.database import Database

SILENT_AFTER = timedelta(minutes=2)


def is_silent(last_seen_at: datetime | None, *, now: datetime) -> bool:
    """Heard once, and not for two minutes."""
    return last_seen_at is not None and now - last_seen_at >= SILENT_AFTER


def watch_terminals(database: Database, *, now: datetime) -> int:
    """Note which terminals fell silent and which were heard again; returns how many.

    Reads alone while nothing changes, so that it may be asked often.
    """
    with database.reading() as db:
        lost = silences.list_fallen_silent(db, seen_before=now - SILENT_AFTER)
        restored = silences.list_heard_again(db)
    for quiet in restored:
        database.write(partial(silences.end_silence, quiet=quiet))
    for quiet in lost:
        database.write(partial(silences.add_silence, quiet=quiet))
    return len(lost) + len(restored)

