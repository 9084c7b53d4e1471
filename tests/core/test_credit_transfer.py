"""The payment file has every element that a bank's reader needs, in the schema's order."""

from __future__ import annotations

from datetime import UTC, date, datetime
from xml.etree import ElementTree

import pytest

from parking.core.bank import BankAccount
from parking.core.credit_transfer import NAMESPACE, CreditTransfer, write_pain001

NOW = datetime(2026, 4, 2, 1, 30, tzinfo=UTC)
CITY = BankAccount("City of Shanghai", iban="GB82WEST12345698765432")
PARKS = BankAccount("浦东 <停车> & Co", number="6222021001116245702", cnaps="102290002916")


def transfer(payer: BankAccount = CITY, payee: BankAccount = PARKS) -> CreditTransfer:
    return CreditTransfer("0195d4f0" * 4, 21_201, payer, payee, "Parking settlement 1", date(2026, 4, 3))


def leaves(raw: bytes) -> list[tuple[str, str]]:
    """Every element with a text, by its path, in the order of the file."""
    found: list[tuple[str, str]] = []

    def walk(element: ElementTree.Element, above: str) -> None:
        space, _, name = element.tag.rpartition("}")
        assert space == f"{{{NAMESPACE}"
        path = f"{above}/{name}" if above else name
        if len(element) == 0:
            found.append((path, element.text or ""))
        for each in element:
            walk(each, path)

    walk(ElementTree.fromstring(raw), "")
    return found


def test_a_transfer_to_a_chinese_bank_has_these_elements_in_this_order() -> None:
    raw = write_pain001(transfer(), now=NOW)

    top, one = "Document/CstmrCdtTrfInitn", "Document/CstmrCdtTrfInitn/PmtInf/CdtTrfTxInf"
    name = "0195d4f0" * 4
    assert raw.startswith(b"<?xml version='1.0' encoding='utf-8'?>")
    assert leaves(raw) == [
        (f"{top}/GrpHdr/MsgId", name),
        (f"{top}/GrpHdr/CreDtTm", "2026-04-02T01:30:00Z"),
        (f"{top}/GrpHdr/NbOfTxs", "1"),
        (f"{top}/GrpHdr/CtrlSum", "212.01"),
        (f"{top}/GrpHdr/InitgPty/Nm", "City of Shanghai"),
        (f"{top}/PmtInf/PmtInfId", name),
        (f"{top}/PmtInf/PmtMtd", "TRF"),
        (f"{top}/PmtInf/NbOfTxs", "1"),
        (f"{top}/PmtInf/CtrlSum", "212.01"),
        (f"{top}/PmtInf/ReqdExctnDt/Dt", "2026-04-03"),
        (f"{top}/PmtInf/Dbtr/Nm", "City of Shanghai"),
        (f"{top}/PmtInf/DbtrAcct/Id/IBAN", "GB82WEST12345698765432"),
        (f"{top}/PmtInf/DbtrAcct/Ccy", "CNY"),
        (f"{top}/PmtInf/DbtrAgt/FinInstnId/Othr/Id", "NOTPROVIDED"),
        (f"{one}/PmtId/EndToEndId", name),
        (f"{one}/Amt/InstdAmt", "212.01"),
        (f"{one}/CdtrAgt/FinInstnId/ClrSysMmbId/ClrSysId/Cd", "CNAPS"),
        (f"{one}/CdtrAgt/FinInstnId/ClrSysMmbId/MmbId", "102290002916"),
        (f"{one}/Cdtr/Nm", "浦东 <停车> & Co"),
        (f"{one}/CdtrAcct/Id/Othr/Id", "6222021001116245702"),
        (f"{one}/CdtrAcct/Ccy", "CNY"),
        (f"{one}/RmtInf/Ustrd", "Parking settlement 1"),
    ]
    amount = ElementTree.fromstring(raw).find(f".//{{{NAMESPACE}}}InstdAmt")
    assert amount is not None and amount.attrib == {"Ccy": "CNY"}


def test_a_bank_that_has_both_codes_is_named_by_both() -> None:
    payer = BankAccount("City", number="0123456", cnaps="102290002916", bic="ICBKCNBJSHI")

    found = dict(leaves(write_pain001(transfer(payer=payer), now=NOW)))

    agent = "Document/CstmrCdtTrfInitn/PmtInf/DbtrAgt/FinInstnId"
    assert [path.removeprefix(agent) for path in found if path.startswith(agent)] == [
        "/BICFI", "/ClrSysMmbId/ClrSysId/Cd", "/ClrSysMmbId/MmbId"]
    assert found["Document/CstmrCdtTrfInitn/PmtInf/DbtrAcct/Id/Othr/Id"] == "0123456"


@pytest.mark.parametrize(("fen", "name", "about"), [(0, "a", "b"), (-1, "a", "b"), (1, "", "b"), (1, "x" * 36, "b"),
                                                    (1, "a", "x" * 141)])
def test_what_no_file_can_say_is_not_made(fen: int, name: str, about: str) -> None:
    with pytest.raises(AssertionError):
        CreditTransfer(name, fen, CITY, PARKS, about, date(2026, 4, 3))
