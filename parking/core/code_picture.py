"""The QR picture of a code, through `qrcode` and Pillow.

Version, error correction and mask are given instead of searched for: a form has one version, and
a fixed mask costs no readability (324 paired frames) and saves most of the time (docs/decisions/0004).
"""

from __future__ import annotations

import io

import qrcode
from PIL import Image
from qrcode.util import MODE_NUMBER, QRData

from parking.core.code_wire import QR_VERSION

MASK = 3
QUIET_ZONE = 4
SCALE_DEFAULT = 8


def code_modules(digits: str) -> list[list[bool]]:
    """The dark modules of a parking code, without the quiet zone, row by row."""
    picture = qrcode.QRCode(
        version=_version_of(digits), error_correction=qrcode.constants.ERROR_CORRECT_M, mask_pattern=MASK
    )
    picture.add_data(QRData(digits, mode=MODE_NUMBER, check_data=False), optimize=0)
    picture.make(fit=False)
    return [[bool(module) for module in row] for row in picture.modules]


def code_png(digits: str, *, scale: int = SCALE_DEFAULT) -> bytes:
    """A PNG of one bit a pixel, `scale` pixels a module, with the quiet zone of four modules."""
    modules = code_modules(digits)
    side = len(modules) + 2 * QUIET_ZONE
    pixels = bytearray(b"\xff" * (side * side))
    for y, row in enumerate(modules):
        start = (y + QUIET_ZONE) * side + QUIET_ZONE
        pixels[start : start + len(row)] = bytes(0 if dark else 255 for dark in row)
    image = Image.frombytes("L", (side, side), bytes(pixels))
    image = image.resize((side * scale, side * scale), Image.Resampling.NEAREST).convert("1")
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def code_svg(digits: str) -> str:
    """An SVG of a code."""
    return _svg(code_modules(digits))


def link_svg(text: str) -> str:
    """An SVG of any text, such as an address to go to, in the smallest version that holds it."""
    return _svg(link_modules(text))


def link_modules(text: str) -> list[list[bool]]:
    """The dark modules of that, without the quiet zone, row by row."""
    picture = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_M, mask_pattern=MASK)
    picture.add_data(text)
    picture.make(fit=True)
    return [[bool(module) for module in row] for row in picture.modules]


def _version_of(digits: str) -> int:
    """By the code's form: the byte below the sentinel, whose one bit is the number's highest."""
    number = int(digits)
    return QR_VERSION[number >> (number.bit_length() - 9) & 0xFF]


def _svg(modules: list[list[bool]]) -> str:
    """One path: each run of dark modules is one stroke."""
    side = len(modules) + 2 * QUIET_ZONE
    strokes = []
    for y, row in enumerate(modules):
        x = 0
        while x < len(row):
            run = x
            while run < len(row) and row[run]:
                run += 1
            if run > x:
                strokes.append(f"M{x + QUIET_ZONE} {y + QUIET_ZONE}h{run - x}v1h-{run - x}z")
            x = max(run, x) + 1
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" shape-rendering="crispEdges">'
        f'<path fill="#fff" d="M0 0h{side}v{side}H0z"/><path fill="#000" d="{"".join(strokes)}"/></svg>'
    )
