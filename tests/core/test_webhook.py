"""Messages to integrators verify by the public library, and go to no address of ours."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from parking.core.identifier import first_uuid, ordered_uuid
from parking.core.webhook import BadAddress, format_secret, may_reach, parse_address, sign_headers, write_body

NOW = datetime(2026, 3, 10, 1, 0, tzinfo=UTC)
SECRET, OTHER = b"s" * 32, b"o" * 32


def test_the_signature_is_that_of_the_published_example() -> None:
    made = sign_headers(
        [base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")], message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        body=b'{"test": 2432232314}', now=datetime.fromtimestamp(1614265330, UTC))

    assert made["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert made["webhook-timestamp"] == "1614265330"


def test_the_public_library_verifies_a_message_under_either_secret_and_no_other() -> None:
    now = datetime.now(UTC)
    body = write_body("charge.sealed", {"lot_id": 1, "total_fen": 1500}, occurred_at=NOW)
    headers = sign_headers([SECRET, OTHER], message_id="m", body=body, now=now)

    for secret in (SECRET, OTHER):
        said = Webhook(format_secret(secret)).verify(body, headers)
        assert said == {"type": "charge.sealed", "timestamp": "2026-03-10T01:00:00Z",
                        "data": {"lot_id": 1, "total_fen": 1500}}
    for changed, under in ((body, b"x" * 32), (body.replace(b"1500", b"1501"), SECRET)):
        with pytest.raises(WebhookVerificationError):
            Webhook(format_secret(under)).verify(changed, headers)
    for wrong in ({"webhook-id": "n"}, {"webhook-timestamp": str(int(now.timestamp()) - 1)}):
        with pytest.raises(WebhookVerificationError):
            Webhook(format_secret(SECRET)).verify(body, {**headers, **wrong})


def test_an_old_message_is_refused_by_its_time() -> None:
    body = write_body("charge.sealed", {}, occurred_at=NOW)
    headers = sign_headers([SECRET], message_id="m", body=body, now=datetime.now(UTC) - timedelta(minutes=6))

    with pytest.raises(WebhookVerificationError):
        Webhook(format_secret(SECRET)).verify(body, headers)


def test_a_body_is_the_same_bytes_each_time() -> None:
    body = write_body("payment.paid", {"b": 1, "a": {"d": 2, "c": 3}}, occurred_at=NOW)

    assert body == write_body("payment.paid", {"a": {"c": 3, "d": 2}, "b": 1}, occurred_at=NOW)
    assert json.loads(body)["data"] == {"a": {"c": 3, "d": 2}, "b": 1}


def test_ids_sort_by_time_and_within_a_transaction_by_order() -> None:
    later = NOW + timedelta(milliseconds=1)
    ids = [ordered_uuid(at, number, "any", at, number) for at in (NOW, later) for number in (0, 1, 2, 100, 4095)]

    assert ids == sorted(ids) and len(set(ids)) == 10
    assert all(each.version == 7 for each in ids)
    assert first_uuid(NOW) < ids[0] and ids[4] < first_uuid(later) < ids[5]


@pytest.mark.parametrize("url", [
    "https://example.com/parking", "https://example.com:8443/a?b=c", "https://8.8.8.8/", "https://[2400:3200::1]/x",
    "https://xn--fiqs8s.example/",
])
def test_a_public_https_address_is_taken(url: str) -> None:
    assert parse_address(url).geturl() == url


@pytest.mark.parametrize("url", [
    "", "x", "/parking", "http://example.com/", "ftp://example.com/", "https://", "https:///x", "file:///etc/passwd",
    "https://user@example.com/", "https://user:secret@example.com/", "https://example.com/#part", "https://a b/",
    "https://example.com:0/", "https://example.com:99999/", "https://[::1", "https://exa\u200bmple.com/",
    "https://中国/", "https://exam_ple.com/", "https://" + "a" * 600, "https://example.com/\r\nX-Injected: yes",
    "https://127.0.0.1/", "https://10.0.0.1/", "https://192.168.1.1/", "https://172.16.0.1/", "https://169.254.169.254/",
    "https://100.64.0.1/", "https://0.0.0.0/", "https://224.0.0.1/", "https://255.255.255.255/", "https://[::1]/",
    "https://[fe80::1]/", "https://[fd00::1]/", "https://[::ffff:10.0.0.1]/", "https://[64:ff9b::a00:1]/",
    "https://[2002:a00:1::]/", "https://[ff02::1]/", "http://127.0.0.1/", "https://2130706433/x y",
])
def test_no_other_address_is_taken(url: str) -> None:
    with pytest.raises(BadAddress):
        parse_address(url)


def test_a_network_that_is_allowed_may_be_reached_and_plain_http_only_on_the_machine_itself() -> None:
    allowed = [ip_network("127.0.0.0/8"), ip_network("10.1.0.0/16")]

    for url in ("http://127.0.0.1:8080/x", "https://10.1.2.3/", "https://[::ffff:10.1.2.3]/", "http://localhost/"):
        assert parse_address(url, allowed=allowed).hostname
    for url in ("http://10.1.2.3/", "https://10.2.0.1/"):
        with pytest.raises(BadAddress):
            parse_address(url, allowed=allowed)
    assert not may_reach(ip_address("127.0.0.1"), []) and may_reach(ip_address("127.0.0.1"), allowed)
