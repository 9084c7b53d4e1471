"""Tells the service what happened, oldest first, and fetches what the lane must know.

An event is told until the service confirms it, and stays in the journal until then. When everything
that the lane decided has been told, the lane may ask live again: only this finds that out, beside the
lane, so that no car waits for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event as Signal
from typing import Any

from parking.core.clock import BadInstant, format_instant, parse_instant
from parking.core.json_text import canonical
from parking.edge.bundle import BadBundle, BundleShelf
from parking.edge.clock import LaneClock
from parking.edge.journal import Event, Journal
from parking.edge.lane_file import CannotWrite
from parking.edge.order import BadOrder, Order, read_order
from parking.edge.record import Record
from parking.edge.service import Answer, NoAnswer, Service

BATCH_EVENTS_MAX = 200
BATCH_BYTES_MAX = 1_500_000
UPLOAD_SECONDS_MAX = 20.0
EVERY_SECONDS = {"bundle": 60.0, "heartbeat": 60.0, "clock": 20.0, "orders": 3.0, "forget": 3600.0}
IDLE_SECONDS, UNANSWERED_SECONDS = 3.0, 2.0
RETRIES_MAX = 20


@dataclass
class Sync:
    """open_remotely: carries out an order of the service, with the seconds that are left of it."""

    record: Record
    shelf: BundleShelf
    clock: LaneClock
    service: Service
    say: Callable[[str], None] = lambda _: None
    open_remotely: Callable[[Order, float], object] = lambda *_: None
    monotonic: Callable[[], float] = time.monotonic
    signal: Signal = field(default_factory=Signal)
    _done: dict[str, float] = field(default_factory=dict)
    _batch: int = BATCH_EVENTS_MAX
    _retries: dict[int, int] = field(default_factory=dict)
    _stopping: bool = False

    @property
    def journal(self) -> Journal:
        return self.record.journal

    def wake(self) -> None:
        self.signal.set()

    def stop(self) -> None:
        self._stopping = True
        self.signal.set()

    def run(self) -> None:
        """Until stopped; then what is left is told once more."""
        while not self._stopping:
            waits = IDLE_SECONDS if self.round() else UNANSWERED_SECONDS
            self.signal.wait(waits)
            self.signal.clear()
        self.round()

    def round(self) -> bool:
        """Tell what waits, then what is due; False if the service did not answer."""
        try:
            self._beat()
            while self.tell():
                pass
            if not self.service.is_answering or self._is_due("clock"):
                self._set_clock(self.service.ask("GET", "/v1/terminal"))
            if self._is_due("orders"):
                self._ask_for_orders()
            if self._is_due("bundle") or self.shelf.bundle is None:
                self.fetch()
            if not self.journal.has_untold_decision():
                self.service.note_answered()
            if self._is_due("forget"):
                self.record.forget(now=self.clock.read().at)
        except (CannotWrite, OSError) as problem:
            self.say(f"the lane's disk: {problem}")
            return False
        except NoAnswer as problem:
            if self.service.is_answering:
                self.say(f"the service does not answer: {problem}")
            self.service.failures += 1
            for name in ("bundle", "clock"):  # both are due again as soon as it answers
                self._done.pop(name, None)
            return False
        return True

    def tell(self) -> bool:
        """Upload one batch; True if more waits.

        :raises NoAnswer: nothing was confirmed
        """
        batch = self._cut(self.journal.waiting(self._batch))
        if not batch:
            return False
        sent = {"events": [self._wire(event) for event in batch]}
        answer = self.service.ask("POST", "/v1/lane-events", sent, seconds_max=UPLOAD_SECONDS_MAX)
        if answer.status in (400, 413, 422):
            return self._shrink(batch, answer)
        if answer.status != 200:
            raise NoAnswer(f"status {answer.status} to {len(batch)} events")
        self._batch = BATCH_EVENTS_MAX
        return self._confirm(batch, answer) and bool(self.journal.waiting(1))

    def fetch(self) -> None:
        """Fetch the bundle, or hear that the one that is held is still true.

        :raises NoAnswer: neither
        """
        etag = {"If-None-Match": self.shelf.etag} if self.shelf.etag and self.shelf.bundle else {}
        asked_at = self.clock.read().at  # what is told after this may not be in it
        answer = self.service.ask("GET", "/v1/terminal/bundle", seconds_max=UPLOAD_SECONDS_MAX, headers=etag)
        if answer.status == 304:
            self.shelf.confirm(asked_at)
            return
        if answer.status != 200:
            raise NoAnswer(f"status {answer.status} to the bundle")
        try:
            bundle = self.shelf.put(answer.raw, etag=answer.headers.get("etag"), confirmed_at=asked_at)
        except BadBundle as bad:
            self.say(f"a bundle was not taken: {bad}")
            return
        self.clock.raise_floor(bundle.key_set.issued_at)

    # One batch.

    def _wire(self, event: Event) -> dict[str, Any]:
        """As it goes out; with what is known by now of the clock that it was written under."""
        body = dict(event.body)
        offset = self.clock.offset_of(body.pop("run", ""))
        if offset is not None:
            body["clock_offset_ms"] = offset
        return {"sequence": event.sequence, "kind": event.kind, **body}

    def _cut(self, waiting: list[Event]) -> list[Event]:
        size = 0
        batch: list[Event] = []
        for event in waiting:
            size += len(canonical(event.body).encode()) + 64
            if batch and size > BATCH_BYTES_MAX:
                break
            batch.append(event)
        return batch

    def _confirm(self, batch: list[Event], answer: Answer) -> bool:
        """Note what the service said of each event; False if it said nothing of any.

        :raises NoAnswer: it is not an answer to this batch
        """
        read = answer.json()
        try:
            said = {int(each["sequence"]): (str(each["status"]), each.get("reason"))
                    for each in read["results"] if each.get("sequence") is not None}
            server_time = parse_instant(read["server_time"])
        except (KeyError, TypeError, ValueError, AttributeError, BadInstant):
            raise NoAnswer("not an answer to events") from None
        told, refused = [], []
        for event in batch:
            status, reason = said.get(event.sequence, ("", None))
            if status in ("stored", "known") or (reason == "sequence_used" and "scan_id" in event.body):
                told.append(event.sequence)  # under a number that was asked live, the live fact is as good
            elif status == "refused" and not self._may_try_again(event.sequence, reason):
                refused.append((event.sequence, str(reason)))
        with self.record.file.transaction():
            self.journal.note_told(told)
            self.record.movements.note_told(told, at=server_time)
            for sequence, reason in refused:
                self.journal.note_refused(sequence, reason)
        for sequence, reason in refused:
            self.say(f"event {sequence} was refused ({reason}); it stays in the journal for a person")
        self._learn(server_time, answer)
        self._carry_out(read.get("orders"), server_time, answer)
        return bool(told or refused)

    def _may_try_again(self, sequence: int, reason: object) -> bool:
        if reason != "cannot_be_stored":
            return False
        self._retries[sequence] = self._retries.get(sequence, 0) + 1
        return self._retries[sequence] < RETRIES_MAX

    def _shrink(self, batch: list[Event], answer: Answer) -> bool:
        """The batch was refused whole: find the event that it was refused for, and put it aside."""
        if len(batch) > 1:
            self._batch = len(batch) // 2
            return True
        self.journal.note_refused(batch[0].sequence, f"status {answer.status}")
        self.say(f"event {batch[0].sequence} cannot be told (status {answer.status}); it stays for a person")
        self._batch = BATCH_EVENTS_MAX
        return True

    def _carry_out(self, orders: Any, server_time: datetime, answer: Answer) -> None:
        """Orders expire by the service's clock, from the instant at which it wrote the answer."""
        self._done["orders"] = self.monotonic()
        for said in orders if isinstance(orders, list) else ():
            try:
                order = read_order(said)
            except BadOrder as bad:
                self.say(f"an order of the service is not carried out: {bad}")
                continue
            left = (order.expires_at - server_time).total_seconds() - (self.monotonic() - answer.asked)
            self.open_remotely(order, left)

    def _ask_for_orders(self) -> None:
        """:raises NoAnswer: it does not answer"""
        answer = self.service.ask("GET", "/v1/terminal/orders")
        if answer.status != 200:
            return  # an older service knows no orders
        try:
            read = answer.json()
            self._carry_out(read["orders"], parse_instant(read["server_time"]), answer)
        except (KeyError, TypeError, BadInstant):
            raise NoAnswer("not an answer about orders") from None

    # What is due.

    def _beat(self) -> None:
        """A heartbeat waits to be told at most once, so a long silence does not fill the journal with them."""
        if not self._is_due("heartbeat") or self.journal.is_waiting("heartbeat"):
            return
        bundle, reading = self.shelf.bundle, self.clock.read()
        self.record.add("heartbeat", reading, {
            "bundle_made_at": None if bundle is None else format_instant(bundle.made_at)})
        self.clock.save()

    def _set_clock(self, answer: Answer) -> None:
        """:raises NoAnswer: it is not the terminal's answer"""
        if answer.status != 200:
            raise NoAnswer(f"status {answer.status} to the terminal")
        try:
            self._learn(parse_instant(answer.json()["server_time"]), answer)
        except (KeyError, TypeError, BadInstant):
            raise NoAnswer("not the terminal's answer") from None

    def _learn(self, server_time: datetime, answer: Answer) -> None:
        self.clock.learn(server_time, asked=answer.asked, answered=answer.answered)

    def _is_due(self, name: str) -> bool:
        now = self.monotonic()
        if name in self._done and now - self._done[name] < EVERY_SECONDS[name]:
            return False
        self._done[name] = now
        return True
