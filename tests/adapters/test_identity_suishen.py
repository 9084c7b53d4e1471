"""The adapter against the city's simulated code service, and against servers that mean it harm."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from config import BadConfig, Config
from parking.adapters.identity_suishen import CALLS_AT_ONCE_MAX, FAILURES_MAX, PAUSE, SuishenCodes
from parking.core.identity import IdentityUnresolved, Reading
from parking.simulators.city_codes import CityCodesSimulator
from tests.city import KEYS, now
from tests.city_codes import PEOPLE, account, codes_of, simulated_city_codes
from tests.serving import ROOT

LI = PEOPLE[0]
READING = Reading("018f0000-0000-7000-8000-000000000001", "人民广场 Entry 1", "entry")
GENEROUS_SECONDS = 4.0


@pytest.fixture
def simulator() -> Iterator[CityCodesSimulator]:
    with simulated_city_codes() as simulator:
        yield simulator


def why(codes: SuishenCodes, text: str, at: object = None) -> str:
    with pytest.raises(IdentityUnresolved) as caught:
        codes.resolve(text, READING, now=at or now())  # type: ignore[arg-type]
    return caught.value.why


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run([sys.executable, ROOT / "scripts/setup/certificate.py", folder, "127.0.0.1"], check=True)
    return folder


@contextmanager
def talking(says: bytes, tls: Path | None) -> Iterator[str]:
    """A server that, when asked, says this and then goes on with spaces, one each tenth of a second, for ever."""
    listening = socket.create_server(("127.0.0.1", 0))
    is_over = threading.Event()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    if tls:
        context.load_cert_chain(tls / "server.pem", tls / "server.key")

    def talk(line: socket.socket) -> None:
        try:
            with context.wrap_socket(line, server_side=True) if tls else line as line:
                line.recv(65536)
                line.sendall(says)
                while not is_over.wait(0.1):
                    line.sendall(b" ")
        except OSError:
            return

    def serve() -> None:
        while not is_over.is_set():
            try:
                line, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(line,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        is_over.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def test_a_code_is_resolved_to_the_number_alone_and_the_city_is_told_where_and_what_for(
    simulator: CityCodesSimulator,
) -> None:
    codes = codes_of(simulator)

    assert codes.resolve(simulator.show(LI), READING, now=now()) == LI
    assert simulator.seen.readings[-1] == {
        "pos": READING.place, "use": "停车入场", "orgName": "停车", "businessCode": READING.reading_no}


def test_one_login_serves_many_also_when_they_come_at_once(simulator: CityCodesSimulator) -> None:
    codes, shown = codes_of(simulator), simulator.show(LI)

    with ThreadPoolExecutor(CALLS_AT_ONCE_MAX) as pool:
        numbers = list(pool.map(lambda _: codes.resolve(shown, READING, now=now()), range(CALLS_AT_ONCE_MAX)))

    assert numbers == [LI] * CALLS_AT_ONCE_MAX
    assert simulator.seen.logins == 1


def test_a_session_that_ended_is_opened_again_once(simulator: CityCodesSimulator) -> None:
    codes = codes_of(simulator)
    codes.resolve(simulator.show(LI), READING, now=now())
    simulator.trouble("session", 1)

    assert codes.resolve(simulator.show(LI), READING, now=now()) == LI
    assert simulator.seen.logins == 2


def test_a_service_that_ends_every_session_is_not_asked_for_ever(simulator: CityCodesSimulator) -> None:
    codes = codes_of(simulator)
    simulator.trouble("session")

    assert why(codes, simulator.show(LI)) == "no_session"
    assert simulator.seen.logins == 2


def test_an_unknown_code_an_old_one_and_one_that_was_read_are_unknown(simulator: CityCodesSimulator) -> None:
    codes, old = codes_of(simulator), simulator.show(LI)
    simulator.seen.reads_max = 1
    read = simulator.show(LI)
    codes.resolve(read, READING, now=now())
    simulator.clock = lambda: now() + timedelta(seconds=59)

    assert why(codes, f"{simulator.base_url}/c/never") == "unknown_code"
    assert why(codes, read) == "unknown_code"
    assert codes.resolve(old, READING, now=now()) == LI
    simulator.clock = lambda: now() + timedelta(seconds=61)
    assert why(codes, old) == "unknown_code"


def test_codes_that_are_not_known_do_not_shut_the_gate_for_others(simulator: CityCodesSimulator) -> None:
    codes = codes_of(simulator)
    for _ in range(2 * FAILURES_MAX):
        assert why(codes, f"{simulator.base_url}/c/never") == "unknown_code"

    assert codes.resolve(simulator.show(LI), READING, now=now()) == LI


@pytest.mark.parametrize(("trouble", "expected"), [
    ("500", "status_500"), ("not_json", "unreadable"), ("wrong_types", "no_number"), ("huge", "too_long"),
    ("redirect", "status_302"), ("slow", "too_slow"), ("drip", "too_slow"),
])
def test_trouble_of_each_kind_is_unresolved_within_bounds_and_passes(
    simulator: CityCodesSimulator, trouble: str, expected: str
) -> None:
    codes = codes_of(simulator)
    codes.resolve(simulator.show(LI), READING, now=now())
    simulator.trouble(trouble, 1)
    started = time.monotonic()

    said = why(codes, simulator.show(LI))

    assert said == expected or (trouble == "slow" and said == "ReadTimeout")
    assert time.monotonic() - started < GENEROUS_SECONDS
    assert codes.resolve(simulator.show(LI), READING, now=now()) == LI


@pytest.mark.parametrize("trouble", ["500", "not_json", "wrong_types", "huge", "redirect", "drip"])
def test_a_login_in_trouble_is_unresolved_too(simulator: CityCodesSimulator, trouble: str) -> None:
    simulator.trouble(trouble, 1)

    assert why(codes_of(simulator), simulator.show(LI)).startswith(("login_", "too_slow"))


def test_a_wrong_password_is_unresolved_and_not_tried_on_and_on(simulator: CityCodesSimulator) -> None:
    codes, at = SuishenCodes(account(simulator.base_url, password="wrong")), now()

    said = [why(codes, simulator.show(LI), at) for _ in range(FAILURES_MAX + 2)]

    assert said == ["login_status_403"] * FAILURES_MAX + ["paused"] * 2


@pytest.mark.parametrize(("says", "is_encrypted"), [
    (b"HTTP/1.1 200 OK\r\nX-Slow:", False), (b"HTTP/1.1 200 OK\r\nX-Slow:", True),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n{", False),
])
def test_a_server_that_never_comes_to_an_end_holds_neither_the_gate_nor_a_line(
    says: bytes, is_encrypted: bool, tls: Path
) -> None:
    with talking(says, tls if is_encrypted else None) as address:
        codes, started = SuishenCodes(account(address, ca_file=str(tls / "ca.pem"))), time.monotonic()
        lines = codes._lines

        # More than there are lines, each after the pause: a line that stayed held would be missed.
        said = [why(codes, address, now() + turn * 2 * PAUSE) for turn in range(CALLS_AT_ONCE_MAX + 1)]

        assert set(said) == {"too_slow"}
        assert time.monotonic() - started < GENEROUS_SECONDS * len(said)
        until = time.monotonic() + GENEROUS_SECONDS
        while lines._free.qsize() < CALLS_AT_ONCE_MAX and time.monotonic() < until:
            time.sleep(0.01)
        assert lines._free.qsize() == CALLS_AT_ONCE_MAX


def test_a_certificate_under_an_authority_that_nobody_knows_is_not_believed(tls: Path) -> None:
    with talking(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", tls) as address:
        assert why(SuishenCodes(account(address)), address) == "login_ConnectError"
        assert why(SuishenCodes(account(address, ca_file=str(tls / "ca.pem"))), address) == "login_unknown_code"


def test_nobody_there_is_unresolved_and_after_some_failures_nobody_asks_for_a_while() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    codes, at = SuishenCodes(account(f"http://127.0.0.1:{port}")), now()

    said = [why(codes, "https://x/1", at) for _ in range(FAILURES_MAX + 1)]

    assert said == ["login_ConnectError"] * FAILURES_MAX + ["paused"]
    assert why(codes, "https://x/1", at + PAUSE - timedelta(milliseconds=1)) == "paused"
    assert why(codes, "https://x/1", at + PAUSE) == "login_ConnectError"
    assert why(codes, "https://x/1", at + PAUSE) == "paused", "one asks, for all"


def test_after_the_pause_one_good_answer_lets_everybody_through(simulator: CityCodesSimulator) -> None:
    codes, at = codes_of(simulator), now()
    simulator.trouble("500", FAILURES_MAX)
    for _ in range(FAILURES_MAX):
        why(codes, simulator.show(LI), at)
    assert why(codes, simulator.show(LI), at) == "paused"

    assert codes.resolve(simulator.show(LI), READING, now=at + PAUSE) == LI
    assert codes.resolve(simulator.show(LI), READING, now=at + PAUSE) == LI


def test_more_than_some_at_once_do_not_wait(simulator: CityCodesSimulator) -> None:
    codes = codes_of(simulator)
    codes.resolve(simulator.show(LI), READING, now=now())
    simulator.trouble("drip")

    with ThreadPoolExecutor(CALLS_AT_ONCE_MAX + 2) as pool:
        said = list(pool.map(lambda _: why(codes, simulator.show(LI)), range(CALLS_AT_ONCE_MAX + 2)))

    assert sorted(said) == ["busy"] * 2 + ["too_slow"] * CALLS_AT_ONCE_MAX


def test_only_what_may_be_the_citys_code_is_taken() -> None:
    codes = SuishenCodes(account("https://codes.city.example"))
    one = {"CITY_CODE_URL": "https://codes.city.example", "CITY_CODE_ACCOUNT": "a", "CITY_CODE_PASSWORD": "b",
           "CITY_CODE_ORGANISATION": "c", "CITY_CODE_PREFIXES": "https://s.city.example/, https://t.city.example/q?"}
    settings = Config({**KEYS, **one}).city_codes
    assert settings is not None
    chosen = SuishenCodes(account("https://x", prefixes=settings["prefixes"]))

    assert codes.takes("HTTPS://ANY.example/1") and not codes.takes("weixin://x") and not codes.takes("123")
    assert chosen.takes("https://s.city.example/1") and chosen.takes("https://t.city.example/q?1")
    assert not chosen.takes("https://s.city.example.evil/") and not chosen.takes("https://any.example/")


@pytest.mark.parametrize(("name", "value"), [
    ("CITY_CODE_URL", "http://codes.city.example"), ("CITY_CODE_URL", "ftp://codes.city.example"),
    ("CITY_CODE_ACCOUNT", ""), ("CITY_CODE_PASSWORD", ""), ("CITY_CODE_ORGANISATION", ""),
    ("CITY_CODE_PREFIXES", "https://a/,1"), ("CITY_CODE_PREFIXES", "https://a/,"),
])
def test_settings_that_would_not_work_or_not_be_safe_are_refused(name: str, value: str) -> None:
    good = {**KEYS, "CITY_CODE_URL": "https://codes.city.example", "CITY_CODE_ACCOUNT": "a", "CITY_CODE_PASSWORD": "b",
            "CITY_CODE_ORGANISATION": "c"}
    assert Config(good).city_codes is not None and Config(KEYS).city_codes is None

    with pytest.raises(BadConfig, match=name):
        Config({**good, name: value})


def test_a_password_is_not_shown_where_settings_are_printed() -> None:
    assert "open-sesame" not in repr(account("https://x"))
