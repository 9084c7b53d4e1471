"""The nightly proof: books that agree are said to, and each thing that was tampered with is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from parking.services.prove import prove_one_lot
from parking.store import ledger_proofs
from tests.city import City, now
from tests.visits import drive


def prove(city: City, *arguments: str) -> tuple[int, str]:
    done = city.app.test_cli_runner().invoke(args=["parking", "prove", *arguments])
    return done.exit_code, done.output


def tamper(city: City, statement: str) -> None:
    """As whoever owns the tables, whom no grant stops, and who takes the triggers away first."""
    database = city.app.extensions["database"]
    owner = create_engine(database.engine.url)
    with owner.begin() as connection:
        if database.is_sqlite:
            for (name,) in connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
                connection.execute(text(f"DROP TRIGGER {name}"))
        assert connection.execute(text(statement)).rowcount == 1
    owner.dispose()


@pytest.fixture
def driven(city: City) -> City:
    drive(city, 60)
    return city


def test_books_that_nobody_touched_agree_to_the_last_seal(driven: City) -> None:
    code, said = prove(driven, "--all")

    assert code == 0, said
    lines = said.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"lot {number}: agrees" for number in (1, 2, 3)]
    assert "0 seals" not in lines[0] and "0 transfers" not in lines[0]
    with driven.app.extensions["database"].reading() as db:
        assert {each.outcome for each in ledger_proofs.list_last_proofs(db)} == {"agrees"}


ONE_CHARGE = ("(SELECT charge_id FROM charge WHERE lot_id = 1 AND kind = 'charge' AND total_fen > 1 "
              "ORDER BY charge_id LIMIT 1)")


@pytest.mark.parametrize(("statement", "told"), [
    ("UPDATE ledger_balance SET credit_fen = credit_fen + 1 WHERE lot_id = 1 AND account = 'payable/operator'",
     {"balance"}),
    (f"UPDATE ledger_transfer SET amount_fen = amount_fen + 1 WHERE lot_id = 1 AND ref_id = {ONE_CHARGE}",
     {"balance", "visit_owes", "charge_posted"}),
    (f"DELETE FROM ledger_transfer WHERE lot_id = 1 AND ref_id = {ONE_CHARGE}",
     {"balance", "visit_owes", "charge_posted"}),
    ("UPDATE parking_session SET charged_fen = charged_fen + 1 WHERE lot_id = 1 AND parking_session_id = "
     f"(SELECT parking_session_id FROM charge WHERE lot_id = 1 AND charge_id = {ONE_CHARGE})",
     {"visit_owes", "visit_charged"}),
    ("UPDATE parking_session SET paid_fen = paid_fen + 1 WHERE lot_id = 1 AND parking_session_id = "
     f"(SELECT parking_session_id FROM charge WHERE lot_id = 1 AND charge_id = {ONE_CHARGE})",
     {"visit_owes", "visit_paid"}),
    (f"UPDATE charge SET total_fen = total_fen - 1 WHERE lot_id = 1 AND charge_id = {ONE_CHARGE}",
     {"visit_charged", "charge_posted", "body_of_another"}),
    (f"UPDATE charge SET body = replace(body, '\"size\"', '\"sise\"') "
     f"WHERE lot_id = 1 AND charge_id = {ONE_CHARGE}", {"body_changed"}),
    (f"UPDATE charge SET seal = replace(seal, '.', '.x') WHERE lot_id = 1 AND charge_id = {ONE_CHARGE}",
     {"seal_broken"}),
])
def test_what_was_tampered_with_is_told_with_what_it_is_about(driven: City, statement: str, told: set[str]) -> None:
    tamper(driven, statement)

    code, said = prove(driven, "--all")

    assert code == 1
    assert {line.split()[0] for line in said.splitlines() if line.startswith("  ")} == told, said
    assert all(" 1." in line for line in said.splitlines() if line.startswith("  "))
    with driven.app.extensions["database"].reading() as db:
        assert [each.outcome for each in ledger_proofs.list_last_proofs(db)] == ["differs", "agrees", "agrees"]


def test_every_lot_is_proved_once_a_night_by_its_own_clock(driven: City) -> None:
    database = driven.app.extensions["database"]
    at = (now() + timedelta(days=1)).astimezone(UTC).replace(hour=19, minute=1)  # 03:01 in Shanghai

    def proved(when: datetime) -> list[Any]:
        found = []
        while (each := prove_one_lot(database, now=when)) is not None:
            found.append(each.lot_id)
        return found

    assert proved(at - timedelta(minutes=2)) == []
    assert proved(at) == [1, 2, 3]
    assert proved(at + timedelta(hours=20)) == []
    assert proved(at + timedelta(days=1)) == [1, 2, 3]
