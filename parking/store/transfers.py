"""The ledger: what was posted, what is pending, and what an account stands at (core/ledger.py)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, Text, case, func, or_, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, aliased, mapped_column

from parking.core.ledger import COUNTS, ENDS, Transfer, is_lasting
from parking.store.columns import Fen, Instant, Table, Uuid, spread
from parking.store.statements import insert_new_returning, table_of, write_all

COUNTED = text("phase IN ('posted', 'post')")
_PENDING = text("phase = 'pending'")
_ENDING = text("pending_id IS NOT NULL")
_DUE = "ledger_due"


class TransferDiffers(Exception):
    """The event was posted before, and said something else; nothing was written."""


class LedgerTransfer(Table):
    """One movement of money, both sides in one row, so every transaction adds up to nothing.

    lot_id: whose ledger it is in: a lot's, or the city's (core/wallet.py: CITY), which is no lot.

    Protects: an event counts once, is pending once, and a pending one ends once (the unique indexes);
    nothing is edited or deleted.
    """

    __tablename__ = "ledger_transfer"
    __table_args__ = (
        CheckConstraint("amount_fen > 0", name="amount_fen"),
        CheckConstraint("debit <> credit", name="sides"),
        CheckConstraint("phase IN ('posted', 'pending', 'post', 'void', 'expire')", name="phase"),
        CheckConstraint("(phase IN ('post', 'void', 'expire')) = (pending_id IS NOT NULL)", name="pending_id"),
        CheckConstraint("(phase = 'pending') = (expires_at IS NOT NULL)", name="expires_at"),
        Index("uq_ledger_transfer_counted", "lot_id", "kind", "ref_id", unique=True,
              sqlite_where=COUNTED, postgresql_where=COUNTED),
        Index("uq_ledger_transfer_pending", "lot_id", "kind", "ref_id", unique=True,
              sqlite_where=_PENDING, postgresql_where=_PENDING),
        Index("uq_ledger_transfer_end", "lot_id", "pending_id", unique=True,
              sqlite_where=_ENDING, postgresql_where=_ENDING),
        Index("ix_ledger_transfer_debit", "lot_id", "debit"),
        Index("ix_ledger_transfer_credit", "lot_id", "credit"),
        Index("ix_ledger_transfer_operator", "operator_id", "posted_at"),
        spread("lot_id", "lot", append_only=True),
    )

    lot_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    transfer_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("operator.operator_id"))
    kind: Mapped[str] = mapped_column(Text)
    phase: Mapped[str] = mapped_column(Text, server_default="posted")
    debit: Mapped[str] = mapped_column(Text)
    credit: Mapped[str] = mapped_column(Text)
    amount_fen: Mapped[int] = mapped_column(Fen)
    ref_id: Mapped[UUID] = mapped_column(Uuid)
    pending_id: Mapped[UUID | None] = mapped_column(Uuid)
    expires_at: Mapped[datetime | None] = mapped_column(Instant)
    posted_at: Mapped[datetime] = mapped_column(Instant)


class LedgerBalance(Table):
    """What a lasting account of a lot stands at: the sums of its transfers, kept in their transactions.

    The ledger is the truth, and this a sum of it: the nightly proof adds up anew (services/prove.py).
    """

    __tablename__ = "ledger_balance"
    __table_args__ = (
        CheckConstraint("debit_fen >= 0 AND credit_fen >= 0", name="sums"),
        spread("lot_id", "lot"),
    )

    lot_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    account: Mapped[str] = mapped_column(Text, primary_key=True)
    debit_fen: Mapped[int] = mapped_column(Fen)
    credit_fen: Mapped[int] = mapped_column(Fen)
    pending_debit_fen: Mapped[int] = mapped_column(Fen)
    pending_credit_fen: Mapped[int] = mapped_column(Fen)


@dataclass(frozen=True, slots=True)
class Balance:
    """Sums in fen of what was posted to an account, and of what is still pending."""

    debit_fen: int = 0
    credit_fen: int = 0
    pending_debit_fen: int = 0
    pending_credit_fen: int = 0

    @property
    def fen(self) -> int:
        """Debits less credits."""
        return self.debit_fen - self.credit_fen


_SUMS = tuple(Balance.__dataclass_fields__)
_row, _balance = table_of(LedgerTransfer), table_of(LedgerBalance)


def post(db: Session, *posted: Transfer, lot_id: int, operator_id: UUID, now: datetime) -> None:
    """Write transfers; one that was written before is left as it is.

    :raises TransferDiffers: an event was written before with other accounts or another amount
    """
    if not posted:
        return
    made = set(db.execute(insert_new_returning(LedgerTransfer, "transfer_id", db.get_bind().dialect.name), [
        {
            "lot_id": lot_id, "transfer_id": each.transfer_id, "operator_id": operator_id, "kind": each.kind,
            "phase": each.phase, "debit": each.debit, "credit": each.credit, "amount_fen": each.amount_fen,
            "ref_id": each.ref_id, "pending_id": each.pending_id, "expires_at": each.expires_at, "posted_at": now,
        }
        for each in posted]).scalars())
    for each in posted:
        if each.transfer_id in made:
            _note(db, lot_id, each)
        else:
            _check_same(db, lot_id, each)


def _check_same(db: Session, lot_id: int, said: Transfer) -> None:
    """What stands in the way of a transfer is the transfer itself, written before."""
    phases = COUNTS if said.phase in COUNTS else (said.phase,)
    stands = [
        _row.c.transfer_id == said.transfer_id,
        (_row.c.kind == said.kind) & (_row.c.ref_id == said.ref_id) & _row.c.phase.in_(phases)]
    if said.pending_id is not None:
        stands.append(_row.c.pending_id == said.pending_id)
    for row in db.execute(_select().where(_row.c.lot_id == lot_id, or_(*stands))):
        if Transfer(*row).says != said.says:
            raise TransferDiffers(f"{said.kind} {said.ref_id} at lot {lot_id}")


def find_pending(db: Session, lot_id: int, kind: str, ref_id: UUID) -> Transfer | None:
    """The transfer of an event that is pending still."""
    ending = aliased(LedgerTransfer)
    found = db.execute(_select().where(
        _row.c.lot_id == lot_id, _row.c.kind == kind, _row.c.ref_id == ref_id, _row.c.phase == "pending",
        ~select(1).where(ending.lot_id == lot_id, ending.pending_id == _row.c.transfer_id).exists())).one_or_none()
    return None if found is None else Transfer(*found)


def find_balance(db: Session, lot_id: int, account: str) -> Balance:
    """What an account of a lot stands at; of a lasting one it is kept, so its history is not read."""
    if not is_lasting(account):
        return next((each for _, each in add_up(db, lot_id, account=account)), Balance())
    found = db.execute(select(*(_balance.c[name] for name in _SUMS)).where(
        _balance.c.lot_id == lot_id, _balance.c.account == account)).one_or_none()
    return Balance() if found is None else Balance(*found)


def balance(db: Session, lot_id: int, account: str) -> int:
    """Debits less credits of an account of a lot, in fen."""
    return find_balance(db, lot_id, account).fen


def list_balances(db: Session, *, lot_ids: Iterable[int]) -> list[tuple[int, str, Balance]]:
    """The lasting accounts of lots, by lot and name."""
    found = db.execute(
        select(_balance.c.lot_id, _balance.c.account, *(_balance.c[name] for name in _SUMS))
        .where(_balance.c.lot_id.in_(list(lot_ids))).order_by(_balance.c.lot_id, _balance.c.account))
    return [(each.lot_id, each.account, Balance(*each[2:])) for each in found]


def list_balances_of(db: Session, lot_id: int, accounts: Iterable[str]) -> list[tuple[str, Balance]]:
    """Those of these accounts of a lot that anything was posted to, by name: each is looked up."""
    found = db.execute(
        select(_balance.c.account, *(_balance.c[name] for name in _SUMS))
        .where(_balance.c.lot_id == lot_id, _balance.c.account.in_(list(accounts))).order_by(_balance.c.account))
    return [(each.account, Balance(*each[1:])) for each in found]


def add_up(db: Session, lot_id: int, *, account: str | None = None) -> list[tuple[str, Balance]]:
    """Accounts of a lot that do not stand at nothing, added up from their transfers: all of them, or one."""
    ending = aliased(LedgerTransfer)
    is_open = (_row.c.phase == "pending") & ~select(1).where(
        ending.lot_id == _row.c.lot_id, ending.pending_id == _row.c.transfer_id).exists()
    posted = case((_row.c.phase.in_(COUNTS), _row.c.amount_fen), else_=0)
    pending = case((is_open, _row.c.amount_fen), else_=0)
    sides = []
    for place, side in enumerate((_row.c.debit, _row.c.credit)):
        sums: list[Any] = [0, 0, 0, 0]
        sums[place], sums[2 + place] = posted, pending
        query = select(side.label("account"), *(
            (func.coalesce(value, 0) if isinstance(value, int) else value).label(name)
            for name, value in zip(_SUMS, sums, strict=True))).where(_row.c.lot_id == lot_id)
        sides.append(query if account is None else query.where(side == account))
    both = sides[0].union_all(sides[1]).subquery()
    totals = [func.coalesce(func.sum(both.c[name]), 0).label(name) for name in _SUMS]
    found = db.execute(select(both.c.account, *totals).group_by(both.c.account).order_by(both.c.account))
    return [(each.account, Balance(*(int(value) for value in each[1:]))) for each in found]


def write_balances(db: Session) -> None:
    """Add what this transaction posted to the balances: last before the commit, for others wait on these rows."""
    due: dict[tuple[int, str], Counter[str]] = db.info.pop(_DUE, {})
    rows = [
        {"lot_id": lot_id, "account": account, **{name: sums[name] for name in _SUMS}}
        for (lot_id, account), sums in sorted(due.items(), key=lambda each: each[0]) if any(sums.values())]
    write_all(db, _add_to_balances(db.get_bind().dialect.name), rows)


def _note(db: Session, lot_id: int, each: Transfer) -> None:
    due = db.info.setdefault(_DUE, {})
    for side, account in (("debit", each.debit), ("credit", each.credit)):
        if not is_lasting(account):
            continue
        sums = due.setdefault((lot_id, account), Counter())
        if each.phase in COUNTS:
            sums[f"{side}_fen"] += each.amount_fen
        if each.phase == "pending":
            sums[f"pending_{side}_fen"] += each.amount_fen
        if each.phase in ENDS:
            sums[f"pending_{side}_fen"] -= each.amount_fen


def _select() -> Any:
    return select(
        _row.c.transfer_id, _row.c.kind, _row.c.debit, _row.c.credit, _row.c.amount_fen, _row.c.ref_id, _row.c.phase,
        _row.c.pending_id, _row.c.expires_at)


@cache
def _add_to_balances(dialect: str) -> Any:
    written = (sqlite if dialect == "sqlite" else postgresql).insert(_balance)
    return written.on_conflict_do_update(
        index_elements=["lot_id", "account"],
        set_={name: _balance.c[name] + written.excluded[name] for name in _SUMS})
