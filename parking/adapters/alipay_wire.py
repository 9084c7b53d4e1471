"""How Alipay's gateway signs what goes over the wire (RSA2), and how its certificates are named.

What is signed is `name=value` of every parameter, sorted by name, joined by `&`, before it is encoded for
the address or the form: of a request all but `sign`, of a notification all but `sign` and `sign_type`. Of an answer
it is the text of its content exactly as it stands in the body:

    {"alipay_trade_query_response":{…},"alipay_cert_sn":"…","sign":"…"}

The signature is RSA with SHA-256 (PKCS #1 v1.5), in base64. Source: opendocs.alipay.com, "signing" and
"verifying"; the names of certificates as the official SDKs make them.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from hashlib import md5

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import Certificate, load_pem_x509_certificate

from parking.core.json_text import load_object

SIGNED_BY = "RSA2"
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_SPACE = re.compile(r"[ \t\r\n]*")
_SIGNED_WITH_RSA = "1.2.840.113549.1.1"


def signed_text(parameters: Mapping[str, str]) -> bytes:
    """What of these parameters is signed; leave out what is not."""
    return "&".join(f"{name}={value}" for name, value in sorted(parameters.items())).encode()


def sign(key: RSAPrivateKey, text: bytes) -> str:
    return base64.b64encode(key.sign(text, PKCS1v15(), SHA256())).decode()


def is_signed(keys: Iterable[RSAPublicKey], text: bytes, signature: str) -> bool:
    """Whether one of these keys signed it."""
    try:
        raw = base64.b64decode(signature, validate=True)
    except ValueError:
        return False
    return any(_verifies(key, raw, text) for key in keys)


def split_answer(body: bytes) -> dict[str, str]:
    """The members of an answer, each as the JSON text that it has there: what is signed is the text.

    :raises BadJson: not an object, or none that may come in
    """
    load_object(body)  # strict: no name twice, bounded
    text, decoder, members = body.decode(), json.JSONDecoder(), {}
    place = _after_space(text, text.index("{") + 1)
    while text[place] != "}":
        name, place = decoder.raw_decode(text, place)
        start = _after_space(text, _after_space(text, place) + 1)  # behind the colon
        _, end = decoder.raw_decode(text, start)
        members[name] = text[start:end]
        place = _after_space(text, end)
        if text[place] == ",":
            place = _after_space(text, place + 1)
    return members


def read_certificates(pem: bytes) -> list[Certificate]:
    """Every certificate of a file, in its order.

    :raises ValueError: one cannot be read
    """
    return [load_pem_x509_certificate(each) for each in _PEM.findall(pem)]


def certificate_sn(certificate: Certificate) -> str:
    """By what Alipay calls a certificate: MD5 of the issuer's name (its last part first) and the serial number."""
    return md5(  # noqa: S324 (a name, no proof)
        f"{certificate.issuer.rfc4514_string()}{certificate.serial_number}".encode()).hexdigest()


def root_sn(certificates: Iterable[Certificate]) -> str:
    """By what Alipay calls a file of root certificates: those with RSA signatures, joined by `_`."""
    return "_".join(
        certificate_sn(each) for each in certificates
        if each.signature_algorithm_oid.dotted_string.startswith(_SIGNED_WITH_RSA))


def _verifies(key: RSAPublicKey, raw: bytes, text: bytes) -> bool:
    try:
        key.verify(raw, text, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def _after_space(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    assert match is not None
    return match.end()
