"""A day of an account on both sides, with some of each difference, as a bench needs it by the million."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

from parking.core.clock import start_of_day, to_ms
from parking.core.identifier import new_uuid
from parking.core.money import format_yuan
from parking.core.statement import CHANNEL_ZONE
from parking.store.channel_accounts import ChannelAccount
from parking.store.database import Database
from parking.store.payments import PaymentRow
from parking.store.refunds import RefundRow
from parking.store.statements import insert_many

EXAMPLE = Path(__file__).resolve().parents[2] / "tests/cases/wechat_statement_2026-03-10.csv"
REFUND_EACH, ODD_EACH, ADDED_AT_ONCE = 50, 10_000, 20_000
ODDITIES = {1: "amount_differs", 2: "only_theirs", 3: "only_ours", 4: "duplicate"}


@dataclass(frozen=True, slots=True)
class Movement:
    """oddity: the bucket it is meant for, or `matched`."""

    kind: str
    id: UUID
    at: datetime
    fen: int
    oddity: str


def make_day(day: date, count: int, *, random_numbers: bool) -> list[Movement]:
    """So many movements in the order of time, two in a hundred refunds.

    random_numbers: as a caller's UUIDs of version 4 are; else they sort by time, as those of our pages.
    """
    dice, since = random.Random(day.toordinal()), start_of_day(day, CHANNEL_ZONE)  # noqa: S311
    made = []
    for number in range(count):
        at = since + timedelta(milliseconds=number * 86_390_000 // count)
        made.append(Movement(
            "refund" if number % REFUND_EACH == 7 else "payment", uuid4() if random_numbers else new_uuid(at), at,
            dice.randrange(100, 20_000, 50), ODDITIES.get(number % ODD_EACH, "matched")))
    return made


def expected(day: list[Movement]) -> dict[str, int]:
    """How many rows each bucket gets while no later day is read; a number twice matches once."""
    count = Counter(each.oddity for each in day)
    return {"matched": count["matched"] + count["duplicate"], "amount_differs": count["amount_differs"],
            "only_theirs": count["only_theirs"], "pending_cutoff": count["only_ours"], "duplicate": count["duplicate"]}


def add_ours(database: Database, account: ChannelAccount, parking_session_id: UUID, day: list[Movement]) -> None:
    """Put our side into the books; refunds are of one payment, which is made for them."""
    first = next(each for each in day if each.kind == "payment" and each.oddity == "matched")
    rows: dict[str, list[tuple[object, ...]]] = {"payment": [], "refund": []}
    for each in day:
        at, number = to_ms(each.at), each.id.hex
        if each.oddity == "only_theirs":
            continue
        if each.kind == "payment":
            rows["payment"].append((
                1, each.id.bytes, "wechat_pay", "qr", number, each.fen, "paid", at, at, f"t{number}", at, 0))
        else:
            rows["refund"].append((1, each.id.bytes, first.id.bytes, number, each.fen, "asked", "accepted", at, at))
    for start in range(0, len(rows["payment"]), ADDED_AT_ONCE):
        with database.writing() as db:
            insert_many(
                db, PaymentRow, ("lot_id", "payment_id", "channel", "way", "order_no", "amount_fen", "state",
                                 "quoted_at", "expires_at", "transaction_no", "paid_at", "refunded_fen"),
                rows["payment"][start:start + ADDED_AT_ONCE], operator_id=account.operator_id,
                account_id=account.account_id, parking_session_id=parking_session_id)
    with database.writing() as db:
        insert_many(
            db, RefundRow, ("lot_id", "refund_id", "payment_id", "refund_no", "amount_fen", "why", "state",
                            "asked_at", "accepted_at"), rows["refund"], operator_id=account.operator_id)


def write_statement(file: Path, day: list[Movement], merchant_no: str) -> None:
    """Write the channel's side as the channel does."""
    header, *_, names, _ = EXAMPLE.read_text("utf-8").splitlines()
    count = settled = refunded = fee_raw = 0
    with file.open("w", encoding="utf-8") as out:
        out.write(header + "\n")
        for each in day:
            for _ in range(0 if each.oddity == "only_ours" else 2 if each.oddity == "duplicate" else 1):
                fen = each.fen + 50 * (each.oddity == "amount_differs")
                paid, back = (0, fen) if each.kind == "refund" else (fen, 0)
                fee = (paid - back) * 6
                count, settled, refunded, fee_raw = count + 1, settled + paid, refunded + back, fee_raw + fee
                refund = ("5" + f"{count:027}", each.id.hex, format_yuan(back), "0.00", "ORIGINAL", "SUCCESS")
                out.write("`" + ",`".join((
                    f"{each.at.astimezone(CHANNEL_ZONE):%Y-%m-%d %H:%M:%S}", "wx0000000000000001", merchant_no, "0",
                    "gate-07", f"42000{count:023}", each.id.hex, "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o", "NATIVE",
                    "REFUND" if back else "SUCCESS", "OTHERS", "CNY", format_yuan(paid), "0.00",
                    *(refund if back else ("0", "0", "0.00", "0.00", "", "")), "parking", "", _fee(fee), "0.60%",
                    format_yuan(paid), format_yuan(back), "")) + "\n")
        out.write(names + "\n`" + ",`".join((
            str(count), format_yuan(settled), format_yuan(refunded), "0.00", _fee(fee_raw), format_yuan(settled),
            format_yuan(refunded))) + "\n")


def _fee(raw: int) -> str:
    return f"{'-' * (raw < 0)}{abs(raw) // 100_000}.{abs(raw) % 100_000:05}"
