"""What a wallet holds, as its driver sees it, and what all of them hold, as who issues them sees it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from parking.core import ledger
from parking.core.closing import difference_account
from parking.core.wallet import CITY
from parking.services.connect import Channels
from parking.services.designate import NoIssuer, get_issuer
from parking.store import channel_accounts, lots, top_ups, transfers, wallets
from parking.store.database import Database


@dataclass(frozen=True, slots=True)
class Held:
    """expected_fen: of top-ups that can still be paid. channels: through which the issuer takes money now."""

    balance_fen: int
    expected_fen: int
    channels: list[str]


@dataclass(frozen=True, slots=True)
class Issued:
    """held_fen: of all wallets together. accounts: the city's others and what they stand at; together the same."""

    wallet_count: int
    held_fen: int
    accounts: list[tuple[str, int]]


def show_wallet(database: Database, channels: Channels, driver_id: UUID) -> Held:
    """A driver's wallet; one that was never paid into holds nothing.

    :raises NoIssuer: the city has no wallets
    """
    with database.reading() as db:
        issuer_id = get_issuer(db)
        found = wallets.find_wallet(db, driver_id)
        expected_fen = top_ups.sum_asked(db, driver_id) if found is not None else 0
    return Held(found.balance_fen if found else 0, expected_fen, channels.connected_names(issuer_id))


def show_issued(db: Session, operator_id: UUID) -> Issued:
    """What an operator has issued; its wallets are what all other accounts of the city's ledger come to.

    :raises NoIssuer: this operator issues none
    """
    if get_issuer(db) != operator_id:
        raise NoIssuer
    channels = {each.channel for each in channel_accounts.list_of_operator(db, operator_id)}
    names = [ledger.interlot(lot.lot_id) for lot, _ in lots.list_lots_with_occupancy(db)]
    names += [of(each) for of in (ledger.clearing, ledger.refunding, difference_account) for each in channels]
    others = [(account, each.fen) for account, each in transfers.list_balances_of(db, CITY, names)]
    return Issued(wallets.count_wallets(db, operator_id), sum(fen for _, fen in others), others)
