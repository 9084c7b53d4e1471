"""Scanners, relays and the lane's own port, each spoken to as its device speaks."""

from __future__ import annotations

import http.client
import io
import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from parking.edge.hardware import DeviceFailed, LineScanner, Showing
from parking.edge.http_port import HttpPort
from parking.edge.relay import HttpRelayBarrier
from parking.edge.serial_port import SerialScanner
from parking.edge.setting import BadSetting, load_setting
from tests.lane import ROOT_PEM, Made, Phone, StubService, bundle_bytes, make_lane, sign_keys, until

PROJECT = Path(__file__).resolve().parents[2]
ORIGIN = "https://gate.example"


def test_a_typing_scanner_gives_a_code_a_line() -> None:
    shown: list[Any] = []

    LineScanner(io.StringIO("123\r\n\n  456 \n789")).run(shown.append)

    assert shown == [Showing("123"), Showing("456"), Showing("789")]


def test_a_serial_scanner_gives_a_code_a_line_and_says_when_it_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Port:
        in_waiting = 0

        def __init__(self, name: str, baud: int) -> None:
            assert (name, baud) == ("/dev/ttyUSB0", 9600)
            self.parts = [b"12", b"3\r", b"\n45", b"6\r\n7"]

        def read(self, count: int) -> bytes:
            if not self.parts:
                raise OSError("unplugged")
            return self.parts.pop(0)

    monkeypatch.setitem(sys.modules, "serial", type("serial", (), {"Serial": Port}))
    shown: list[Any] = []

    with pytest.raises(DeviceFailed, match="unplugged"):
        SerialScanner("/dev/ttyUSB0").run(shown.append)

    assert shown == [Showing("123"), Showing("456")]


def test_without_pyserial_the_lane_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "serial", None)

    with pytest.raises(DeviceFailed, match="pip install pyserial"):
        SerialScanner("/dev/ttyUSB0")


@pytest.fixture
def relay() -> Iterator[tuple[str, list[Any], dict[str, int]]]:
    asked: list[Any] = []
    status = {"now": 204}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, self.headers["Authorization"], json.loads(body)))
            self.send_response(status["now"])
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/open", asked, status
    server.shutdown()
    server.server_close()


def test_a_relay_is_commanded_once_and_its_answer_is_the_acknowledgement(
    tmp_path: Path, relay: tuple[str, list[Any], dict[str, int]]
) -> None:
    address, asked, status = relay
    made = make_lane(tmp_path, barrier=HttpRelayBarrier(address, token="t"))

    made.show(Phone().show())
    assert asked == [("/open", "Bearer t", {"command": "open"})]
    assert made.kinds() == ["scan", "barrier", "acknowledged"]

    status["now"] = 500
    made.show(Phone().show())
    assert made.kinds()[3:] == ["scan", "barrier"] and "did not take" in made.said[-1]


def test_a_relay_that_is_not_there_stops_nothing(tmp_path: Path) -> None:
    made = make_lane(tmp_path, barrier=HttpRelayBarrier("http://127.0.0.1:9/open"))

    assert made.show(Phone().show()).opens
    made.clocks.pass_(6)
    made.lane.tick()
    assert made.record.journal.list_all()[-1].body["fault"] == "not_acknowledged"
    with pytest.raises(ValueError, match="http"):
        HttpRelayBarrier("file:///etc/passwd")


# The lane's own port.

@pytest.fixture
def port(tmp_path: Path) -> Iterator[tuple[Made, HttpPort]]:
    made = make_lane(tmp_path)
    server = HttpPort(made.lane, port=0, origin=ORIGIN)
    server.start()
    yield made, server
    server.stop()


