"""A driver keeps the titles that invoices are made out to; nobody else reads them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core.invoice import Title, title_data
from parking.core.json_text import canonical, load_strict
from parking.core.seal import Sealer
from parking.store import drivers, invoice_titles
from parking.store.invoice_titles import StoredTitle

PURPOSE = "invoice_title"
TITLES_MAX = 20


class NoTitle(Exception):
    """There is no such title, or it is another driver's."""


class TitleIdReused(Exception):
    """The id names another title."""


class TooManyTitles(Exception):
    """The driver keeps as many as there may be."""


@dataclass(frozen=True, slots=True)
class KeptTitle:
    title_id: UUID
    title: Title
    created_at: datetime


def seal_title(sealer: Sealer, title: Title, row: UUID) -> bytes:
    return sealer.seal(canonical(title_data(title)).encode(), purpose=PURPOSE, row=row.bytes)


def open_title(sealer: Sealer, sealed: bytes, row: UUID) -> Title:
    """As it was sealed, whatever a title has to be now."""
    said = load_strict(sealer.open(sealed, purpose=PURPOSE, row=row.bytes))
    return Title(**{name: said[name] for name in Title.__dataclass_fields__ if name in said})


def add_title(
    db: Session, driver_id: UUID, title_id: UUID, title: Title, *, sealer: Sealer, now: datetime
) -> KeptTitle:
    """Keep a title; the same again is the same.

    :raises TitleIdReused: the id names another
    :raises TooManyTitles:
    """
    drivers.lock_driver(db, driver_id)
    known = invoice_titles.find_title(db, driver_id, title_id)
    if known is not None:
        kept = _open(sealer, known)
        if kept.title != title:
            raise TitleIdReused
        return kept
    if invoice_titles.count_titles(db, driver_id) >= TITLES_MAX:
        raise TooManyTitles
    made = StoredTitle(driver_id, title_id, seal_title(sealer, title, title_id), now)
    invoice_titles.add_title(db, made)
    return _open(sealer, made)


def find_title(db: Session, driver_id: UUID, title_id: UUID, *, sealer: Sealer) -> Title:
    """:raises NoTitle: none of the driver's"""
    found = invoice_titles.find_title(db, driver_id, title_id)
    if found is None:
        raise NoTitle
    return _open(sealer, found).title


def list_titles(db: Session, driver_id: UUID, *, sealer: Sealer) -> list[KeptTitle]:
    """Oldest first."""
    return [_open(sealer, each) for each in invoice_titles.list_titles(db, driver_id)]


def delete_title(db: Session, driver_id: UUID, title_id: UUID) -> None:
    """Forget it. Invoices that were made out to it keep what they say.

    :raises NoTitle: none of the driver's
    """
    if not invoice_titles.delete_title(db, driver_id, title_id):
        raise NoTitle


def _open(sealer: Sealer, stored: StoredTitle) -> KeptTitle:
    return KeptTitle(stored.title_id, open_title(sealer, stored.title_sealed, stored.title_id), stored.created_at)
