"""Drivers' prepaid wallets, and the city's own ledger: a number of the ledger's that is no lot."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from parking.store.columns import Fen, Instant, Uuid
from parking.store.migrations import grant

revision = "0025"
down_revision = "0024"

WAYS = "'qr', 'redirect', 'booth'", "'qr', 'redirect', 'booth', 'wallet'"
KINDS = "'payment', 'refund'", "'payment', 'refund', 'topup', 'topup_refund'"
LEDGER = ("ledger_transfer", "ledger_balance")
END = "\n)\n STRICT"
OUT, AT_LOT, ASKED = "kind IN ('spent', 'withdrawn')", "kind IN ('spent', 'spent_back')", sa.text("state = 'asked'")


def upgrade() -> None:
    _change_check("payment", "way", *WAYS, referring=("refund",))
    _change_check("channel_order", "kind", *KINDS)
    for table in LEDGER:
        if op.get_bind().dialect.name == "sqlite":
            _make_anew(table, {_to_lot(table): ""})
        else:
            op.drop_constraint(f"fk_{table}_lot", table)
    op.create_table(
        "wallet_issuer",
        sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("designated_at", Instant(), nullable=False),
        _check("wallet_issuer", "lot_id", "lot_id = 0"),
        _key("wallet_issuer", ["operator_id"], "operator"),
        sa.PrimaryKeyConstraint("lot_id", name=op.f("pk_wallet_issuer")),
        info={"dist": None, "group": "reference", "append_only": False},
        sqlite_strict=True,
    )
    grant(op.get_bind(), "wallet_issuer", append_only=False)
    _create_wallets()
    _create_movements()
    _create_top_ups()
    _create_withdrawals()


def _create_wallets() -> None:
    _of_city(
        "wallet",
        sa.Column("driver_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("balance_fen", Fen(), nullable=False),
        sa.Column("movement_count", sa.Integer(), nullable=False),
        sa.Column("opened_at", Instant(), nullable=False),
        _check("wallet", "balance_fen", "balance_fen >= 0"),
        _check("wallet", "movement_count", "movement_count >= 0"),
        sa.PrimaryKeyConstraint("lot_id", "driver_id", name=op.f("pk_wallet")),
    )


def _create_movements() -> None:
    _of_city(
        "wallet_movement",
        sa.Column("driver_id", Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount_fen", Fen(), nullable=False),
        sa.Column("balance_fen", Fen(), nullable=False),
        sa.Column("ref_id", Uuid(), nullable=False),
        sa.Column("visited_lot_id", sa.Integer(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=True),
        sa.Column("moved_at", Instant(), nullable=False),
        _check("wallet_movement", "kind", "kind IN ('topup', 'spent', 'spent_back', 'withdrawn', 'withdrawn_back')"),
        _check("wallet_movement", "amount_fen", f"({OUT}) = (amount_fen < 0) AND amount_fen <> 0"),
        _check("wallet_movement", "balance_fen", "balance_fen >= 0"),
        _check("wallet_movement", "visited_lot_id", f"({AT_LOT}) = (visited_lot_id IS NOT NULL)"),
        _check("wallet_movement", "channel", "(visited_lot_id IS NULL) = (channel IS NOT NULL)"),
        _key("wallet_movement", ["lot_id", "driver_id"], "wallet"),
        sa.PrimaryKeyConstraint("lot_id", "driver_id", "number", name=op.f("pk_wallet_movement")),
        append_only=True,
    )
    op.create_index("uq_wallet_movement_event", "wallet_movement", ["lot_id", "kind", "ref_id"], unique=True)
    op.create_index("ix_wallet_movement_moved_at", "wallet_movement", ["lot_id", "moved_at", "ref_id"], unique=False)


def _create_top_ups() -> None:
    _of_city(
        "top_up",
        sa.Column("top_up_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("driver_id", Uuid(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("account_id", Uuid(), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("order_no", sa.Text(), nullable=False),
        sa.Column("amount_fen", Fen(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("asked_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.Column("shown", sa.Text(), nullable=True),
        sa.Column("transaction_no", sa.Text(), nullable=True),
        sa.Column("paid_at", Instant(), nullable=True),
        sa.Column("withdrawn_fen", Fen(), nullable=False),
        _check("top_up", "amount_fen", "amount_fen > 0"),
        _check("top_up", "state", "state IN ('asked', 'paid', 'closed', 'disputed')"),
        _check("top_up", "way", "way IN ('qr', 'redirect')"),
        _check("top_up", "transaction_no", "(state = 'paid') = (transaction_no IS NOT NULL)"),
        _check("top_up", "paid_at", "(state = 'paid') = (paid_at IS NOT NULL)"),
        _check("top_up", "withdrawn_fen", "withdrawn_fen BETWEEN 0 AND amount_fen"),
        _key("top_up", ["lot_id", "driver_id"], "wallet"),
        _key("top_up", ["account_id"], "channel_account"),
        sa.PrimaryKeyConstraint("lot_id", "top_up_id", name=op.f("pk_top_up")),
    )
    op.create_index("ix_top_up_driver", "top_up", ["lot_id", "driver_id", "paid_at"], unique=False)
    op.create_index("ix_top_up_asked", "top_up", ["lot_id", "driver_id"], unique=False, sqlite_where=ASKED,
                    postgresql_where=ASKED)
    op.create_index("ix_top_up_account", "top_up", ["account_id", "paid_at"], unique=False)
    op.create_index("ix_top_up_order_no", "top_up", ["order_no"], unique=False)


def _create_withdrawals() -> None:
    _of_city(
        "withdrawal",
        sa.Column("withdrawal_id", Uuid(), nullable=False),
        sa.Column("operator_id", Uuid(), nullable=False),
        sa.Column("driver_id", Uuid(), nullable=False),
        sa.Column("request_id", Uuid(), nullable=False),
        sa.Column("asked_fen", Fen(), nullable=True),
        sa.Column("top_up_id", Uuid(), nullable=False),
        sa.Column("refund_no", sa.Text(), nullable=False),
        sa.Column("amount_fen", Fen(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("asked_at", Instant(), nullable=False),
        sa.Column("accepted_at", Instant(), nullable=True),
        sa.Column("channel_refund_no", sa.Text(), nullable=True),
        _check("withdrawal", "amount_fen", "amount_fen > 0"),
        _check("withdrawal", "state", "state IN ('asked', 'accepted', 'done', 'failed')"),
        _key("withdrawal", ["lot_id", "top_up_id"], "top_up"),
        sa.PrimaryKeyConstraint("lot_id", "withdrawal_id", name=op.f("pk_withdrawal")),
    )
    op.create_index("ix_withdrawal_top_up", "withdrawal", ["lot_id", "top_up_id"], unique=False)
    op.create_index("ix_withdrawal_request", "withdrawal", ["lot_id", "request_id"], unique=False)
    op.create_index("ix_withdrawal_accepted_at", "withdrawal", ["operator_id", "accepted_at"], unique=False)
    op.create_index("ix_withdrawal_refund_no", "withdrawal", ["refund_no"], unique=False)


def _of_city(name: str, *parts: Any, append_only: bool = False) -> None:
    op.create_table(
        name, sa.Column("lot_id", sa.Integer(), autoincrement=False, nullable=False), *parts,
        _check(name, "lot_id", "lot_id = 0"), _key(name, ["operator_id"], "operator"),
        info={"dist": "lot_id", "group": "lot", "append_only": append_only},
        sqlite_strict=True,
    )
    grant(op.get_bind(), name, append_only=append_only)


def _check(table: str, name: str, says: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(says, name=op.f(f"ck_{table}_{name}"))


def _key(table: str, columns: list[str], to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(columns, [f"{to}.{each}" for each in columns], name=op.f(f"fk_{table}_{to}"))


def _to_lot(table: str) -> str:
    return f", \n\tCONSTRAINT fk_{table}_lot FOREIGN KEY(lot_id) REFERENCES lot (lot_id)"


def _change_check(table: str, column: str, before: str, after: str, *, referring: tuple[str, ...] = ()) -> None:
    """Let a column say other words."""
    if op.get_bind().dialect.name == "sqlite":
        _make_anew(table, {f"{column} IN ({before})": f"{column} IN ({after})"}, referring=referring)
        return
    op.drop_constraint(f"ck_{table}_{column}", table)
    op.create_check_constraint(op.f(f"ck_{table}_{column}"), table, f"{column} IN ({after})")


def _make_anew(table: str, changes: dict[str, str], *, referring: tuple[str, ...] = ()) -> None:
    """SQLite changes no constraint of a table that is there: the rows go into another one of its name, and with them
    those of tables that refer to it.
    """
    bind, names = op.get_bind(), [table, *referring]
    made = [each for name in names for each in bind.execute(sa.text(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE tbl_name = :name AND sql IS NOT NULL"),
        {"name": name}).all()]
    tables = {each.name: each.sql for each in made if each.type == "table"}
    for old, new in changes.items():
        assert old in tables[table], f"{table} is not as it was made"
        tables[table] = tables[table].replace(old, new)
    for each in made:
        if each.type != "table":
            op.execute(sa.text(f"DROP {each.type} {each.name}"))
    for name in reversed(names):
        op.execute(sa.text(f"ALTER TABLE {name} RENAME TO {name}_before"))
    for name in names:
        bind.exec_driver_sql(tables[name])
        op.execute(sa.text(f"INSERT INTO {name} SELECT * FROM {name}_before"))
    for name in reversed(names):
        op.drop_table(f"{name}_before")
    for each in made:
        if each.type != "table":
            bind.exec_driver_sql(each.sql)


def downgrade() -> None:
    """Refused by the tables of old where a wallet was used."""
    for table in ("withdrawal", "top_up", "wallet_movement", "wallet", "wallet_issuer"):
        op.drop_table(table)
    for table in LEDGER:
        if op.get_bind().dialect.name == "sqlite":
            _make_anew(table, {END: _to_lot(table) + END})
        else:
            op.create_foreign_key(op.f(f"fk_{table}_lot"), table, "lot", ["lot_id"], ["lot_id"])
    _change_check("channel_order", "kind", *KINDS[::-1])
    _change_check("payment", "way", *WAYS[::-1], referring=("refund",))
