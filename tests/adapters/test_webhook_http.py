"""Messages reach real receivers in bounded time, and nobody whom they must not reach."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from flask import Response

from parking.adapters import webhook_http
from parking.adapters.webhook_http import WebhookHttp
from parking.core.webhook import Posted
from tests.receiver import Receiver, receiving
from tests.serving import ROOT

LOOPBACK = [ip_network("127.0.0.0/8"), ip_network("::1/128")]
NAME = "receiver.test"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """What names resolve to, one answer after another, the last of them for ever; others as they truly do."""
    answers: dict[str, list[list[str]]] = {}
    truly = socket.getaddrinfo

    def look_up(host: Any, port: Any, *args: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in answers:
            return truly(host, port, *args, **more)
        found = answers[name].pop(0) if len(answers[name]) > 1 else answers[name][0]
        return [(socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port))
                for each in found]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return answers


def post(url: str, *, allowed: Any = LOOPBACK, body: bytes = b"{}", **more: Any) -> Posted:
    return WebhookHttp(allowed=allowed, **more).post(url, {"webhook-id": "m", "Content-Type": "application/json"}, body)


def test_a_message_arrives_with_its_headers_and_its_very_bytes(receiver: Receiver) -> None:
    posted = post(receiver.url, body='{"a":"停车"}'.encode())

    assert (posted.status, posted.error, posted.is_taken) == (204, None, True) and 0 <= posted.ms < 10_000
    [got] = receiver.received
    assert got.body == '{"a":"停车"}'.encode() and got.message_id == "m"
    assert got.headers["host"] == receiver.url.split("/")[2] and got.headers["content-type"] == "application/json"


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 404, 410, 429, 500, 503])
def test_any_status_but_a_2xx_is_no_taking_and_a_redirect_is_not_followed(receiver: Receiver, status: int) -> None:
    receiver.answer = lambda: Response("", status, {"Location": receiver.url.replace("parking", "elsewhere")})

    posted = post(receiver.url)

    assert (posted.status, posted.is_taken) == (status, False)
    assert [each.path for each in receiver.received] == ["parking"]


def test_a_machine_of_ours_is_not_reached_unless_its_network_is_allowed(receiver: Receiver) -> None:
    assert post(receiver.url, allowed=()).error == "address_refused"
    assert receiver.received == []


@pytest.mark.parametrize("addresses", [
    ["10.0.0.1"], ["169.254.169.254"], ["::ffff:127.0.0.1"], ["fd00::1"], ["93.184.216.34", "10.0.0.1"], ["0.0.0.0"],
])
def test_a_name_that_points_inside_is_refused(resolved: dict[str, list[list[str]]], addresses: list[str]) -> None:
    resolved[NAME] = [addresses]

    assert post(f"https://{NAME}/", allowed=()).error == "address_refused"


def test_a_name_that_changes_between_look_and_call_gets_nobody_in(
    receiver: Receiver, resolved: dict[str, list[list[str]]]
) -> None:
    port = receiver.url.split(":")[2].split("/")[0]
    resolved["localhost"] = [["127.0.0.1"], ["10.0.0.1"]]

    posted = post(f"http://localhost:{port}/parking")

    assert posted.status == 204, "the address that was looked at is the one that is called"
    assert receiver.received[0].headers["host"] == f"localhost:{port}"
    assert post(f"http://localhost:{port}/parking").error == "address_refused"


def test_a_name_that_is_none_and_a_port_where_nobody_listens(resolved: dict[str, list[list[str]]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    assert post("https://nobody.invalid/").error == "name_not_found"
    assert post(f"http://127.0.0.1:{port}/").error == "ConnectError"


@contextmanager
def certified(tls: Path) -> Iterator[int]:
    """The port of a receiver under TLS, which takes anything."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tls / "server.pem", tls / "server.key")
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                line, _ = listening.accept()
                with context.wrap_socket(line, server_side=True) as secure:
                    said = secure.recv(65536)
                    while said and not _is_whole(said):
                        said += secure.recv(65536)
                    secure.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            except ssl.SSLError:
                continue
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def _is_whole(said: bytes) -> bool:
    """Head and body may come apart; who answers before the body is read breaks the line off."""
    head, is_over, body = said.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    return bool(is_over) and len(body) >= (int(length[1]) if length else 0)


def test_a_certificate_must_be_of_the_name_though_the_call_goes_to_an_address(
    tmp_path: Path, resolved: dict[str, list[list[str]]]
) -> None:
    subprocess.run([sys.executable, ROOT / "scripts/setup/certificate.py", tmp_path, NAME], check=True)
    resolved[NAME] = resolved["other.test"] = [["127.0.0.1"]]
    authority = str(tmp_path / "ca.pem")
    with certified(tmp_path) as port:
        assert post(f"https://{NAME}:{port}/x", ca_file=authority).status == 204
        assert post(f"https://other.test:{port}/x", ca_file=authority).error == "ConnectError"
        assert post(f"https://{NAME}:{port}/x").error == "ConnectError", "an authority that nobody knows"


def test_a_receiver_that_does_not_answer_is_given_up_in_time(receiver: Receiver) -> None:
    is_over = threading.Event()

    def hang() -> Response:
        is_over.wait(20)
        return Response("")

    receiver.answer, begun = hang, time.monotonic()
    posted = post(receiver.url, seconds_max=0.5)
    is_over.set()

    assert posted.error == "too_slow" and time.monotonic() - begun < 3


def test_an_answer_without_end_is_not_read(receiver: Receiver) -> None:
    def forever() -> Iterator[bytes]:
        for _ in range(200):
            yield b"x" * 1_000_000
            time.sleep(0.05)

    receiver.answer, begun = lambda: Response(forever(), 200), time.monotonic()

    assert post(receiver.url).is_taken and time.monotonic() - begun < 3


def test_more_at_once_than_there_are_lines_are_busy_and_lines_are_free_again(receiver: Receiver) -> None:
    is_over = threading.Event()

    def hang() -> Response:
        is_over.wait(20)
        return Response("")

    receiver.answer = hang
    poster = WebhookHttp(allowed=LOOPBACK, seconds_max=0.4)
    threads = [threading.Thread(target=poster.post, args=(receiver.url, {}, b"")) for _ in range(webhook_http.AT_ONCE)]
    for each in threads:
        each.start()
    while len(receiver.received) < webhook_http.AT_ONCE:
        time.sleep(0.01)
    assert poster.post(receiver.url, {}, b"").error == "busy"
    is_over.set()
    for each in threads:
        each.join()
    receiver.answer = None
    deadline = time.monotonic() + 5
    while (posted := poster.post(receiver.url, {}, b"")).error == "busy" and time.monotonic() < deadline:
        time.sleep(0.05)

    assert posted.status == 204
