"""How WeChat Pay's API v3 signs and seals what goes over the wire: the same for a merchant and for the platform.

Source: pay.weixin.qq.com/doc/v3, "API v3".
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256

SCHEME = "WECHATPAY2-SHA256-RSA2048"
SEALED_BY = "AEAD_AES_256_GCM"


def sign(key: RSAPrivateKey, *lines: bytes) -> str:
    """Base64 of the signature over the lines, each ended by a line feed."""
    return base64.b64encode(key.sign(b"".join(line + b"\n" for line in lines), PKCS1v15(), SHA256())).decode()


def is_signed(key: RSAPublicKey, signature: str, *lines: bytes) -> bool:
    try:
        raw = base64.b64decode(signature, validate=True)
        key.verify(raw, b"".join(line + b"\n" for line in lines), PKCS1v15(), SHA256())
    except (ValueError, InvalidSignature):
        return False
    return True


def open_sealed(api_v3_key: bytes, resource: Mapping[str, Any]) -> bytes:
    """:raises InvalidTag, KeyError, TypeError, ValueError: another key, or not what was sealed"""
    return AESGCM(api_v3_key).decrypt(
        resource["nonce"].encode(), base64.b64decode(resource["ciphertext"], validate=True),
        resource.get("associated_data", "").encode())


def seal(api_v3_key: bytes, plain: bytes, context: str) -> dict[str, str]:
    """What open_sealed opens, as the platform sends it."""
    nonce = secrets.token_hex(6)
    sealed = AESGCM(api_v3_key).encrypt(nonce.encode(), plain, context.encode())
    return {"algorithm": SEALED_BY, "nonce": nonce, "associated_data": context,
            "ciphertext": base64.b64encode(sealed).decode()}
