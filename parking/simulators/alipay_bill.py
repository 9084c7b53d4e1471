"""A day's bill as Alipay writes it, of what the simulator saw: a ZIP of two or one CSV, names and text in GBK.

`trade`: each trade and refund, and a summary beside it; the two lie in the ZIP in any order. `signcustomer`:
each movement of the account's money. Lines that begin with `#` stand before and behind the rows; numbers of
orders end in a tab, so that a spreadsheet leaves them alone. Source: opendocs.alipay.com, "bills";
developer.aliyun.com/article/707638.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from parking.adapters.alipay_gateway import wall
from parking.core.money import format_yuan
from parking.simulators.alipay_seen import Seen, SeenOrder

TRADE_COLUMNS = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,"
    "商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,商家红包消费金额（元）,"
    "卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"
)
SUMMARY_COLUMNS = (
    "门店编号,门店名称,交易订单总笔数,退款订单总笔数,订单金额（元）,商家实收（元）,支付宝优惠（元）,商家优惠（元）,"
    "卡消费金额（元）,服务费（元）,分润（元）,实收净额（元）"
)
MONEY_COLUMNS = (
    "账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,收入金额（+元）,支出金额（-元）,账户余额（元）,交易渠道,业务类型,备注"
)
_RULE = "-" * 16
_NOTHING = "0.00"
_BUYER = "*明(159****0001)"
_OPENING_FEN = 10_000_000  # so that no movement leaves the account below nothing


@dataclass(frozen=True)
class Row:
    """A trade or a refund of the day; amounts in fen, negative for a refund, its fee given back."""

    at: str
    order: SeenOrder
    amount: int
    refund_no: str = ""

    @property
    def fee(self) -> int:
        """0.60 %, rounded to the fen: what the channel keeps is negative."""
        return -((abs(self.amount) * 6 + 500) // 1000) * (1 if self.amount > 0 else -1)


def write_bill(seller_id: str, seen: Seen, day: date, kind: str, *, made_at: datetime) -> bytes | None:
    """The ZIP of a day; None of a day on which nothing moved, and of an unknown kind."""
    stem = f"{seller_id}0156_{day:%Y%m%d}"
    if kind == "signcustomer":
        lines = _money(seller_id, seen, day, made_at)
        return None if lines is None else _zip([(f"{stem}_账务明细.csv", lines)])
    rows = _rows(seen, day)
    if not rows or kind != "trade":
        return None
    members = [(f"{stem}_业务明细.csv", _detail(seller_id, rows, day, made_at)),
               (f"{stem}_业务明细(汇总).csv", _summary(seller_id, rows, day, made_at))]
    return _zip(members if day.toordinal() % 2 else members[::-1])


def _rows(seen: Seen, day: date | None = None) -> list[Row]:
    """Trades and refunds of a day, or all."""
    of = "" if day is None else f"{day}"
    found = [Row(each.paid_at, each, each.total) for each in seen.orders.values()
             if each.paid_at and each.paid_at.startswith(of)]
    found += [
        Row(each.done_at, seen.orders[each.order_no], -each.amount, each.refund_no)
        for each in seen.refunds.values() if each.done_at.startswith(of)]
    return sorted(found, key=lambda each: (each.at, each.refund_no))


def _detail(seller_id: str, rows: list[Row], day: date, made_at: datetime) -> list[str]:
    paid, back = ([each.amount for each in rows if (each.amount > 0) is is_paid] for is_paid in (True, False))
    return [
        *_head("支付宝业务明细查询", seller_id, day), f"#{_RULE}业务明细列表{_RULE}", TRADE_COLUMNS,
        *(",".join(_detail_fields(each)) for each in rows), f"#{_RULE}业务明细列表结束{_RULE}",
        f"#交易合计：{len(paid)}笔，商家实收共{format_yuan(sum(paid))}元，商家优惠共{_NOTHING}元",
        f"#退款合计：{len(back)}笔，商家实收退款共{format_yuan(sum(back))}元，商家优惠退款共{_NOTHING}元",
        _foot(made_at)]


def _detail_fields(row: Row) -> list[str]:
    order, amount = row.order, format_yuan(row.amount)
    return [
        f"{order.trade_no}\t", f"{order.order_no}\t", "退款" if row.refund_no else "交易", order.subject,
        order.made_at, row.at, "\t", "", "", "\t", _BUYER, amount, amount, *[_NOTHING] * 5, "", _NOTHING, _NOTHING,
        f"{row.refund_no}\t", format_yuan(row.fee), _NOTHING, ""]


def _summary(seller_id: str, rows: list[Row], day: date, made_at: datetime) -> list[str]:
    amount, fee = sum(each.amount for each in rows), sum(each.fee for each in rows)
    back = sum(1 for each in rows if each.refund_no)
    fields = [f"{len(rows) - back}", f"{back}", format_yuan(amount), format_yuan(amount), _NOTHING, _NOTHING,
              _NOTHING, format_yuan(fee), _NOTHING, format_yuan(amount + fee)]
    return [
        *_head("支付宝业务汇总查询", seller_id, day), f"#{_RULE}业务汇总列表{_RULE}", SUMMARY_COLUMNS,
        ",".join(["\t", "\t", *fields]), ",".join(["合计", "", *fields]), f"#{_RULE}业务汇总列表结束{_RULE}",
        _foot(made_at)]


def _money(seller_id: str, seen: Seen, day: date, made_at: datetime) -> list[str] | None:
    """Each movement with what the account held afterwards, and behind them what went out and what came in."""
    lines, balance = list[str](), _OPENING_FEN
    income: list[int] = []
    spent: list[int] = []
    for move in sorted(_moves(seen), key=lambda each: (each.at[:19], each.order)):
        if move.at[:10] > f"{day}":
            break
        balance += move.fen
        if move.at[:10] != f"{day}":
            continue
        (income if move.fen > 0 else spent).append(move.fen)
        lines.append(",".join([
            f"{day:%Y%m%d}{len(lines) + 1:012d}\t", f"{move.trade_no}\t", f"{move.order_no}\t", move.subject,
            move.at[:19], _BUYER, format_yuan(move.fen) if move.fen > 0 else " ",
            format_yuan(move.fen) if move.fen < 0 else " ", format_yuan(balance), "支付宝", move.kind, move.note]))
    if not lines:
        return None
    return [
        *_head("支付宝账务明细查询", seller_id, day), f"#{_RULE}账务明细列表{_RULE}", MONEY_COLUMNS, *lines,
        f"#{_RULE}账务明细列表结束{_RULE}", f"#支出合计：{len(spent)}笔，共{format_yuan(sum(spent))}元",
        f"#收入合计：{len(income)}笔，共{format_yuan(sum(income))}元", _foot(made_at)]


@dataclass(frozen=True)
class _Move:
    at: str
    order: str
    trade_no: str
    order_no: str
    subject: str
    kind: str
    note: str
    fen: int


def _moves(seen: Seen) -> Iterator[_Move]:
    """A trade or refund and its fee are two movements each; a fee of nothing is none."""
    for row in _rows(seen):
        of, name = row.order, row.refund_no or row.order.order_no
        said = row.at, name, of.trade_no, of.order_no, of.subject
        yield _Move(*said, "交易退款" if row.refund_no else "在线支付", row.refund_no, row.amount)
        if row.fee:
            yield _Move(*said, "退费" if row.refund_no else "收费", "服务费", row.fee)
    for each in seen.withdrawals:
        yield _Move(each.at, each.flow_no, each.flow_no, "", "提现", "提现", "", -each.amount)


def _head(title: str, seller_id: str, day: date) -> list[str]:
    begin, end = (f"{each:%Y年%m月%d日} 00:00:00" for each in (day, day + timedelta(days=1)))
    return [f"#{title}", f"#账号：[{seller_id}0156]", f"#起始日期：[{begin}]   终止日期：[{end}]"]


def _foot(made_at: datetime) -> str:
    moment = datetime.strptime(wall(made_at), "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 (only written out again)
    return f"#导出时间：[{moment:%Y年%m月%d日 %H:%M:%S}]"


class _GbkName(zipfile.ZipInfo):
    """A member whose name is GBK and says nothing of it, as older programs write it."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.filename.encode("gbk"), self.flag_bits


def _zip(members: list[tuple[str, list[str]]]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, lines in members:
            entry = _GbkName(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, ("\r\n".join(lines) + "\r\n").encode("gbk"))
    return made.getvalue()
