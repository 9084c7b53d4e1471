"""The keys of a pretended WeChat Pay account, of the merchant's side and of the channel's."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from parking.adapters.wechat_pay_gateway import Merchant


@dataclass
class Keys:
    """Both sides' keys of the pretended account."""

    mchid: str
    appid: str
    api_v3_key: bytes
    merchant_serial: str
    merchant_key: rsa.RSAPrivateKey
    platform_key: rsa.RSAPrivateKey
    platform_certificate: x509.Certificate

    @property
    def app_secret(self) -> str:
        """Of the official account."""
        return sha256(b"app secret" + self.api_v3_key).hexdigest()[:32]

    @property
    def platform_serial(self) -> str:
        return f"{self.platform_certificate.serial_number:X}"

    def renew_platform(self) -> None:
        """The channel signs with another key, under another serial, from now on."""
        self.platform_key = rsa.generate_private_key(65537, 2048)
        self.platform_certificate = _certificate(self.platform_key)

    @classmethod
    def make(cls, mchid: str = "1900000001") -> Keys:
        platform = rsa.generate_private_key(65537, 2048)
        return cls(
            mchid, f"wx{mchid:0>16}", secrets.token_hex(16).encode(), secrets.token_hex(20).upper(),
            rsa.generate_private_key(65537, 2048), platform, _certificate(platform))

    def write(self, folder: Path) -> None:
        """The merchant's side to `merchant.*`, the channel's to `platform.*`, mode 0600."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, key in (("merchant", self.merchant_key), ("platform", self.platform_key)):
            _write(folder / f"{name}.key.pem", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        _write(folder / "platform.cert.pem", self.platform_certificate.public_bytes(Encoding.PEM))
        _write(folder / "api_v3_key", self.api_v3_key)
        _write(folder / "account.json", json.dumps({
            "mchid": self.mchid, "appid": self.appid, "api_v3_key": self.api_v3_key.decode(),
            "merchant_serial": self.merchant_serial}).encode())

    @classmethod
    def read(cls, folder: Path) -> Keys:
        account = json.loads((folder / "account.json").read_text())
        merchant, platform = (
            cast(rsa.RSAPrivateKey, load_pem_private_key((folder / f"{name}.key.pem").read_bytes(), None))
            for name in ("merchant", "platform"))
        return cls(
            account["mchid"], account["appid"], account["api_v3_key"].encode(), account["merchant_serial"],
            merchant, platform, x509.load_pem_x509_certificate((folder / "platform.cert.pem").read_bytes()))

    def settings(self, base_url: str) -> dict[str, Any]:
        """What is no secret of the merchant's account."""
        return {"mchid": self.mchid, "appid": self.appid, "serial": self.merchant_serial, "base_url": base_url,
                "parking_service": True, "authorize_url": base_url, "app_url": base_url}

    def secret(self) -> dict[str, str]:
        key = self.merchant_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return {"private_key": key.decode(), "api_v3_key": self.api_v3_key.decode(),
                "app_secret": self.app_secret}

    def merchant(self, base_url: str, notify_url: str) -> Merchant:
        """What the adapter is given to use this account."""
        return Merchant(
            self.mchid, self.appid, self.merchant_serial, self.merchant_key, self.api_v3_key, base_url, notify_url,
            has_parking=True, app_secret=self.app_secret, authorize_url=base_url, app_url=base_url)


def _certificate(key: rsa.RSAPrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "WeChat Pay simulator")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1825)).sign(key, SHA256()))


def _write(file: Path, text: bytes) -> None:
    file.touch(mode=0o600)
    file.write_bytes(text)
