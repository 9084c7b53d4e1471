"""The day's bill of movements as WeChat Pay writes it, of the orders, refunds and withdrawals that were seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from parking.core.clock import city_date, find_zone, parse_instant
from parking.core.money import format_yuan
from parking.simulators.wechat_pay_keys import Keys
from parking.simulators.wechat_pay_seen import Seen

ZONE = find_zone("Asia/Shanghai")
COLUMNS = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),资金变更提交申请人,"
    "备注,业务凭证号"
)
SUMMARY = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"
OPENING_FEN = 10_000_000  # so that no movement leaves the account below nothing


@dataclass(frozen=True)
class Move:
    """What an account's money did. at: RFC 3339; order: of the movements at one instant."""

    at: str
    order: str
    channel_no: str
    business: str
    fen: int
    voucher: str
    note: str = ""


def write_funds(keys: Keys, seen: Seen, day: date) -> bytes | None:
    """The bill of the purse BASIC of a day; None of a day on which nothing moved."""
    balance, rows = OPENING_FEN, list[str]()
    gained: list[int] = []
    spent: list[int] = []
    for number, move in enumerate(sorted(list_moves(seen), key=lambda each: (each.at, each.order)), start=1):
        of = city_date(parse_instant(move.at), ZONE)
        if of > day:
            break
        balance += move.fen
        if of == day:
            (gained if move.fen > 0 else spent).append(abs(move.fen))
            rows.append(_row(keys, move, number, balance))
    if not rows:
        return None
    lines = [COLUMNS, *rows, SUMMARY, "`" + ",`".join([
        f"{len(rows)}.0", f"{len(gained)}.0", format_yuan(sum(gained)), f"{len(spent)}.0", format_yuan(sum(spent))])]
    return ("\ufeff" + "\r\n".join(lines) + "\r\n").encode()


def list_moves(seen: Seen) -> Iterator[Move]:
    """A payment or a refund and its fee are two movements each; a fee of nothing is none."""
    for order in seen.orders.values():
        if order.paid_at:
            yield Move(order.paid_at, f"{order.order_no}a", order.transaction_id, "交易", order.total, order.order_no)
            if fee(order.total):
                yield Move(order.paid_at, f"{order.order_no}b", order.transaction_id, "扣除交易手续费",
                           -fee(order.total), order.order_no)
    for refund in seen.refunds.values():
        yield Move(refund.asked_at, f"{refund.refund_no}a", refund.refund_id, "退款", -refund.amount,
                   refund.refund_no, "缺货\\r\\n已退")
        if fee(refund.amount):
            yield Move(refund.asked_at, f"{refund.refund_no}b", refund.refund_id, "退还交易手续费",
                       fee(refund.amount), refund.refund_no)
    for each in seen.withdrawals:
        yield Move(each.at, each.flow_no, each.flow_no, "提现", -each.amount, each.flow_no, "提现到银行卡")


def fee(fen: int) -> int:
    """0.60 %, rounded to the fen, half of one up."""
    return (fen * 6 + 500) // 1000


def _row(keys: Keys, move: Move, number: int, balance: int) -> str:
    when = parse_instant(move.at).astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S")
    return "`" + ",`".join([
        when, move.channel_no, f"{keys.mchid}{when[:10].replace('-', '')}{number:010d}", move.business, move.business,
        "收入" if move.fen > 0 else "支出", format_yuan(abs(move.fen)), format_yuan(balance), "system", move.note,
        move.voucher])
