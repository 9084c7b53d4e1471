"""What every provider of invoices keeps (core/invoicing.py): the gateway's adapter against its simulator over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from parking.adapters.invoicing_gateway import InvoicingGateway, make_invoicing_gateway
from parking.core.invoice import Payable, TaxRule, Title, make_lines, red_line
from parking.core.invoicing import InvoiceOrder, InvoiceProvider, InvoicingRefused, InvoicingUnavailable, Seller
from parking.simulators.invoice_gateway import InvoiceGatewaySimulator
from tests.city import now
from tests.invoicing import COMPANY, simulated_gateway

NUMBER = "0" * 31 + "100"
RULE = TaxRule("vat_invoice", 900, "", "Nanjing Rd 1")


@dataclass
class Sides:
    provider: InvoiceProvider
    party: InvoiceGatewaySimulator


@contextmanager
def gateway() -> Iterator[Sides]:
    with simulated_gateway() as party:
        yield Sides(make_invoicing_gateway({**party.settings(), "secret": party.secret}), party)


@pytest.fixture(params=[gateway])
def sides(request: pytest.FixtureRequest) -> Iterator[Sides]:
    make: Callable[[], Any] = request.param
    with make() as found:
        yield found


def order(number: str = NUMBER, *fen: int, **more: Any) -> InvoiceOrder:
    lines = make_lines([
        Payable(UUID(int=1), 1, UUID(int=place), UUID(int=place), each, now() - timedelta(hours=2), now(), RULE)
        for place, each in enumerate(fen or (3000, 1000))])
    return InvoiceOrder(
        number, "vat_invoice", Seller("Operator", "91310000132200821H"), Title("company", "买方", COMPANY), lines,
        **more)


def red(number: str, of: InvoiceOrder, blue_number: str, part: int) -> InvoiceOrder:
    return replace(of, request_no=number, red_of=blue_number, why="allowance",
                   lines=(red_line(of.lines[0], before_fen=0, part_fen=part),))


def test_an_invoice_is_issued_once_and_has_its_files(sides: Sides) -> None:
    wanted = order()

    made = sides.provider.issue(wanted, now=now())
    again = sides.provider.issue(wanted, now=now())

    assert made.state == "issued" and made.number and made.issued_at and again == made
    assert sides.provider.query(NUMBER, now=now()) == made
    assert sides.provider.fetch_document(NUMBER, "pdf", now=now()).startswith(b"%PDF")
    assert b"<?xml" in sides.provider.fetch_document(NUMBER, "xml", now=now())
    with pytest.raises(InvoicingRefused):
        sides.provider.fetch_document(NUMBER, "ofd", now=now())


def test_another_invoice_under_the_same_number_is_refused(sides: Sides) -> None:
    sides.provider.issue(order(), now=now())

    with pytest.raises(InvoicingRefused):
        sides.provider.issue(order(NUMBER, 500), now=now())


def test_what_was_never_asked_is_unknown(sides: Sides) -> None:
    assert sides.provider.query(NUMBER, now=now()).state == "unknown"


def test_part_of_it_is_taken_back_and_no_more_than_it(sides: Sides) -> None:
    blue = order()
    made = sides.provider.issue(blue, now=now())

    taken = sides.provider.issue(red("1" * 34, blue, made.number, 1200), now=now())
    assert taken.state == "issued" and taken.number != made.number
    with pytest.raises(InvoicingRefused):
        sides.provider.issue(replace(blue, request_no="2" * 34, red_of=made.number, why="ended"), now=now())
    with pytest.raises(InvoicingRefused):
        sides.provider.issue(red("3" * 34, blue, "99999999999999999999", 100), now=now())


def test_a_slow_one_is_followed_to_its_end(sides: Sides) -> None:
    sides.party.seen.slow = 2

    states = [sides.provider.issue(order(), now=now()).state]
    states += [sides.provider.query(NUMBER, now=now()).state for _ in range(2)]

    assert states == ["working", "working", "issued"]


def test_no_answer_says_nothing_and_the_work_may_be_done(sides: Sides) -> None:
    sides.party.seen.failures = 1
    with pytest.raises(InvoicingUnavailable):
        sides.provider.issue(order(), now=now())
    assert sides.provider.query(NUMBER, now=now()).state == "unknown"

    sides.party.seen.silences = 1
    with pytest.raises(InvoicingUnavailable):
        sides.provider.issue(order(), now=now())
    assert sides.provider.query(NUMBER, now=now()).state == "issued"


def test_a_refusal_is_the_providers_word(sides: Sides) -> None:
    sides.party.seen.refusals = 1

    with pytest.raises(InvoicingRefused) as refused:
        sides.provider.issue(order(), now=now())

    assert refused.value.reason == "buyer_unknown"
    assert sides.provider.query(NUMBER, now=now()).state == "refused"


def test_sums_that_do_not_add_up_are_refused(sides: Sides) -> None:
    wanted = order()
    wrong = replace(wanted, lines=(replace(wanted.lines[0], tax_fen=wanted.lines[0].tax_fen + 5), wanted.lines[1]))

    with pytest.raises(InvoicingRefused):
        sides.provider.issue(wrong, now=now())


def test_another_secret_a_forged_answer_and_a_wrong_clock_are_no_answer(sides: Sides) -> None:
    stranger = InvoicingGateway(**sides.party.settings(), secret="x" * 32)
    with pytest.raises(InvoicingUnavailable):
        stranger.query(NUMBER, now=now())
    with pytest.raises(InvoicingUnavailable):
        sides.provider.query(NUMBER, now=now() - timedelta(minutes=6))
    sides.party.seen.forged = 1
    with pytest.raises(InvoicingUnavailable):
        sides.provider.issue(order(), now=now())
    with pytest.raises(InvoicingUnavailable):
        InvoicingGateway(base_url="http://127.0.0.1:9", account="a", secret="s" * 32).query(NUMBER, now=now())


@pytest.mark.parametrize("settings", [
    {"base_url": "http://gateway.example/v1"}, {"base_url": "ftp://x"}, {"base_url": ""}, {"secret": "short"},
    {"account": ""}, {"account": "a\nb"}, {"account": "x" * 65},
])
def test_settings_that_cannot_be_safe_are_refused(settings: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        make_invoicing_gateway({
            "base_url": "https://gateway.example/v1", "account": "a", "secret": "s" * 32, **settings})
