"""Bills of movements: read by their headers, the balance checked row by row, a file that was touched refused whole."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from parking.core.fund_bill import FundRow, FundTotals, kind_of, read_wechat_funds
from parking.core.fund_bill_alipay import read_alipay_funds
from parking.core.statement import CHANNEL_ZONE, BadStatement
from parking.core.statement_file import FUND_FORMATS, opened
from parking.simulators.alipay_bill import write_bill
from parking.simulators.alipay_seen import Seen as AlipaySeen
from parking.simulators.alipay_seen import SeenOrder as AlipayOrder
from parking.simulators.alipay_seen import SeenWithdrawal

DAY, SELLER = date(2026, 3, 10), "2088101122136241"
CASES = Path(__file__).parents[1] / "cases"
WECHAT = (CASES / "wechat_funds_2026-03-10.csv").read_text("utf-8")
ALIPAY = (CASES / "alipay_funds_2026-03-10.csv").read_text("utf-8")  # as GBK it is written below
NEW_NAMES = (
    "业务描述", "业务账单来源", "账户余额（元）", "支出金额（-元）", "收入金额（+元）", "发生时间", "业务基础订单号",
    "业务订单号", "商户订单号", "业务类型", "账务流水号", "业务流水号")


def wechat(text: str, totals: FundTotals | None = None) -> list[FundRow]:
    lines = [f"{line}\r\n".encode() for line in text.splitlines()]
    parts = read_wechat_funds(
        lines, totals or FundTotals(), merchant_no="1900000001", day=DAY, zone=CHANNEL_ZONE, at_once=3)
    return [row for part in parts for row in part]


def alipay(text: str, totals: FundTotals | None = None, *, merchant_no: str = SELLER) -> list[FundRow]:
    lines = [f"{line}\r\n".encode("gb18030") for line in text.splitlines()]
    parts = read_alipay_funds(
        lines, totals or FundTotals(), merchant_no=merchant_no, day=DAY, zone=CHANNEL_ZONE, at_once=3)
    return [row for part in parts for row in part]


BOTH = {"wechat": (wechat, WECHAT), "alipay": (alipay, ALIPAY)}


@pytest.mark.parametrize("channel", BOTH)
def test_each_movement_has_its_kind_its_sign_and_what_is_there_afterwards(channel: str) -> None:
    read, text = BOTH[channel]
    totals = FundTotals()

    rows = read(text, totals)  # type: ignore[operator]

    assert [(each.kind, each.moved_fen, each.balance_fen) for each in rows] == [
        ("payment", 1500, 101500), ("fee", -9, 101491), ("refund", -1000, 100491), ("withdrawal", -100000, 491)]
    assert (totals.opening_fen, totals.closing_fen, totals.count) == (100000, 491, 4)
    assert totals.kinds["fee"] == {"count": 1, "fen": -9} and totals.kinds["other"] == {"count": 0, "fen": 0}
    assert rows[0].number == "P1" and rows[0].channel_no == rows[1].channel_no
    assert rows[0].at_ms % 86_400_000 == (1 * 3600 + 41 * 60 + 7) * 1000, "eight hours ahead"


def test_words_of_movements_are_an_open_list_and_a_direction_that_does_not_fit_is_another_movement() -> None:
    assert [kind_of(*each) for each in (
        ("交易付款", 1), ("交易", -1), ("退款", 1), ("退款", -1), ("退还交易手续费", 3), ("提现失败退回", 5),
        ("转账", -5))] == [
        "payment", "other", "other", "refund", "fee", "withdrawal", "other"]


def test_columns_of_alipay_stand_in_whatever_order_and_trades_have_another_name() -> None:
    head, rows, foot = [], [], []
    for line in ALIPAY.splitlines():
        (rows if not line.startswith("#") else foot if rows else head).append(line)
    names = rows[0].split(",")
    moved = [",".join(NEW_NAMES)]
    for row in rows[1:]:
        fields = dict(zip(names, row.split(","), strict=True))
        fields |= {"业务基础订单号": fields["业务流水号"], "业务流水号": "9", "业务描述": "x", "业务账单来源": "y",
                   "业务订单号": "z"}
        moved.append(",".join(fields[name] for name in NEW_NAMES))

    read = alipay("\n".join([*head, *moved, *foot]))

    assert [each[:6] for each in read[:3]] == [each[:6] for each in alipay(ALIPAY)[:3]]
    assert read[3].number == "z", "an order of theirs, where ours is not named"
    half_wide = ALIPAY.replace("（", "(").replace("）", ")")
    assert alipay(half_wide) == alipay(ALIPAY)


@pytest.mark.parametrize("channel", BOTH)
def test_the_row_where_the_balance_breaks_is_told(channel: str) -> None:
    read, text = BOTH[channel]
    lines = text.splitlines()
    first = next(place for place, line in enumerate(lines) if "P1" in line)

    def refused(changed: list[str]) -> tuple[int, str]:
        with pytest.raises(BadStatement) as bad:
            read("\n".join(changed))  # type: ignore[operator]
        return bad.value.row, bad.value.reason

    edited = [line.replace("0.09", "0.08") if place == first + 1 else line for place, line in enumerate(lines)]
    assert refused(edited) == (first + 2, "balance_breaks")
    assert refused(lines[:first + 1] + lines[first + 2:]) == (first + 2, "balance_breaks"), "a row is missing"
    assert refused(lines[:first + 1] + lines[first:]) == (first + 2, "balance_breaks"), "a row is there twice"
    swapped = [*lines[:first + 1], lines[first + 2], lines[first + 1], *lines[first + 3:]]
    assert refused(swapped) == (first + 2, "balance_breaks")
    both = [line.replace("15.00", "16.00").replace("1015.00", "1016.00") if place == first else line
            for place, line in enumerate(lines)]
    assert refused(both)[1] == "balance_breaks", "the next row knows what was there"


CHANGES: dict[str, list[tuple[Callable[[str], str], str]]] = {
    "wechat": [
        (lambda text: text.rsplit("\n", 2)[0], "cut_short"),
        (lambda text: "\n".join(text.splitlines()[:3]), "cut_short"),
        (lambda text: text + text, "more_after_the_end"),
        (lambda text: text.replace("`4.0,", "`100000000.0,"), "totals_differ"),
        (lambda text: text.replace("`1010.09", "`1010.08"), "totals_differ"),
        (lambda text: text.replace("`15.00,`3.0", "`15.01,`3.0"), "totals_differ"),
        (lambda text: text.replace("收入金额\n", "收入金额\n").replace("支出笔数,支出金额", "支出笔数"), "no_totals"),
        (lambda text: text.replace("2026-03-10 15", "2026-03-11 15"), "other_day"),
        (lambda text: text.replace("`5000000001", "`=HYPERLINK(1)"), "bad_number"),
        (lambda text: text.replace("`R1", "`@SUM(A1)"), "bad_number"),
        (lambda text: text.replace("`10.00,`1004.91", "`-10.00,`1024.91"), "bad_amount"),
        (lambda text: text.replace("`0.09", "`0.0900"), "bad_amount"),
        (lambda text: text.replace("`0.09", "`1e5"), "bad_amount"),
        (lambda text: text.replace("`支出,`0.09", "`冻结,`0.09"), "unknown_kind"),
        (lambda text: text.replace("账户结余(元)", "余额"), "no_header"),
        (lambda text: text.replace("备注", "业务类型"), "no_header"),
        (lambda text: text.replace("`system,`,`P1", "`system,`P1"), "row_width"),
        (lambda text: text.replace("缺货", "缺\x00货"), "control_character"),
        (lambda text: text.replace("缺货", "缺" * 20_000), "line_too_long"),
        (lambda text: "\n".join(text.splitlines()[:1] + text.splitlines()[-2:]), "no_rows"),
    ],
    "alipay": [
        (lambda text: "\n".join(text.splitlines()[:-3]), "cut_short"),
        (lambda text: "\n".join(text.splitlines()[:7]), "cut_short"),
        (lambda text: text.replace("支出合计：3笔", "支出合计：100000000笔"), "totals_differ"),
        (lambda text: text.replace("共15.00元", "共15.01元"), "totals_differ"),
        (lambda text: text + "1,2,3\n", "more_after_the_end"),
        (lambda text: text.replace("#起始日期：[2026年03月10日", "#起始日期：[2026年03月09日"), "other_day"),
        (lambda text: text.replace("2026-03-10 15", "2026-03-09 15"), "other_day"),
        (lambda text: text.replace("[2088101122136241", "[2088101122136242"), "other_merchant"),
        (lambda text: text.replace(" ,-0.09", "0.09,-0.09"), "bad_amount"),
        (lambda text: text.replace(" ,-0.09", " , "), "bad_amount"),
        (lambda text: text.replace("20260310000000000003\t", "=1+1\t"), "bad_number"),
        (lambda text: text.replace("业务流水号,商户订单号", "流水,商户订单号"), "no_header"),
        (lambda text: text.replace("在线支付,", "在线支付"), "row_width"),
    ],
}


@pytest.mark.parametrize(("channel", "number"), [(name, at) for name in CHANGES for at in range(len(CHANGES[name]))])
def test_a_file_that_was_touched_is_refused_and_the_reason_said(channel: str, number: int) -> None:
    read, text = BOTH[channel]
    change, reason = CHANGES[channel][number]
    assert change(text) != text

    with pytest.raises(BadStatement) as bad:
        read(change(text))  # type: ignore[operator]

    assert bad.value.reason == reason
    assert bad.value.row >= 1


def test_another_encoding_is_refused() -> None:
    totals = FundTotals()
    with pytest.raises(BadStatement, match="not_utf8"):
        list(read_wechat_funds([line.encode("gbk") for line in WECHAT.splitlines()], totals,
                               merchant_no="1", day=DAY, zone=CHANNEL_ZONE))
    with pytest.raises(BadStatement):
        list(read_alipay_funds([f"{line}\n".encode() for line in ALIPAY.splitlines()], totals,
                               merchant_no=SELLER, day=DAY, zone=CHANNEL_ZONE))


def test_a_day_on_which_nothing_moved() -> None:
    totals = FundTotals()

    assert wechat("No Bill Exist", totals) == [] and alipay("No Bill Exist") == []

    assert (totals.opening_fen, totals.closing_fen) == (None, None)
    with pytest.raises(BadStatement):
        wechat("No Bill Exist\nmore")


def zipped(*members: tuple[str, bytes]) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members:
            archive.writestr(name, body)
    return file


def test_the_member_of_a_zip_is_chosen_by_its_header_and_a_bomb_is_not_opened() -> None:
    text = ALIPAY.encode("gb18030")
    other = ("#x\r\n" + ALIPAY.replace("账务流水号", "别的")).encode("gb18030")
    for members in ((("a.csv", other), ("b.csv", text)), (("b.csv", text), ("a.csv", other))):
        with opened(zipped(*members), FUND_FORMATS["alipay"]) as lines:
            assert b"".join(lines) == text
    bomb = zipped(("a.csv", text))
    packed = bytearray(bomb.getvalue())
    place = packed.rindex(b"PK\x01\x02") + 24
    packed[place:place + 4] = (2**31).to_bytes(4, "little")
    with pytest.raises(BadStatement, match="bad_zip"), opened(io.BytesIO(bytes(packed)), FUND_FORMATS["alipay"]):
        pass
    many = zipped(*((f"{number}.csv", b"") for number in range(21)))
    with pytest.raises(BadStatement, match="bad_zip"), opened(many, FUND_FORMATS["alipay"]):
        pass


def test_what_the_simulators_write_is_read_and_each_day_begins_where_the_last_ended() -> None:
    seen = AlipaySeen()
    for number in range(3):
        on = f"{DAY + timedelta(days=number)}"
        seen.orders[f"P{number}"] = AlipayOrder(
            f"P{number}", "parking", "", "", on, total=1500 + number, state="TRADE_SUCCESS",
            trade_no=f"20260310{number}", made_at=f"{on} 08:00:00", paid_at=f"{on} 09:00:00")
        seen.withdrawals.append(SeenWithdrawal(f"777{number}", f"{on} 23:00:00", 500))
    found = []
    for number in range(3):
        file = write_bill(SELLER, seen, DAY + timedelta(days=number), "signcustomer",
                          made_at=datetime(2026, 3, 11, tzinfo=UTC))
        assert file is not None
        totals = FundTotals()
        with opened(io.BytesIO(file), FUND_FORMATS["alipay"]) as lines:
            rows = list(FUND_FORMATS["alipay"].read(
                lines, totals, merchant_no=SELLER, day=DAY + timedelta(days=number), zone=CHANNEL_ZONE))
        assert rows
        found.append((totals.opening_fen, totals.closing_fen))

    assert all(before[1] == after[0] for before, after in pairwise(found))
