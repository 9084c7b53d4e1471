"""The keys and certificates of a pretended Alipay account, of the merchant's side and of the channel's."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from parking.adapters.alipay_gateway import Merchant
from parking.adapters.alipay_trust import Trust, trust_certificates, trust_keys
from parking.adapters.alipay_wire import certificate_sn, root_sn

SIGN_SCENE = "INDUSTRY|PARKING"


@dataclass
class Keys:
    """Both sides' keys. alipay_key signs now; next_key is the one that follows it."""

    app_id: str
    seller_id: str
    app_key: rsa.RSAPrivateKey
    alipay_key: rsa.RSAPrivateKey
    next_key: rsa.RSAPrivateKey
    chain: Chain = field(init=False)

    def __post_init__(self) -> None:
        self.chain = Chain.make(self)

    @classmethod
    def make(cls, seller_id: str = "2088000000000001") -> Keys:
        app, now, later = (rsa.generate_private_key(65537, 2048) for _ in range(3))
        return cls(f"2021{seller_id[-12:]}", seller_id, app, now, later)

    def change(self) -> None:
        """The channel signs with its next key from now on."""
        self.alipay_key, self.chain = self.next_key, replace(self.chain, alipay=self.chain.next)

    def write(self, folder: Path) -> None:
        """The merchant's side to `app.*`, the channel's to `alipay.*` and `next.*`, mode 0600."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, key in (("app", self.app_key), ("alipay", self.alipay_key), ("next", self.next_key)):
            file = folder / f"{name}.key.pem"
            file.touch(mode=0o600)
            file.write_text(_private(key))
            (folder / f"{name}.pub.pem").write_text(_public(key))
        (folder / "account.json").write_text(json.dumps({"app_id": self.app_id, "seller_id": self.seller_id}))

    @classmethod
    def read(cls, folder: Path) -> Keys:
        account = cls.read_account(folder)
        app, now, later = (
            cast(rsa.RSAPrivateKey, load_pem_private_key((folder / f"{name}.key.pem").read_bytes(), None))
            for name in ("app", "alipay", "next"))
        return cls(account["app_id"], account["seller_id"], app, now, later)

    @staticmethod
    def read_account(folder: Path) -> dict[str, str]:
        return cast(dict[str, str], json.loads((folder / "account.json").read_text()))

    def settings(self, base_url: str) -> dict[str, Any]:
        """What is no secret of the merchant's account."""
        return {"app_id": self.app_id, "seller_id": self.seller_id, "gateway_url": f"{base_url}/gateway.do",
                "sign_scene": SIGN_SCENE, "alipay_keys": [_public(self.alipay_key), _public(self.next_key)]}

    def secret(self) -> dict[str, str]:
        return {"private_key": _private(self.app_key)}

    def merchant(self, base_url: str, notify_url: str, *, by_certificates: bool = False) -> Merchant:
        """What the adapter is given to use this account."""
        trust: Trust = self.chain.trust() if by_certificates else trust_keys(
            [_public(self.alipay_key), _public(self.next_key)])
        return Merchant(
            self.app_id, self.seller_id, self.app_key, trust, f"{base_url}/gateway.do", notify_url, SIGN_SCENE)


@dataclass
class Chain:
    """The certificates: a root, one between, and under it the app's, Alipay's and Alipay's next one."""

    root: x509.Certificate
    between: x509.Certificate
    app: x509.Certificate
    alipay: x509.Certificate
    next: x509.Certificate

    @classmethod
    def make(cls, keys: Keys) -> Chain:
        root_key, between_key = (rsa.generate_private_key(65537, 2048) for _ in range(2))
        root_name, between_name = (_name("Simulated Financial", f"Simulated Authority {each}") for each in ("R1", "C1"))
        owner = _name("Alipay", f"Alipay-{keys.seller_id}")
        return cls(
            _certificate(root_name, root_key, root_name, root_key, is_authority=True),
            _certificate(between_name, between_key, root_name, root_key, is_authority=True),
            _certificate(_name("A car park", keys.app_id), keys.app_key, between_name, between_key),
            _certificate(owner, keys.alipay_key, between_name, between_key),
            _certificate(owner, keys.next_key, between_name, between_key))

    def names(self) -> tuple[str, str]:
        """By what the app's certificate and the roots are called."""
        return certificate_sn(self.app), root_sn([self.root])

    def files(self) -> dict[str, str]:
        """The three files of the certificate mode."""
        return {"app_cert": _pem(self.app), "alipay_cert": self.file(self.alipay), "root_cert": _pem(self.root)}

    def file(self, certificate: x509.Certificate) -> str:
        return _pem(certificate) + _pem(self.between)

    def trust(self) -> Trust:
        files = self.files()
        return trust_certificates(files["app_cert"], files["alipay_cert"], files["root_cert"])


def _name(organisation: str, common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(kind, text) for kind, text in (
        (NameOID.COUNTRY_NAME, "CN"), (NameOID.ORGANIZATION_NAME, organisation),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "Certification Authority"), (NameOID.COMMON_NAME, common))])


def _certificate(
    subject: x509.Name, key: rsa.RSAPrivateKey, issuer: x509.Name, issuer_key: rsa.RSAPrivateKey, *,
    is_authority: bool = False,
) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1825))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .sign(issuer_key, SHA256()))


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _private(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _public(key: rsa.RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
