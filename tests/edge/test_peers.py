"""Lanes of one lot that tell each other: cut apart and joined again they agree, and nobody else can speak."""

from __future__ import annotations

import json
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from parking.edge.peers import PeerFailed, PeerPort, Peers, call_http, lot_secret
from tests.lane import NOW, PLATE_KEY, Clocks, Made, Phone, make_lane, served_code, terminal_id

SECRET = lot_secret(PLATE_KEY)
PHONES = [Phone(index=each) for each in range(3)]


def peers_of(made: Made, secret: bytes = SECRET) -> Peers:
    return Peers(made.record.file, made.record.movements, secret)


def join(*lanes: Made) -> None:
    """Every lane speaks to the first until there is nothing more to say."""
    hub, *others = (peers_of(each) for each in lanes)
    for _ in range(2):
        for each in others:
            while each.exchange(hub.answer):
                pass


def held(made: Made) -> Any:
    with made.record.file.reading() as db:
        return [sorted(db.execute(f"SELECT {what}").fetchall(), key=repr) for what in (
            "terminal, sequence, at_ms, kind, subject, plate_name, corrects FROM movement",
            "* FROM last_use", "subject, use_hash FROM use")]


def two(tmp_path: Path, **more: Any) -> tuple[Made, Made]:
    clocks = Clocks()
    return (make_lane(tmp_path / "in", clocks=clocks, terminal=terminal_id(1), **more),
            make_lane(tmp_path / "out", clocks=clocks, terminal=terminal_id(2), direction="exit", **more))


def test_an_exit_knows_who_came_in_by_another_lane(tmp_path: Path) -> None:
    entry, exit_ = two(tmp_path)
    entry.show(PHONES[0].show())
    entry.show(None, "沪A12345", 0.99)
    assert exit_.show(PHONES[0].show(counter=9)).reason == "review_needed"
    join(entry, exit_)

    assert exit_.show(None, "沪A12345", 0.99).reason == "left"
    join(entry, exit_)
    assert entry.show(None, "沪A12345", 0.99).reason == "entered", "it has left, as the exit says"


def test_a_showing_that_opened_one_lane_opens_no_other(tmp_path: Path) -> None:
    entry, exit_ = two(tmp_path)
    code, served = PHONES[0].show(), served_code()
    assert entry.show(code).opens and entry.show(served).opens
    join(entry, exit_)

    assert exit_.show(code).reason == "code_used"
    assert exit_.show(PHONES[0].show(NOW - timedelta(seconds=1), 200)).reason == "code_used", "nor an older one"
    assert exit_.show(served).reason == "code_used"
    assert exit_.show(PHONES[0].show(counter=1)).reason == "left"


def test_what_was_taken_back_is_taken_back_everywhere(tmp_path: Path) -> None:
    entry, exit_ = two(tmp_path)
    entry.show(PHONES[0].show())
    join(entry, exit_)
    entry.barrier.back_out()
    join(entry, exit_)

    assert exit_.show(PHONES[0].show(counter=1)).reason == "review_needed"


def test_a_long_history_is_exchanged_in_parts_and_a_lane_that_lost_it_gets_it_back(tmp_path: Path) -> None:
    entry, exit_ = two(tmp_path)
    with entry.record.file.transaction():
        for number in range(1_203):
            entry.show(None, f"沪A{number:05d}", 0.99)
    side = peers_of(exit_)
    rounds = 1
    while side.exchange(peers_of(entry).answer):
        rounds += 1
    assert held(entry) == held(exit_) and rounds >= 3

    speaker = peers_of(entry)
    speaker.exchange(peers_of(exit_).answer)  # learns that the other has it all
    entry.show(None, "沪B00001", 0.99)
    with exit_.record.file.transaction() as db:
        db.execute("DELETE FROM movement")
    while speaker.exchange(peers_of(exit_).answer):
        pass
    assert held(entry)[0] == held(exit_)[0], "no hole is taken for an end"


def test_nobody_without_the_lots_key_is_heard(tmp_path: Path) -> None:
    entry, exit_ = two(tmp_path)
    entry.show(PHONES[0].show())
    hub, stranger = peers_of(exit_), peers_of(entry, lot_secret(b"x" * 32))
    with pytest.raises(PeerFailed, match="lane of this lot"):
        stranger.exchange(hub.answer)
    with pytest.raises(PeerFailed, match="lane of this lot"):
        peers_of(entry).exchange(peers_of(exit_, b"y" * 32).answer)

    kept: list[tuple[bytes, str]] = []

    def record(body: bytes, mac: str) -> tuple[bytes, str]:
        kept.append((body, mac))
        kept.append(hub.answer(body, mac))
        return kept[-1]

    peers_of(entry).exchange(record)
    before = held(exit_)
    (question, mac), (answer, answer_mac) = kept
    hub.answer(question, mac)
    assert held(exit_) == before, "said again it adds nothing"
    for bent in (question.replace(b"entry", b"exit"), question + b" ", answer):
        with pytest.raises(PeerFailed):
            hub.answer(bent, mac)
    with pytest.raises(PeerFailed):
        hub.answer(answer, answer_mac)
    with pytest.raises(PeerFailed):
        peers_of(entry).exchange(lambda *_: (answer, answer_mac))


