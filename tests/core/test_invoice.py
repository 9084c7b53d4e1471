"""Tax that adds up to the fen, titles that can be invoiced, and a month by the city's walls."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parking.core.invoice import (
    LINES_MAX,
    BadTaxRule,
    BadTitle,
    Kind,
    Payable,
    TaxRule,
    group_payables,
    make_lines,
    month_of,
    read_title,
    receipt_ends,
    red_line,
    share_tax,
    tax_in,
)
from parking.core.taxpayer import BadTaxpayerId, check_character, parse_taxpayer_id

AT = datetime(2026, 3, 10, 1, tzinfo=UTC)
SHANGHAI = ZoneInfo("Asia/Shanghai")
VAT = TaxRule("vat_invoice", 900, "", "Nanjing Rd 1")


def payable(fen: int, *, rule: TaxRule = VAT, operator: int = 1) -> Payable:
    return Payable(UUID(int=operator), 1, uuid4(), uuid4(), fen, AT, AT + timedelta(hours=1), rule)


@pytest.mark.parametrize(("gross", "rate", "tax"), [
    (109, 900, 9), (10_900, 900, 900), (1000, 900, 83), (1500, 900, 124), (1, 900, 0), (6, 900, 0), (7, 900, 1),
    (105, 500, 5), (1000, 500, 48), (10, 500, 0), (11, 500, 1), (1000, 0, 0), (10**11, 900, 8_256_880_734),
])
def test_the_tax_in_a_price(gross: int, rate: int, tax: int) -> None:
    assert tax_in(gross, rate) == tax


@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=60), st.sampled_from([0, 500, 900]))
def test_lines_share_the_tax_of_their_sum_and_none_is_off_by_a_fen(gross: list[int], rate: int) -> None:
    shares = share_tax(gross, rate)

    assert sum(shares) == tax_in(sum(gross), rate)
    for fen, tax in zip(gross, shares, strict=True):
        assert 0 <= tax < fen or rate == 0 or fen == tax == 0
        assert abs(tax * (10_000 + rate) - fen * rate) < 10_000 + rate


@given(st.lists(st.tuples(st.integers(1, 10**6), st.sampled_from([0, 500, 900])), min_size=1, max_size=40))
def test_an_invoice_of_several_rates_adds_up_by_line_and_by_rate(parts: list[tuple[int, int]]) -> None:
    rules = {rate: TaxRule("vat_invoice", rate, "" if rate else "by decree", "here") for rate in (0, 500, 900)}

    lines = make_lines([payable(fen, rule=rules[rate]) for fen, rate in parts])

    assert all(line.net_fen + line.tax_fen == line.gross_fen for line in lines)
    for rate in rules:
        of_rate = [line for line in lines if line.rate == rate]
        assert sum(line.tax_fen for line in of_rate) == tax_in(sum(line.gross_fen for line in of_rate), rate)


@given(st.integers(1, 10**6), st.sampled_from([0, 500, 900]), st.lists(st.integers(1, 10**6), max_size=8))
def test_what_is_taken_back_part_by_part_is_the_line(gross: int, rate: int, cuts: list[int]) -> None:
    rule = TaxRule("vat_invoice", rate, "" if rate else "by decree", "here")
    line = make_lines([payable(gross, rule=rule)])[0]
    ends = sorted({min(cut, gross) for cut in cuts} | {gross})

    parts, before = [], 0
    for end in ends:
        parts.append(red_line(line, before_fen=before, part_fen=end - before))
        before = end

    assert all(each.tax_fen >= 0 and each.net_fen >= 0 for each in parts)
    assert all(each.net_fen + each.tax_fen == each.gross_fen for each in parts)
    assert sum(each.tax_fen for each in parts) == line.tax_fen and sum(each.gross_fen for each in parts) == gross


def test_one_invoice_for_each_seller_and_kind_and_no_longer_than_allowed() -> None:
    street = TaxRule("non_tax_receipt")
    mixed = [payable(1, operator=2), payable(2), payable(3, rule=street), payable(4)]

    assert sorted(sum(each.gross_fen for each in group) for group in group_payables(mixed)) == [1, 3, 6]
    assert [len(group) for group in group_payables([payable(1) for _ in range(LINES_MAX + 1)])] == [LINES_MAX, 1]
    assert group_payables([]) == []


@pytest.mark.parametrize("written", [
    "91110108551385082Q", "91440300708461136T", "914403001922038216", "91310000132200821H", "9131000063159284XQ",
    "91350100M000100Y43", "91500116MAABP9NU8J", "91330000704203949A", "91440606MA4WX4KK55",
    "310101198001011", "31010119800101123400", "91110108 5513 85082q", "91110108-551385082-Q",
])
def test_taxpayer_numbers_that_are_some(written: str) -> None:
    assert parse_taxpayer_id(written) == written.replace(" ", "").replace("-", "").upper()


@pytest.mark.parametrize("wrong", [
    "91350100M000100Y4Z", "91110108551385082P", "19110108551385082Q", "9111010855138508Q2", "91110108551385083Q",
    "", "9", "9111010855138508Q", "91110108551385082QQ", "91I10108551385082Q", "911101085513850 8Q",
    "沪1110108551385082Q", "91110108551385082\x00", "９1110108551385082Q", "3101011980010112340",
    "310101198001011234567",
])
def test_taxpayer_numbers_that_are_none(wrong: str) -> None:
    with pytest.raises(BadTaxpayerId):
        parse_taxpayer_id(wrong)


def test_one_wrong_letter_of_a_code_is_always_noticed() -> None:
    code, letters = "91110108551385082Q", "0123456789ABCDEFGHJKLMNPQRTUWXY"

    for place in range(17):
        for letter in letters:
            other = f"{code[:place]}{letter}{code[place + 1:]}"
            assert (check_character(other) == code[-1]) == (letter == code[place])


@pytest.mark.parametrize(("said", "field"), [
    ({}, "kind"), ({"kind": "x", "name": "a"}, "kind"), ({"kind": "personal"}, "name"),
    ({"kind": "personal", "name": " \t"}, "name"), ({"kind": "personal", "name": "a\x00b"}, "name"),
    ({"kind": "personal", "name": "a\ud800"}, "name"), ({"kind": "personal", "name": "a\u202eb"}, "name"),
    ({"kind": "personal", "name": "x" * 101}, "name"),
    ({"kind": "personal", "name": "Li", "taxpayer_id": "91110108551385082Q"}, "taxpayer_id"),
    ({"kind": "company", "name": "Li"}, "taxpayer_id"),
    ({"kind": "company", "name": "Li", "taxpayer_id": "91110108551385082P"}, "taxpayer_id"),
    ({"kind": "personal", "name": "Li", "email": "li@"}, "email"),
    ({"kind": "personal", "name": "Li", "email": "li@a.cn\nBcc: x@y.cn"}, "email"),
    ({"kind": "personal", "name": "Li", "phone": "call me"}, "phone"),
    ({"kind": "personal", "name": "Li", "account": "=1+1"}, "account"),
    ({"kind": "personal", "name": "Li", "address": "x" * 201}, "address"),
])
def test_titles_nobody_can_be_invoiced_by(said: dict[str, str], field: str) -> None:
    with pytest.raises(BadTitle) as wrong:
        read_title(said)

    assert wrong.value.field == field


def test_a_companys_title_is_read_as_it_is_printed() -> None:
    title = read_title({
        "kind": "company", "name": " 上海某某有限公司 ", "taxpayer_id": "91110108551385082q", "email": "a@b.cn"})

    assert (title.name, title.taxpayer_id, title.email) == ("上海某某有限公司", "91110108551385082Q", "a@b.cn")


@pytest.mark.parametrize("rule", [
    {"kind": "other"}, {"kind": "vat_invoice", "rate": 300}, {"kind": "vat_invoice", "rate": 0},
    {"kind": "vat_invoice", "rate": 900, "free_reason": "x"}, {"kind": "vat_invoice", "rate": 900, "place": ""},
    {"kind": "non_tax_receipt", "rate": 900}, {"kind": "non_tax_receipt", "free_reason": "x"},
])
def test_rules_no_lot_is_invoiced_by(rule: dict[str, Any]) -> None:
    with pytest.raises(BadTaxRule):
        TaxRule(**{"place": "here", **rule}).check()


@pytest.mark.parametrize(("month", "begins", "ends"), [
    (date(2026, 3, 1), "2026-02-28T16:00:00+00:00", "2026-03-31T16:00:00+00:00"),
    (date(2026, 12, 1), "2026-11-30T16:00:00+00:00", "2026-12-31T16:00:00+00:00"),
    (date(2028, 2, 1), "2028-01-31T16:00:00+00:00", "2028-02-29T16:00:00+00:00"),
])
def test_a_month_is_the_citys(month: date, begins: str, ends: str) -> None:
    assert [at.isoformat() for at in month_of(month, SHANGHAI)] == [begins, ends]


def test_a_streets_receipt_waits_thirty_days() -> None:
    assert receipt_ends(datetime(2026, 3, 9, 16, tzinfo=UTC), SHANGHAI) == date(2026, 4, 9)
    assert receipt_ends(datetime(2026, 3, 9, 15, 59, tzinfo=UTC), SHANGHAI) == date(2026, 4, 8)


def test_kinds_are_the_two_there_are() -> None:
    kinds: tuple[Kind, ...] = ("vat_invoice", "non_tax_receipt")
    for kind in kinds:
        TaxRule(kind, 900 if kind == "vat_invoice" else 0, "", "here").check()
