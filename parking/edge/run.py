"""Run a lane: python -m parking.edge.run --help (scripts/lane installs what it needs and does the same).

On the first start: --server, --token and --root. The lane then remembers them in its folder, with its
journal and the newest bundle, and starts again without the service.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

from parking.core.clock import BadInstant, parse_instant
from parking.edge.bundle import BadBundle, BundleShelf
from parking.edge.clock import LaneClock
from parking.edge.hardware import Barrier, DeviceFailed, LineScanner, Scanner, Showing, SimulatedBarrier
from parking.edge.http_port import HttpPort
from parking.edge.journal import Journal
from parking.edge.lane import Lane, LaneAnswer, NoBundle
from parking.edge.lane_file import CannotWrite, LaneFile, journal_mode
from parking.edge.peers import PeerLine, PeerPort, Peers, lot_secret
from parking.edge.record import Record
from parking.edge.relay import HttpRelayBarrier
from parking.edge.risk import RiskBudget
from parking.edge.serial_port import SerialScanner
from parking.edge.service import NoAnswer, Service
from parking.edge.setting import BadSetting, Setting, load_setting
from parking.edge.sync import Sync

LAST_WORD_SECONDS = 10.0


class CannotStart(Exception):
    """The message says why, and what to do."""


def build(setting: Setting, folder: Path, *, barrier: Barrier, say: Callable[[str], None], take_over: bool) -> Lane:
    """A lane from its folder; its journal goes on where it ended.

    :raises CannotStart: it has never seen the service, or its journal is not that of this terminal
    """
    file = LaneFile(folder / "lane.sqlite3")
    clock = LaneClock(file)
    authority = Path(setting.authority) if setting.authority else None
    service = Service(setting.server, setting.token, authority)
    try:
        shelf = BundleShelf(folder / "bundle", setting.pinned_root())
    except BadBundle as bad:
        raise CannotStart(str(bad)) from None
    if shelf.bundle is None:
        _fetch_first(shelf, clock, service)
    bundle = shelf.bundle
    assert bundle is not None
    is_new = file.read_note("last_sequence") is None
    if is_new and bundle.next_sequence > 1 and not take_over:
        raise CannotStart(
            f"this terminal has used numbers up to {bundle.next_sequence - 1}, and its journal is not here: pair the "
            "lane anew under a new terminal, or, if nothing can be missing, start once with --take-over")
    journal = Journal(file, first_sequence=bundle.next_sequence if is_new else 1)
    record = Record(
        file, clock, terminal=bundle.terminal_id, journal=journal,
        risk=RiskBudget(file, entries_per_hour=setting.risk_budget))
    return Lane(record, shelf, clock, service, barrier, has_display=setting.has_display, say=say)


def _fetch_first(shelf: BundleShelf, clock: LaneClock, service: Service) -> None:
    try:
        answer = service.ask("GET", "/v1/terminal/bundle", seconds_max=20)
        if answer.status != 200:
            raise CannotStart(f"the service answered {answer.status}: is the token this terminal's?")
        told = service.ask("GET", "/v1/terminal")  # before anything is written down by a clock that nobody set
        clock.learn(parse_instant(told.json()["server_time"]), asked=told.asked, answered=told.answered)
        shelf.put(answer.raw, etag=answer.headers.get("etag"), confirmed_at=clock.read().at)
    except NoAnswer as problem:
        raise CannotStart(f"a lane must see the service once, and it does not answer: {problem}") from None
    except BadBundle as bad:
        raise CannotStart(f"the service's bundle was not taken: {bad}") from None
    except (KeyError, TypeError, BadInstant):
        raise CannotStart("the service does not say what time it is") from None


def make_barrier(setting: Setting) -> Barrier:
    if setting.barrier == "simulated":
        return SimulatedBarrier()
    return HttpRelayBarrier(setting.barrier, token=setting.relay_token)


def make_scanner(setting: Setting) -> Scanner | None:
    """:raises DeviceFailed: it cannot be opened"""
    if setting.scanner == "none":
        return None
    if setting.scanner.startswith("serial:"):
        return SerialScanner(setting.scanner.removeprefix("serial:"))
    return LineScanner(sys.stdin)


def describe(answer: LaneAnswer) -> str:
    """One line of what happened, without plate or code."""
    said = "opens" if answer.opens else "holds"
    nonce = f"; the phone scans {answer.nonce}" if answer.nonce else ""
    return f"{answer.sequence}: {said}, {answer.reason} (decided by the {answer.decided_by}){nonce}"


def main() -> int:
    given = vars(_arguments().parse_args())
    folder, take_over = given.pop("folder"), given.pop("take_over")
    try:
        given["root"] = given["root"].read_text() if given["root"] else None
        given["token"] = given["token"] or os.environ.get("TERMINAL_TOKEN")
        setting = load_setting(folder, given)
        barrier, scanner = make_barrier(setting), make_scanner(setting)
        lane = build(setting, folder, barrier=barrier, say=_say, take_over=take_over)
    except (BadSetting, CannotStart, DeviceFailed, OSError, ValueError) as problem:
        _say(str(problem))
        return 2
    sync = Sync(
        lane.record, lane.shelf, lane.clock, lane.service, say=_say,
        open_remotely=lambda order, left: lane.open_remotely(order, seconds_left=left))
    lane.wake = sync.wake
    try:
        _join_lot(lane, setting, sync)
    except (OSError, ValueError) as problem:
        _say(f"the lot's network: {problem}")
        return 2
    bundle = lane.shelf.bundle
    assert bundle is not None
    _say(f"lot {bundle.lot_id}, {bundle.direction}; journal {journal_mode().lower()}, synchronous full; "
         f"{lane.record.journal.count('untold')} events to tell")
    telling = Thread(target=sync.run, daemon=True)
    telling.start()
    Thread(target=_tick, args=(lane,), daemon=True).start()
    if setting.port:
        port = HttpPort(lane, port=setting.port, origin=setting.origin)
        port.start()
        _say(f"listening at http://127.0.0.1:{port.port}")
    ended = _scan(lane, scanner)
    sync.stop()
    telling.join(LAST_WORD_SECONDS)
    return ended


def _join_lot(lane: Lane, setting: Setting, sync: Sync) -> None:
    """Listen to the lot's other lanes, or speak to the one that listens.

    :raises OSError, ValueError: the address is none, or is taken
    """
    bundle = lane.shelf.bundle
    assert bundle is not None
    peers = Peers(lane.record.file, lane.record.movements, lot_secret(bundle.plate_key))
    if setting.peer_listen:
        host, _, port = setting.peer_listen.rpartition(":")
        PeerPort(peers, host, int(port)).start()
        _say(f"the lot's lanes are heard at {setting.peer_listen}")
    if setting.peer:
        line = PeerLine(peers, setting.peer, say=_say)
        line.start()

        def wake() -> None:
            sync.wake()
            line.wake()

        lane.wake = wake


def _scan(lane: Lane, scanner: Scanner | None) -> int:
    def show(showing: Showing) -> None:
        try:
            _say(describe(lane.show(showing)))
        except NoBundle:
            _say("this lane has never seen the service")
        except CannotWrite as failed:
            _say(f"nothing was written down, so nothing opens; lift the barrier by hand: {failed}")

    try:
        if scanner is not None:
            scanner.run(show)
        while scanner is None:
            time.sleep(3600)
    except DeviceFailed as failed:
        _say(f"the scanner ended: {failed}")
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def _tick(lane: Lane) -> None:
    while True:
        time.sleep(1)
        lane.tick()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/lane", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add: Any = parser.add_argument
    add("--folder", type=Path, default=Path("var/lane"), help="where the lane keeps its own, one folder a terminal")
    add("--server", help="the service, http(s)://…")
    add("--token", help="of this terminal, or TERMINAL_TOKEN")
    add("--root", type=Path, help="file with the offline root's public key (PEM or JWK)")
    add("--authority", help="file with the certificate authority of the service, if not the system's")
    add("--scanner", help="lines (a keyboard wedge, or a pipe), serial:/dev/ttyUSB0, or none")
    add("--barrier", help="simulated, or the address of an HTTP relay")
    add("--relay-token", help="bearer token of the relay")
    add("--port", type=int, help="of the lane's own HTTP on 127.0.0.1 (8071; 0: none)")
    add("--origin", help="of the gate page that may call that port")
    add("--has-display", action="store_const", const=True, help="phones can be shown a number to sign")
    add("--peer", help="http://host:port of the lane of this lot that listens to the others")
    add("--peer-listen", help="host:port where this lane listens to the lot's others (the lot's own network only)")
    add("--risk-budget", type=int, help="entries an hour on a code alone while the bundle is older than 24 h (20)")
    add("--take-over", action="store_true", help="go on with a terminal whose journal is not in the folder")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