@pytest.mark.parametrize("row", [
    [], ["x"], [terminal_id(9), 0, 1, "entry", *[None] * 6, True], [terminal_id(9), 1, "1", "entry", *[None] * 6, True],
    [terminal_id(9), 1, 1, "up", *[None] * 6, True], [terminal_id(9), 1, 1, "entry", "zz", *[None] * 5, True],
    [7, 1, 1, "entry", *[None] * 6, True], [terminal_id(9), 1, 10**17, "entry", *[None] * 6, True],
])
def test_a_lane_that_says_nonsense_changes_nothing(tmp_path: Path, row: list[Any]) -> None:
    hub, _ = two(tmp_path)
    side = peers_of(hub)
    body = json.dumps({"nonce": "n", "have": {}, "after": {}, "movements": [row]}).encode()

    with pytest.raises(PeerFailed):
        side.answer(body, side._mac(b"question\n" + body))
    assert held(hub)[0] == []


def test_a_listening_lane_that_forgot_its_own_past_is_not_asked_for_ever(tmp_path: Path) -> None:
    entry, exit_ = two(tmp_path)
    entry.show(PHONES[0].show())
    join(entry, exit_)
    with entry.record.file.transaction() as db:
        db.execute("DELETE FROM movement")
    side = peers_of(exit_)

    assert [side.exchange(peers_of(entry).answer) for _ in range(3)][-1] is False


def test_lanes_speak_over_the_lots_network(tmp_path: Path) -> None:
    entry, exit_ = two(tmp_path)
    entry.show(PHONES[0].show())
    port = PeerPort(peers_of(entry), "127.0.0.1", 0)
    port.start()
    call = call_http(f"http://127.0.0.1:{port.port}")

    while peers_of(exit_).exchange(call):
        pass

    assert exit_.show(PHONES[0].show(counter=1)).reason == "left"
    with pytest.raises(PeerFailed, match="403"):
        peers_of(exit_, b"z" * 32).exchange(call)
    port.stop()
    with pytest.raises(PeerFailed):
        peers_of(exit_).exchange(call)


class Lot(RuleBasedStateMachine):
    """Three lanes and three phones; exchanges happen, fail, or lose their answer, and lanes stop and start."""

    def __init__(self) -> None:
        super().__init__()
        self.folder, self.clocks = Path(tempfile.mkdtemp()), Clocks()
        self.lanes = [self._start(number) for number in range(3)]
        self.opened: set[tuple[int, int, int]] = set()
        self.shown: set[tuple[int, int]] = set()

    def _start(self, number: int) -> Made:
        return make_lane(self.folder / str(number), clocks=self.clocks, terminal=terminal_id(number + 1),
                         direction=("both", "entry", "exit")[number])

    @rule(lane=st.integers(0, 2), phone=st.integers(0, 2), counter=st.integers(0, 4))
    def show(self, lane: int, phone: int, counter: int) -> None:
        opens = self.lanes[lane].show(PHONES[phone].show(counter=counter)).opens
        assert not (opens and (lane, phone, counter) in self.opened), "one lane opens on one showing once"
        if opens:
            self.opened.add((lane, phone, counter))
            self.shown.add((phone, counter))

    @rule(lane=st.integers(0, 2))
    def back_out(self, lane: int) -> None:
        self.lanes[lane].barrier.back_out()

    @rule(lane=st.integers(1, 2), loses=st.sampled_from(["nothing", "question", "answer"]))
    def exchange(self, lane: int, loses: str) -> None:
        hub = peers_of(self.lanes[0])

        def call(body: bytes, mac: str) -> tuple[bytes, str]:
            if loses == "question":
                raise PeerFailed("cut")
            answer = hub.answer(body, mac)
            if loses == "answer":
                raise PeerFailed("cut")
            return answer

        try:
            peers_of(self.lanes[lane]).exchange(call)
        except PeerFailed:
            assert loses != "nothing"

    @rule(lane=st.integers(0, 2))
    def restart(self, lane: int) -> None:
        self.lanes[lane].close()
        self.lanes[lane] = self._start(lane)

    @rule()
    def rejoin(self) -> None:
        join(*self.lanes)
        assert held(self.lanes[0]) == held(self.lanes[1]) == held(self.lanes[2])
        for phone, counter in sorted(self.shown)[:4]:
            for lane in self.lanes:
                assert lane.show(PHONES[phone].show(counter=counter)).reason == "code_used"

    @invariant()
    def numbers_have_no_gaps(self) -> None:
        for lane in self.lanes:
            numbers = [each.sequence for each in lane.record.journal.list_all()]
            assert numbers == list(range(1, len(numbers) + 1))

    def teardown(self) -> None:
        self.rejoin()
        for lane in self.lanes:
            lane.close()
        shutil.rmtree(self.folder)


Lot.TestCase.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
TestLot = Lot.TestCase
