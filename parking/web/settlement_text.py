"""A settlement as a person reads it: its tables, for the page, the files and the paper alike."""

from __future__ import annotations

import json
from dataclasses import dataclass
from uuid import UUID

from flask_babel import get_locale, gettext

from parking.core.money import format_yuan
from parking.core.settlement import Figures, LotFigures, SettledDay
from parking.services.settle import ZONE, Kept
from parking.web.channels import channel_name
from parking.web.pages import said
from parking.web.sheet import Cell, Sheet


@dataclass(frozen=True, slots=True)
class Names:
    """lots: their names by number; merchants: of the channels' accounts; operator: who is settled."""

    operator: str
    lots: dict[int, dict[str, str]]
    merchants: dict[UUID, str]

    def lot(self, lot_id: int) -> str:
        return said(self.lots[lot_id]) if lot_id in self.lots else str(lot_id)

    def account(self, day: SettledDay) -> str:
        return f"{channel_name(day.channel)} {self.merchants.get(day.account_id, '')}".strip()


def settlement_sheets(figures: Figures, names: Names) -> dict[str, Sheet]:
    """By the names by which they are exported. What is taken off is below nothing, so each row adds up."""
    lots = Sheet(
        gettext("By car park"),
        (gettext("Car park"), gettext("Payments"), gettext("Gross"), gettext("Refunds"), gettext("Given back"),
         gettext("Channel fees"), gettext("Commission"), gettext("Net")),
        ("text", "count", "fen", "count", "fen", "fen", "fen", "fen"),
        [(names.lot(each.lot_id or 0), *_cells(each)) for each in figures.lots],
        (gettext("Total"), *_cells(figures.total)))
    shown = [each for each in figures.days if each.lots or (
        each.day >= figures.first and each.state != "not_connected")]
    total = figures.total.sums
    days = Sheet(
        gettext("By day"),
        (gettext("Day"), gettext("Account"), gettext("Statement"), gettext("Payments"), gettext("Gross"),
         gettext("Refunds"), gettext("Given back"), gettext("Channel fees"), gettext("Before commission")),
        ("text", "text", "text", "count", "fen", "count", "fen", "fen", "fen"),
        [_day_row(each, figures, names) for each in shown],
        (gettext("Total"), None, None, total.payment_count, total.gross_fen, total.refund_count, -total.refunded_fen,
         -total.fee_fen, total.gross_fen - total.refunded_fen - total.fee_fen))
    return {"lots": lots, "days": days}


def print_data(kept: Kept, names: Names) -> str:
    """What the paper is set from, as JSON."""
    made, figures = kept.settlement, kept.figures
    facts = [
        (gettext("Operator"), names.operator),
        (gettext("Period"), f"{made.first} – {made.last} ({ZONE.key})"),
        (gettext("Settlement number"), str(made.number)),
        (gettext("State"), settlement_state_name(made.state)),
        (gettext("Commission"), format_rate(figures.rate)),
        *held_facts(figures),
    ]
    return json.dumps({
        "language": str(get_locale()), "title": gettext("Settlement"), "operator": names.operator,
        "total": (gettext("Net, yuan"), format_yuan(made.net_fen)), "facts": facts,
        "provisional": open_days_text(figures) if figures.is_provisional else "",
        "tables": [_table(each) for each in settlement_sheets(figures, names).values()],
        "proof_title": gettext("Proof"),
        "proof": [("SHA-256", kept.body_hash), (gettext("The settlement before"), kept.head.previous or "–"),
                  (gettext("Number"), str(made.settlement_id))],
        "page_word": gettext("Page"),
    }, ensure_ascii=False)


def held_facts(figures: Figures) -> list[tuple[str, str]]:
    """Where cash is in it: what of the net the operator has already, and what is left to pay."""
    if not figures.held_fen:
        return []
    return [(gettext("Cash that the operator holds"), format_yuan(figures.held_fen)),
            (gettext("To be paid"), format_yuan(figures.to_pay_fen))]


def open_days_text(figures: Figures) -> str:
    """Which days no statement bears out yet, and why."""
    days = ", ".join(f"{each.day} ({day_state_name(each.state)})" for each in figures.open_days)
    return str(gettext("Provisional. These days are not closed yet: %(days)s", days=days))


def settlement_state_name(state: str) -> str:
    """How far a settlement has come, in the reader's language."""
    words = {"waiting": gettext("waits for a second person"), "closed": gettext("settled and closed"),
             "rejected": gettext("rejected")}
    return str(words[state])


def day_state_name(state: str) -> str:
    """What a day's statement says, in the reader's language."""
    words = {
        "balanced": gettext("balanced"), "closed": gettext("closed, explained"),
        "counted": gettext("counted at the booth"),
        "differs": gettext("there are differences"), "not_final": gettext("the day was not over"),
        "no_statement": gettext("no statement"),
        "not_connected": gettext("not connected"),
    }
    return str(words[state])


def format_rate(rate: int) -> str:
    """Ten-thousandths as a percentage."""
    return f"{rate // 100}.{rate % 100:02d} %"


def _cells(each: LotFigures) -> tuple[Cell, ...]:
    sums = each.sums
    return (sums.payment_count, sums.gross_fen, sums.refund_count, -sums.refunded_fen, -sums.fee_fen,
            -each.commission_fen, each.net_fen)


def _day_row(each: SettledDay, figures: Figures, names: Names) -> tuple[Cell, ...]:
    sums = each.total
    state = day_state_name(each.state)
    if each.day < figures.first:
        state = gettext("correction; %(state)s", state=state)
    return (each.day.isoformat(), names.account(each), state, sums.payment_count, sums.gross_fen, sums.refund_count,
            -sums.refunded_fen, -sums.fee_fen, sums.gross_fen - sums.refunded_fen - sums.fee_fen)


def _table(sheet: Sheet) -> dict[str, object]:
    def text(cell: Cell, kind: str) -> str:
        return "" if cell is None else format_yuan(cell) if kind == "fen" and isinstance(cell, int) else str(cell)

    def write(row: tuple[Cell, ...]) -> list[str]:
        return [text(cell, kind) for cell, kind in zip(row, sheet.kinds, strict=True)]

    return {"title": sheet.title, "heads": sheet.heads, "rows": [write(row) for row in sheet.rows],
            "foot": write(sheet.foot or ()) if sheet.foot else [],
            "numbers": [kind != "text" for kind in sheet.kinds]}
