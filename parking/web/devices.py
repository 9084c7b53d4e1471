"""What a browser calls itself, in two words: enough to recognise one's own phone in a list."""

from __future__ import annotations

from flask import request

# The first that is named counts: most browsers also claim to be the later ones.
_BROWSERS = (
    ("MicroMessenger", "WeChat"), ("AlipayClient", "Alipay"), ("Edg", "Edge"), ("OPR", "Opera"),
    ("SamsungBrowser", "Samsung"), ("Firefox", "Firefox"), ("FxiOS", "Firefox"), ("Chrome", "Chrome"),
    ("CriOS", "Chrome"), ("Safari", "Safari"),
)
_SYSTEMS = (
    ("HarmonyOS", "HarmonyOS"), ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"),
    ("Windows", "Windows"), ("Mac OS", "macOS"), ("CrOS", "ChromeOS"), ("Linux", "Linux"),
)


def name_device() -> str:
    """Such as `Chrome, Android`; empty where nothing is recognised. The header itself is not kept."""
    said = request.headers.get("User-Agent", "")[:400]
    names = (next((name for mark, name in marks if mark in said), "") for marks in (_BROWSERS, _SYSTEMS))
    return ", ".join(name for name in names if name)
