"""Alipay's trade bill: what the simulator writes is read, and a file that was touched is refused whole."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest

from parking.core.statement import CHANNEL_ZONE, BadStatement, StatementRow
from parking.core.statement_alipay import find_seller, read_alipay_statement
from parking.core.statement_file import FORMATS, opened

SELLER, DAY = "2088101122136241", date(2026, 3, 10)
HEAD = """#支付宝业务明细查询
#账号：[20881011221362410156]
#起始日期：[2026年03月10日 00:00:00]   终止日期：[2026年03月11日 00:00:00]
#-----------------业务明细列表----------------
支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,\
商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,商家红包消费金额（元）,\
卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注
"""
ROWS = """2026031022001400000000000001\t,P20260310000001\t,交易,parking,2026-03-10 09:40:50,2026-03-10 09:41:07,\t,,,\t\
,*明(159****0001),15.00,15.00,0.00,0.00,0.00,0.00,0.00,,0.00,0.00,\t,-0.09,0.00,
2026031022001400000000000002\t,P20260310000002\t,交易,parking,2026-03-10 11:10:00,2026-03-10 11:10:40,\t,,,\t,\
*红(138****0002),45.00,40.00,0.00,0.00,0.00,5.00,5.00,,0.00,0.00,\t,-0.24,0.00,
2026031022001400000000000002\t,P20260310000002\t,退款,parking,2026-03-10 11:10:00,2026-03-10 15:00:00,\t,,,\t,\
*红(138****0002),-30.00,-25.00,0.00,0.00,0.00,-5.00,0.00,,0.00,0.00,R20260310000001\t,0.15,0.00,
"""
FOOT = """#-----------------业务明细列表结束----------------
#交易合计：2笔，商家实收共55.00元，商家优惠共5.00元
#退款合计：1笔，商家实收退款共-25.00元，商家优惠退款共-5.00元
#导出时间：[2026年03月11日 10:00:00]
"""
WHOLE = HEAD + ROWS + FOOT


def lines(text: str) -> list[bytes]:
    return [f"{line}\r\n".encode("gbk") for line in text.splitlines()]


def read(text: str | list[bytes], *, at_once: int = 2) -> list[StatementRow]:
    found = text if isinstance(text, list) else lines(text)
    parts = read_alipay_statement(found, merchant_no=SELLER, day=DAY, zone=CHANNEL_ZONE, at_once=at_once)
    return [row for part in parts for row in part]


def ms(hour: int, minute: int, second: int = 0) -> int:
    """On the day by Shanghai's clock, which is eight hours ahead."""
    return int(datetime(2026, 3, 10, hour - 8, minute, second, tzinfo=UTC).timestamp() * 1000)


def test_payments_and_refunds_with_what_is_settled_and_kept() -> None:
    first, second, back = read(WHOLE)

    assert first == StatementRow(6, "payment", ms(9, 41, 7), "P20260310000001", "P20260310000001",
                                 "2026031022001400000000000001", 1500, "SUCCESS", 9000, 1500)
    assert (second.amount_fen, second.settled_fen, second.fee_raw) == (4500, 4000, 24000)
    assert back == StatementRow(8, "refund", ms(15, 0), "P20260310000002", "R20260310000001",
                                "2026031022001400000000000002", 3000, "SUCCESS", -15000, -2500)
    assert find_seller(lines(WHOLE)) == SELLER and find_seller(lines(ROWS)) is None


@pytest.mark.parametrize("change", [
    lambda text: text.replace("（元）", "(元)"),
    lambda text: text.replace("\t,", ","),
    lambda text: text.replace("[20881011221362410156]", f"[{SELLER}]"),
    lambda text: text.replace("2026年03月11日 00:00:00]", "2026年03月10日 23:59:59]"),
    lambda text: text.replace("parking,2026", '"parking, level ""2""",2026'),
    lambda text: text.replace("15.00,15.00", "15,15.0"),
])
def test_files_differ_in_what_does_not_matter(change: Callable[[str], str]) -> None:
    assert change(WHOLE) != WHOLE
    assert read(change(WHOLE)) == read(WHOLE)


def test_columns_are_found_by_name() -> None:
    def turned(line: str) -> str:
        fields = line.split(",")
        return line if line.startswith("#") else ",".join([*fields[5:], *fields[:5]])

    assert read("\n".join(turned(line) for line in WHOLE.splitlines())) == read(WHOLE)


def test_a_day_without_trade_has_totals_of_nothing() -> None:
    nothing = FOOT.replace("2笔，商家实收共55.00元，商家优惠共5.00", "0笔，商家实收共0.00元，商家优惠共0.00").replace(
        "1笔，商家实收退款共-25.00元，商家优惠退款共-5.00", "0笔，商家实收退款共0.00元，商家优惠退款共0.00")

    assert read(HEAD + nothing) == read("No Bill Exist") == []


