"""Yesterday's books for a demo operator: paid visits, and the channel's two bills of them with one row to click on.

Run once a database, before the simulators are: they know of yesterday afterwards. `demo_day.py FOLDER OPERATOR`
"""

from __future__ import annotations

import io
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from parking.core.clock import city_date, format_instant, start_of_day
from parking.core.plate import parse_plate
from parking.core.statement import CHANNEL_ZONE
from parking.services.import_funds import import_funds, switch_funds_on
from parking.services.reconcile import find_own_account, import_statement
from parking.services.seed_day import seed_paid_day
from parking.simulators.wechat_pay import WechatPaySimulator
from parking.simulators.wechat_pay_keys import Keys
from parking.simulators.wechat_pay_seen import SeenOrder
from parking.store import fund_imports, lots
from wsgi import app

CARS, OTHER_FEN, WITHDRAWN_FEN = 6, 2_600, 50_000


def main(folder: Path, operator_id: UUID) -> None:
    extensions, now = app.extensions, datetime.now(UTC).replace(microsecond=0)
    database, day = extensions["database"], city_date(now, CHANNEL_ZONE) - timedelta(days=1)
    begun = start_of_day(day, CHANNEL_ZONE)
    with database.reading() as db:
        account = find_own_account(db, operator_id, "wechat_pay")
        if fund_imports.list_purses(db, account.account_id):
            return
        lot = min((each for each, _ in lots.list_lots_with_occupancy(db, operator_id=operator_id)),
                  key=lambda each: each.lot_id)
    dice = random.Random(2)  # noqa: S311
    plates = [parse_plate(f"沪{dice.choice('BCDEF')}{dice.choice('GHJK')}{dice.randrange(10_000):04d}")
              for _ in range(CARS)]
    paid = database.write(lambda db: seed_paid_day(
        db, lot, account, plates, first_entry=begun + timedelta(hours=9), secrets=extensions["secrets"],
        safe=extensions["key_safe"], now=now))
    simulator = WechatPaySimulator(Keys.read(folder), state_file=folder / "seen.json")
    for each in [*paid, None]:  # None: another shop of the merchant took money by the same account
        at = format_instant(each.paid_at if each else begun + timedelta(hours=15), CHANNEL_ZONE)
        number = each.order_no if each else "SHOP0000000001"
        simulator.seen.orders[number] = SeenOrder(
            number, number[:12], each.amount_fen if each else OTHER_FEN, "parking" if each else "another shop", "", at,
            "SUCCESS", each.transaction_no if each else "4200000000000000000000000001", at)
    simulator.withdraw(WITHDRAWN_FEN, at=begun + timedelta(hours=21))
    database.write(lambda db: switch_funds_on(db, account, "BASIC", day))
    whose = {"operator_id": operator_id, "channel": "wechat_pay", "day": day, "now": now,
             "account_id": account.account_id}
    import_statement(database, io.BytesIO(simulator.statement(day)), **whose)
    import_funds(database, io.BytesIO(simulator.funds(day) or b""), **whose)


if __name__ == "__main__":
    with app.app_context():
        main(Path(sys.argv[1]), UUID(sys.argv[2]))