def call(server: HttpPort, path: str, body: Any = None, *, method: str = "POST", **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
    connection.request(method, path, None if method == "GET" else raw, sent)
    answer = connection.getresponse()
    read = answer.read()
    connection.close()
    return answer.status, json.loads(read)


def test_a_reader_that_speaks_http_opens_the_barrier(port: tuple[Made, HttpPort]) -> None:
    made, server = port

    status, answer = call(server, "/show", {"code": Phone().show(), "plate": "沪A12345", "plate_confidence": 0.98})
    call(server, "/loop", {"seen": "passed"})
    state = call(server, "/state", method="GET")[1]

    assert (status, answer["opens"], answer["reason"]) == (200, True, "entered")
    assert state["last"]["sequence"] == answer["sequence"] and state["untold_count"] == 4
    assert made.kinds() == ["scan", "barrier", "acknowledged", "passage"]
    assert call(server, "/lift", {"by": "wu", "why": "dead phone"})[0] == 200
    assert made.kinds()[4:] == ["manual_lift", "barrier", "acknowledged"]


@pytest.mark.parametrize(("path", "body", "headers", "status"), [
    ("/show", {"code": "1"}, {"Origin": "https://elsewhere.example"}, 403),
    ("/show", {"code": "1"}, {"Host": "rebound.example:8071"}, 403),
    ("/show", {"code": "1"}, {"Content_Type": "text/plain"}, 415),
    ("/show", {}, {}, 400), ("/show", {"code": 7}, {}, 400), ("/show", {"code": ""}, {}, 400),
    ("/show", {"code": "1" * 4097}, {}, 400), ("/show", [], {}, 400), ("/show", b"{", {}, 400),
    ("/show", {"plate": "沪A12345", "plate_confidence": 2}, {}, 400), ("/show", b'{"plate":"x","plate":"y"}', {}, 400),
    ("/show", {"plate": "沪A12345", "plate_confidence": True}, {}, 400), ("/show", b"x" * 70_000, {}, 413),
    ("/lift", {"by": "wu"}, {}, 400), ("/lift", {"by": "wu", "why": ""}, {}, 400), ("/loop", {"seen": "open"}, {}, 400),
    ("/lift", {"by": "wu", "why": "x"}, {"Origin": "null"}, 403), ("/elsewhere", {}, {}, 404),
])
def test_what_is_not_for_this_port_moves_nothing(
    port: tuple[Made, HttpPort], path: str, body: Any, headers: dict[str, str], status: int
) -> None:
    made, server = port

    assert call(server, path, body, **headers)[0] == status
    assert made.kinds() == [] and made.barrier.opened == 0


def test_the_gate_page_of_the_named_origin_may_call(port: tuple[Made, HttpPort]) -> None:
    assert call(port[1], "/show", {"code": Phone().show()}, Origin=ORIGIN)[0] == 200


# Starting.

def test_what_a_lane_was_told_is_kept_and_its_root_is_not_changed_in_passing(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="--server, --token, --root"):
        load_setting(tmp_path / "lane", {})
    first = load_setting(tmp_path / "lane", {
        "server": "http://127.0.0.1:9", "token": "t", "root": ROOT_PEM, "port": None, "risk_budget": 3})

    assert load_setting(tmp_path / "lane", {"port": 0}).risk_budget == 3 == first.risk_budget
    assert load_setting(tmp_path / "lane", {}).port == 0
    with pytest.raises(BadSetting, match="root"):
        load_setting(tmp_path / "lane", {"root": "another"})
    assert oct(os.stat(tmp_path / "lane" / "settings.json").st_mode)[-3:] == "600"


def start(folder: Path, *more: str, stdin: Any = subprocess.DEVNULL) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "parking.edge.run", "--folder", str(folder), "--port", "0", *more], cwd=PROJECT,
        stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)})


def test_a_lane_runs_by_one_command_and_starts_again_without_the_service(tmp_path: Path) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    stub = StubService(bundle_bytes(made_at=now, keys=sign_keys(at=now)))
    stub.clock = lambda: datetime.now(UTC)
    root = tmp_path / "root.pem"
    root.write_text(ROOT_PEM)
    told = ("--server", stub.address, "--token", "t", "--root", str(root))

    def scan(*more: str) -> str:
        with start(tmp_path / "lane", *more, stdin=subprocess.PIPE) as process:
            said = process.communicate(Phone(at=now).show(datetime.now(UTC).replace(microsecond=0)) + "\n", timeout=60)
        assert process.returncode == 0, said
        return str(said[0])

    first = scan(*told)
    assert "opens, entered (decided by the service)" in first or "(decided by the lane)" in first
    assert until(lambda: stub.openings()) and "沪" not in first
    stub.stop()
    second = scan()
    assert "opens, entered (decided by the lane)" in second
    assert made_numbers(tmp_path / "lane") == list(range(1, len(made_numbers(tmp_path / "lane")) + 1))


def made_numbers(folder: Path) -> list[int]:
    import sqlite3

    rows = sqlite3.connect(folder / "lane.sqlite3").execute("SELECT sequence FROM event ORDER BY sequence")
    return [row[0] for row in rows]


def test_a_lane_that_cannot_know_its_city_does_not_start(tmp_path: Path) -> None:
    root = tmp_path / "root.pem"
    root.write_text(ROOT_PEM)
    used = StubService(bundle_bytes(next_sequence=40))
    nobody, stranger = "http://127.0.0.1:9", StubService(bundle_bytes(key_set="a.b.c"))
    cases = [(nobody, "must see the service once"), (stranger.address, "not taken"), (used.address, "--take-over")]
    for number, (address, said) in enumerate(cases):
        with start(tmp_path / str(number), "--server", address, "--token", "t", "--root", str(root)) as process:
            out = process.communicate(timeout=60)[0]
        assert process.returncode == 2 and said in out, out
    with start(tmp_path / "2", "--take-over") as process:
        process.communicate(timeout=60)
    assert process.returncode == 0
    for each in (used, stranger):
        each.stop()


def test_a_keyboard_wedge_on_a_terminal_is_a_scanner_too(tmp_path: Path) -> None:
    """A pseudo-terminal, as a USB scanner types into one."""
    make_lane(tmp_path, made_at=datetime.now(UTC).replace(microsecond=0)).close()
    load_setting(tmp_path, {"server": "http://127.0.0.1:9", "token": "t", "root": ROOT_PEM})
    master, slave = pty.openpty()
    with start(tmp_path, stdin=slave) as process:
        assert process.stdout is not None
        os.write(master, b"12345\n")
        lines = []
        while not any("code_malformed" in line for line in lines):
            lines.append(process.stdout.readline())
            assert lines[-1], "the lane ended"
        process.terminate()
    os.close(master)
    os.close(slave)
    assert "holds, code_malformed (decided by the lane)" in lines[-1]
