"""One showing at a lane, from what was read to the barrier: ask, or decide alone; write down; then open.

The order is the promise. What is written in one transaction is on the disk before the barrier moves,
and nothing but that transaction leads to it: an answer that comes late finds nobody waiting.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import RLock
from typing import Any
from uuid import uuid4

from parking.core.clock import format_instant, to_ms
from parking.core.fact import Direction
from parking.edge.bundle import BundleShelf
from parking.edge.challenge import Challenges, nonce_text
from parking.edge.check import NO_CODE, check_code
from parking.edge.clock import LaneClock, Reading
from parking.edge.decide import Known, decide_alone
from parking.edge.fee import due_fen
from parking.edge.hardware import Barrier, DeviceFailed, Showing
from parking.edge.lane_file import CannotWrite
from parking.edge.order import Order
from parking.edge.passage import Followed, Seen, Watch
from parking.edge.record import Outcome, Record
from parking.edge.service import NoAnswer, NumberTaken, Service
from parking.edge.showing_wire import Case, display_words, read_answer, said_direction, shown_body
from parking.edge.whereabouts import Whereabouts

REPEAT_SECONDS = 5.0
PASSING_SECONDS = 20.0
LIFTED_WITHIN_SECONDS = 300.0


class NoBundle(Exception):
    """The lane has never seen the service, so it knows neither keys nor its lot."""


@dataclass(frozen=True, slots=True)
class LaneAnswer:
    """What the lane's display says. decided_by: `service` or `lane`. nonce: the text of the QR picture to show.

    is_repeat: the same showing was read again, and nothing was done.
    """

    opens: bool
    reason: str
    says: dict[str, str]
    sequence: int
    decided_by: str
    nonce: str | None = None
    is_repeat: bool = False


_Held = tuple[int, Case, Outcome, float]


@dataclass
class Lane:
    """wake: called when there is something to tell the service. say: a line for whoever runs the lane."""

    record: Record
    shelf: BundleShelf
    clock: LaneClock
    service: Service
    barrier: Barrier
    has_display: bool = False
    wake: Callable[[], None] = lambda: None
    say: Callable[[str], None] = lambda _: None
    monotonic: Callable[[], float] = time.monotonic
    watch: Watch = field(default_factory=Watch)
    challenges: Challenges = field(default_factory=Challenges)
    _last: tuple[Showing, LaneAnswer, float] | None = None
    _held: _Held | None = None
    _lock: RLock = field(default_factory=RLock)

    def __post_init__(self) -> None:
        self.barrier.listen(self.note_seen)
        self.record.recover()

    def show(self, showing: Showing) -> LaneAnswer:
        """Answer one showing; where it says `opens`, the barrier has been told to, once.

        :raises NoBundle: the lane has never seen the service
        :raises CannotWrite: nothing was written down, so nothing opened
        """
        with self._lock:
            repeated = self._repeated(showing)
            if repeated is not None:
                return repeated
            self.record.take_back_asked()
            case = self._examine(showing)
            answer = self._ask(case) if self._may_ask(case) else self._decide(case)
            self._last = (showing, answer, self.monotonic())
        self.wake()
        return answer

    def note_seen(self, seen: Seen) -> None:
        """What barrier and loop report, on any thread; it happened now, whatever the lane is waiting for."""
        at, reading = self.monotonic(), self.clock.read()
        with self._lock:
            direction = said_direction(self.shelf.bundle)
            self._follow(self.watch.note_seen(seen, direction=direction, at=at), reading)
        self.wake()

    def tick(self) -> None:
        """Once a second or so: a barrier that does not answer is noticed."""
        with self._lock:
            self._follow(self.watch.tick(at=self.monotonic()), self.clock.read())

    def lift(self, *, by: str, why: str, picture: str | None = None) -> int:
        """Open by hand; returns the event's number. It belongs to the showing that was just held, if there is one.

        :param picture: SHA-256 of a picture of the scene, in hex
        :raises ValueError: it does not say who and why
        :raises CannotWrite: nothing was written down, so nothing opened
        """
        by, why = by.strip(), why.strip()
        if not by or not why or len(by) > 200 or len(why) > 500:
            raise ValueError("a lift by hand says who and why")
        if picture is not None and (len(picture) != 64 or set(picture) - set("0123456789abcdef")):
            raise ValueError("a picture is named by its SHA-256 in hex")
        with self._lock:
            held, self._held = self._held, None
            if held is not None and self.monotonic() - held[3] > LIFTED_WITHIN_SECONDS:
                held = None
            reading = self.clock.read()
            of = None if held is None else held[0]
            with self.record.file.transaction():
                number = self._note_lift(reading, held, by=by, why=why, picture=picture, of=of)
                self.record.add("barrier", reading, {"command": "open", "of": of or number})
            direction = said_direction(self.shelf.bundle) if held is None else held[2].direction
            self._command(of or number, direction, takes_back=False)
        self.wake()
        return number

    def _note_lift(self, reading: Reading, held: _Held | None, **said: Any) -> int:
        """Inside a transaction; returns its number. What was held has opened after all."""
        number = self.record.add("manual_lift", reading, said)
        if held is not None:
            self.record.note_opened(number, held[2], held[1].check.claims, reading)
        return number

    def open_remotely(self, order: Order, *, seconds_left: float) -> bool:
        """Carry out an order of the service, once, and never after it expired; False where it was not.

        For the car of a scan that stayed shut it is a lift by hand, so that its visit goes on in the books.
        """
        file, note = self.record.file, f"order {order.order_id}"
        with self._lock:
            if seconds_left <= 0 or file.read_note(note) is not None:
                return False
            if order.of is not None and self.record.journal.last_number("barrier") > order.of:
                self.say(f"an order for scan {order.of} came after the barrier had opened again")
                return False
            held = self._held if self._held is not None and self._held[0] == order.of else None
            reading, direction = self.clock.read(), said_direction(self.shelf.bundle)
            with file.transaction():
                file.write_note(note, str(to_ms(order.expires_at)))
                if order.of is not None:
                    self._note_lift(reading, held, by=order.by, why=order.why, picture=None, of=order.of)
                number = self.record.add(
                    "barrier", reading, {"command": "open", "remote": order.order_id, "of": order.of})
            if held is not None:
                self._held, direction = None, held[2].direction
            self._command(order.of or number, direction, takes_back=False)
        self.wake()
        return True

    def standing_nonce(self) -> str | None:
        """What the display shows to phones that must answer a challenge."""
        nonce = self.challenges.standing(at=self.monotonic())
        return None if nonce is None else nonce_text(nonce)

    # What one showing is.

    def _examine(self, showing: Showing) -> Case:
        bundle = self.shelf.bundle
        if bundle is None:
            raise NoBundle
        self.clock.raise_floor(bundle.key_set.issued_at)
        reading, nonce, check = self.clock.read(), None, NO_CODE
        if showing.code is not None:
            nonce = self.challenges.expected(showing.code, city=bundle.city, at=self.monotonic())
            check = check_code(
                showing.code, bundle, now=reading.at, is_exit=bundle.direction != "entry",
                is_degraded=reading.is_degraded, nonce=nonce, is_used=self.record.replay.is_used)
            if check.issued_at is not None:
                self.clock.raise_floor(check.issued_at)
                reading = self.clock.read()
        return Case(showing, bundle, reading, check, nonce)

    def _may_ask(self, case: Case) -> bool:
        """Not while the service would answer from before what this lane decided, nor what this lane knows."""
        return (
            self.service.is_answering and case.check.refused != "code_used"
            and not self.record.journal.has_untold_decision())

    def _repeated(self, showing: Showing) -> LaneAnswer | None:
        """A reader sees one showing many times; only its first reading is one."""
        if self._last is None:
            return None
        before, answer, at = self._last
        ago = self.monotonic() - at
        is_same = showing == before and ago <= REPEAT_SECONDS
        is_waiting = (
            answer.opens and ago <= PASSING_SECONDS and self.watch.is_open_for(at=self.monotonic()) == answer.sequence
            and showing.plate is not None and before.plate is not None and showing.plate.text == before.plate.text)
        return replace(answer, is_repeat=True) if is_same or is_waiting else None

    # Two ways to a decision.

    def _ask(self, case: Case) -> LaneAnswer:
        scan_id, shown = str(uuid4()), shown_body(case)
        body = {**shown, "scan_id": scan_id, "direction": said_direction(case.bundle)}
        number = self.record.add("scan", case.reading, body, state="asked")
        live = {
            "scan_id": scan_id, "sequence": number, "scanned_at": format_instant(case.reading.said_at),
            "clock_offset_ms": case.reading.offset_ms, **({"has_display": True} if self.has_display else {}),
            **shown}
        try:
            outcome = read_answer(self.service.ask_counted("POST", "/v1/scans", live), scan_id, case)
        except NoAnswer as problem:
            self.say(f"no answer to scan {number}, deciding alone: {problem}")
            return self._decide(case, asked=number)
        except NumberTaken as taken:
            self.say(f"number {number} is taken: another device counts with this terminal's token")
            return self._decide(case, asked=number, free=taken.next_sequence)
        self.service.note_answered()
        self.record.settle_live(number, outcome, case.check.claims, case.reading, body)
        return self._conclude(number, case, outcome, "service")

    def _decide(self, case: Case, *, asked: int | None = None, free: int | None = None) -> LaneAnswer:
        outcome = self._judge(case)
        number = self.record.add_alone(
            outcome, case.check.claims, case.reading, shown_body(case), asked=asked, free=free)
        return self._conclude(number, case, outcome, "lane")

    def _judge(self, case: Case) -> Outcome:
        bundle, now = case.bundle, case.reading.at
        places, is_stale = Whereabouts(bundle, self.record.movements), bundle.is_stale(now)
        known = Known(
            rules=bundle.rules, direction=bundle.direction, plate_key=bundle.plate_key,
            find_subject=places.find_subject, find_plate=places.find_plate,
            due_fen=lambda visit: due_fen(bundle, visit, now=now), challenged=bundle.challenged,
            has_display=self.has_display, is_stale=is_stale,
            has_risk_left=not is_stale or self.record.risk.has_left(now))
        made = decide_alone(known, code=case.check, plate=case.showing.plate)
        return Outcome(
            made.decision.opens, made.decision.reason, made.direction, made.plate_name, made.taken_for,
            made.asks_nonce, made.is_risked, made.due_fen)

    def _conclude(self, number: int, case: Case, outcome: Outcome, decided_by: str) -> LaneAnswer:
        """Everything is on the disk: open, or say why not."""
        self._held = None if outcome.opens else (number, case, outcome, self.monotonic())
        if outcome.opens:
            if case.nonce is not None:
                self.challenges.spend(case.nonce)
            self._command(number, outcome.direction)
        nonce = None
        if outcome.asks_nonce is not None and self.has_display:
            nonce = nonce_text(self.challenges.show(at=self.monotonic()))
        return LaneAnswer(outcome.opens, outcome.reason, display_words(outcome), number, decided_by, nonce)

    # The barrier.

    def _command(self, of: int, direction: Direction, *, takes_back: bool = True) -> None:
        self.watch.note_command(of, direction=direction, at=self.monotonic(), takes_back=takes_back)
        try:
            self.barrier.open()
        except DeviceFailed as failed:
            self.say(f"the barrier did not take the command: {failed}")

    def _follow(self, followed: list[Followed], reading: Reading) -> None:
        for each in followed:
            try:
                self.record.follow(each, reading)
            except CannotWrite as failed:  # the barrier has moved already
                self.say(f"{each.kind} could not be written down: {failed}")
                continue
            if each.kind in ("undo", "barrier") or "tailgating" in each.body:
                self.say(f"{each.kind} {each.body}")
