"""The day's trade statement as WeChat Pay writes it, of the orders and refunds that the simulator saw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

from parking.core.clock import city_date, find_zone, parse_instant
from parking.core.money import format_yuan
from parking.simulators.wechat_pay_keys import Keys
from parking.simulators.wechat_pay_seen import SeenOrder, SeenRefund

ZONE = find_zone("Asia/Shanghai")
COLUMNS = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,"
    "手续费,费率,订单金额,申请退款金额,费率备注"
)
SUMMARY = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"


def write_statement(
    keys: Keys, orders: Mapping[str, SeenOrder], refunds: Iterable[SeenRefund], day: date
) -> bytes:
    """The trade statement (ALL) of a day of the channel's, by when money was taken or given back."""
    rows: list[tuple[str, list[str]]] = []
    settled = refunded = fees = 0
    for order in orders.values():
        if not order.paid_at or city_date(parse_instant(order.paid_at), ZONE) != day:
            continue
        settled += order.total
        fees += _fee(order.total)
        rows.append(_row(keys, order, order.paid_at, "SUCCESS", _fee(order.total), None))
    for refund in refunds:
        if city_date(parse_instant(refund.asked_at), ZONE) != day:
            continue
        refunded += refund.amount
        fees -= _fee(refund.amount)
        order = orders[refund.order_no]
        rows.append(_row(keys, order, refund.asked_at, "REFUND", -_fee(refund.amount), refund))
    lines = [COLUMNS, *("`" + ",`".join(row) for _, row in sorted(rows)), SUMMARY, "`" + ",`".join([
        str(len(rows)), format_yuan(settled), format_yuan(refunded), "0.00", _raw(fees), format_yuan(settled),
        format_yuan(refunded)])]
    return ("\ufeff" + "\r\n".join(lines) + "\r\n").encode()


def _row(
    keys: Keys, order: SeenOrder, at: str, state: str, fee: int, refund: SeenRefund | None
) -> tuple[str, list[str]]:
    when = parse_instant(at).astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S")
    total = "0.00" if refund else format_yuan(order.total)
    back = format_yuan(refund.amount) if refund else "0.00"
    return when, [
        when, keys.appid, keys.mchid, "0", "", order.transaction_id, order.order_no, "o1", order.kind,
        state, "OTHERS", "CNY", total, "0.00", refund.refund_id if refund else "0",
        refund.refund_no if refund else "0", back, "0.00", "ORIGINAL" if refund else "",
        refund.status if refund else "", order.description, "", _raw(fee), "0.60%", total, back, "",
    ]


def _fee(fen: int) -> int:
    """0.60 %, in thousandths of a fen."""
    return fen * 6


def _raw(thousandths: int) -> str:
    """Thousandths of a fen as yuan with five decimals."""
    sign_, rest = ("-", -thousandths) if thousandths < 0 else ("", thousandths)
    return f"{sign_}{rest // 100_000}.{rest % 100_000:05d}"