@pytest.mark.parametrize(("old", "new", "row", "reason"), [
    ("[20881011221362410156]", "[20881011221362420156]", 5, "other_merchant"),
    ("#账号：[20881011221362410156]\n", "", 4, "no_account"),
    ("起始日期：[2026年03月10日", "起始日期：[2026年03月09日", 5, "other_day"),
    ("终止日期：[2026年03月11日", "终止日期：[2026年04月01日", 5, "other_day"),
    ("终止日期：[2026年03月11日", "终止日期：[2026年03月99日", 5, "other_day"),
    ("服务费（元）", "手续费（元）", 5, "no_header"),
    ("15.00,15.00", "15.01,15.01", 10, "totals_differ"),
    ("2笔，商家实收共55.00", "3笔，商家实收共55.00", 10, "totals_differ"),
    ("商家优惠共5.00", "商家优惠共5.01", 10, "totals_differ"),
    ("退款共-25.00元", "退款共-24.00元", 11, "totals_differ"),
    ("#退款合计：1笔，商家实收退款共-25.00元，商家优惠退款共-5.00元\n", "", 11, "cut_short"),
    (FOOT, "", 4, "cut_short"),
    ("2026-03-10 09:41:07", "2026-03-11 00:00:00", 6, "other_day"),
    ("2026-03-10 09:41:07", "2026-02-30 09:41:07", 6, "bad_time"),
    ("15.00,15.00", "15.001,15.00", 6, "bad_amount"), ("15.00,15.00", "-15.00,-15.00", 6, "bad_amount"),
    ("15.00,15.00", "0.00,0.00", 6, "bad_amount"), ("15.00,15.00", "15.00,１５.00", 6, "bad_amount"),
    ("P20260310000001", "P2026 03100001", 6, "bad_number"), ("R20260310000001", "", 8, "bad_number"),
    ("交易,parking,2026-03-10 09", "赠送,parking,2026-03-10 09", 6, "unknown_kind"),
    ("-0.09,0.00,", "-0.09,0.00,,", 6, "row_width"), ("-0.09,0.00,", "-0.09,0.00", 6, "row_width"),
    ("parking,2026-03-10 09:40", 'par"king,2026-03-10 09:40', 6, None),
    ("*明(159****0001)", "*明\x00", 6, "control_character"),
    ("*明(159****0001)", "x" * 17_000, 6, "line_too_long"),
])
def test_a_file_that_was_touched_is_refused_with_its_line(old: str, new: str, row: int, reason: str | None) -> None:
    assert old in WHOLE
    touched = WHOLE.replace(old, new, 1)
    if reason is None:
        assert len(read(touched)) == 3  # a quote inside of a field is a letter like another
        return

    with pytest.raises(BadStatement) as refused:
        read(touched)

    assert (refused.value.row, refused.value.reason) == (row, reason)


def test_rows_after_the_end_are_refused() -> None:
    with pytest.raises(BadStatement) as refused:
        read(WHOLE + ROWS)

    assert refused.value.reason == "more_after_the_end"


def test_what_is_no_gbk_is_refused() -> None:
    with pytest.raises(BadStatement) as refused:
        read([*lines(HEAD), b"\xff\xff\xff,\n"])

    assert (refused.value.row, refused.value.reason) == (6, "not_gbk")


def packed(members: list[tuple[str, bytes]]) -> io.BytesIO:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    made.seek(0)
    return made


def from_file(file: io.BytesIO) -> list[StatementRow]:
    with opened(file, FORMATS["alipay"]) as found:
        return read(list(found))


def test_of_a_zip_the_member_with_the_rows_is_taken_whatever_its_name_and_place() -> None:
    detail, summary = b"".join(lines(WHOLE)), "门店编号,合计\r\n".encode("gbk")

    for members in ([("b", detail), ("a", summary)], [("a", summary), ("b/c.csv", detail)], [("x", detail)]):
        assert from_file(packed(members)) == read(WHOLE)
    assert from_file(io.BytesIO(detail)) == read(WHOLE)


def test_a_zip_that_is_none_is_refused() -> None:
    detail = b"".join(lines(WHOLE))
    whole = packed([("a", detail)]).getvalue()
    flipped = bytearray(whole)
    flipped[60] ^= 0xFF
    locked = bytearray(whole)
    locked[6] |= 1
    locked[whole.index(b"PK\x01\x02") + 8] |= 1

    for broken in (whole[: len(whole) // 2], bytes(flipped), bytes(locked), b"PK\x03\x04" + b"0" * 100,
                   packed([("a", b"nothing")]).getvalue(), packed([(f"{n}", b"") for n in range(21)]).getvalue()):
        with pytest.raises(BadStatement) as refused:
            from_file(io.BytesIO(broken))
        assert refused.value.reason in ("bad_zip", "no_header"), refused.value


def test_a_zip_bomb_is_refused_before_it_is_read() -> None:
    made = io.BytesIO()
    archive = zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED)
    with archive, archive.open("bomb", "w", force_zip64=True) as out:
        for _ in range(1100):
            out.write(b"0" * 1024 * 1024)

    with pytest.raises(BadStatement) as refused:
        from_file(made)

    assert refused.value.reason == "bad_zip"
    small = packed([("a", b"0" * 50_000_000)])
    with pytest.raises(BadStatement) as refused:
        from_file(small)
    assert refused.value.reason == "no_header"
