"""What the nightly proof compares of invoices (services/prove_invoices.py)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import case, exists, func, select
from sqlalchemy.orm import Session, aliased

from parking.store.invoices import InvoiceLineRow, InvoiceRow


@dataclass(frozen=True, slots=True)
class InvoiceSums:
    """red_fen: what its red ones come to; lines: gross, net and tax of its lines together."""

    invoice_id: UUID
    color: str
    gross_fen: int
    net_fen: int
    tax_fen: int
    red_fen: int
    lines: tuple[int, int, int]


def list_sums(
    db: Session, operator_id: UUID, *, since: datetime | None, after: UUID | None, limit: int
) -> list[InvoiceSums]:
    """An operator's invoices, with what their lines and their red ones come to; by id, some at a time.

    :param since: those that were asked for, or that something was taken back of, from an instant on
    """
    row, line, red = InvoiceRow, InvoiceLineRow, aliased(InvoiceRow)

    def lines(column: Any) -> Any:
        return select(func.sum(column)).where(line.invoice_id == row.invoice_id).scalar_subquery()

    reds = select(func.coalesce(func.sum(red.gross_fen), 0)).where(red.red_of == row.invoice_id).scalar_subquery()
    query = select(
        row.invoice_id, row.color, row.gross_fen, row.net_fen, row.tax_fen, reds, lines(line.gross_fen),
        lines(line.net_fen), lines(line.tax_fen)).where(row.operator_id == operator_id)
    if since is not None:
        query = query.where((row.asked_at >= since) | exists(select(red.invoice_id).where(
            red.red_of == row.invoice_id, red.asked_at >= since)))
    if after is not None:
        query = query.where(row.invoice_id > after)
    found: Any = db.execute(query.order_by(row.invoice_id).limit(limit))
    return [
        InvoiceSums(invoice_id, color, gross, net, tax, int(red_fen), (int(of[0]), int(of[1]), int(of[2])))
        for invoice_id, color, gross, net, tax, red_fen, *of in found]


def sum_standing(db: Session, operator_id: UUID) -> int:
    """What an operator's issued invoices come to, less all that is taken back of them."""
    row = InvoiceRow
    issued = func.sum(case((row.color == "blue", row.gross_fen), else_=-row.gross_fen))
    return int(db.execute(select(func.coalesce(issued, 0)).where(
        row.operator_id == operator_id, (row.color == "red") | (row.state == "issued"))).scalar_one())
