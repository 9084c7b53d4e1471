"""What goes over the wire to payment channels is kept, beside the work: nobody waits until it is written."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from parking.core.channel_message import ChannelMessage
from parking.core.identifier import new_uuid
from parking.store import channel_messages, payments, refunds
from parking.store.channel_messages import KeptMessage
from parking.store.database import Database

WAITING_MAX = 1000
AT_ONCE = 50
SHOWN_MAX = 100
log = structlog.get_logger("parking.channel_messages")


class Overhearing:
    """Hears messages on any thread, and writes them on one of its own, some at a time.

    While the database cannot write, or is slower than the channels, messages are lost rather than waited for;
    lost_count says how many of this process, and the log.

    :param clock: the time of each, as it is heard
    """

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database, self._clock = database, clock
        self._waiting: deque[KeptMessage] = deque()
        self._lock, self._is_writing = threading.Lock(), False
        self.lost_count = 0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="overhear")

    def hear(self, account_id: UUID, says: ChannelMessage) -> None:
        at = self._clock()
        with self._lock:
            if len(self._waiting) >= WAITING_MAX:
                self._lose(1, "too_many")
                return
            self._waiting.append(KeptMessage(new_uuid(at), account_id, at, says))
            if not self._is_writing:
                self._is_writing = True
                self._pool.submit(self._write_all)

    def finish(self) -> None:
        """Wait until what was heard is written."""
        self._pool.submit(lambda: None).result()

    def _write_all(self) -> None:
        while True:
            with self._lock:
                part = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
                if not part:
                    self._is_writing = False
                    return
            try:
                self._database.write(partial(channel_messages.add_messages, kept=part))
            except Exception as error:  # whatever it is, what is heard next must still be written
                with self._lock:
                    self._lose(len(part), type(error).__name__)
            self._database.give_way()

    def _lose(self, count: int, why: str) -> None:
        self.lost_count += count
        log.warning("channel_messages_lost", count=count, why=why)


def list_messages_of_visit(db: Session, lot_id: int, parking_session_id: UUID) -> list[KeptMessage]:
    """What was said about a visit's orders and refunds, and its entry, oldest first; the newest hundred."""
    numbers = {parking_session_id.hex}
    for payment in payments.list_payments_of_session(db, lot_id, parking_session_id):
        numbers.add(payment.order_no)
        numbers |= {each.refund_no for each in refunds.list_refunds_of_payment(db, lot_id, payment.payment_id)}
    return channel_messages.list_of_orders(db, numbers, limit=SHOWN_MAX)
