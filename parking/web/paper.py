"""A code on paper, for whoever has no phone: one large on A4, or ten cards of bank-card size to cut out."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files

from PIL import Image, ImageDraw, ImageFont

from parking.core.code_picture import code_png

DPI = 300
A4 = (2480, 3508)  # 210 by 297 mm
CARD = (1011, 638)  # 85.6 by 54 mm, ISO/IEC 7810 ID-1
COLUMNS, ROWS = 2, 5
_SIZES = {"large": 84, "plain": 44, "small": 30}


@dataclass(frozen=True, slots=True)
class Paper:
    """What stands on it: a title, lines below, and the code's digits."""

    title: str
    lines: tuple[str, ...]
    digits: str


def print_page(paper: Paper) -> bytes:
    """A PDF of one A4 page with one code of 120 mm."""
    page = Image.new("L", A4, 255)
    draw = ImageDraw.Draw(page)
    draw.text((A4[0] // 2, 300), paper.title, font=_font("large"), fill=0, anchor="ma")
    side = _paste(page, paper.digits, 120, A4[0] // 2, 520)
    y = 520 + side + 80
    for line in paper.lines:
        draw.text((A4[0] // 2, y), line, font=_font("plain"), fill=0, anchor="ma")
        y += 80
    return _pdf(page)


def print_cards(paper: Paper) -> bytes:
    """A PDF of one A4 page with ten equal cards; thin lines say where to cut."""
    page, card = Image.new("L", A4, 255), _card(paper)
    left = (A4[0] - COLUMNS * CARD[0]) // 2
    top = (A4[1] - ROWS * CARD[1]) // 2
    for number in range(COLUMNS * ROWS):
        page.paste(card, (left + number % COLUMNS * CARD[0], top + number // COLUMNS * CARD[1]))
    return _pdf(page)


def _card(paper: Paper) -> Image.Image:
    card = Image.new("L", CARD, 255)
    draw = ImageDraw.Draw(card)
    draw.rectangle((0, 0, CARD[0] - 1, CARD[1] - 1), outline=160)
    side = _paste(card, paper.digits, 46, 40 + 272, 40)
    x, y = 40 + side + 30, 70
    for text, size in ((paper.title, "plain"), *((line, "small") for line in paper.lines)):
        for part in _wrap(text, _font(size), CARD[0] - x - 30):
            draw.text((x, y), part, font=_font(size), fill=0)
            y += _SIZES[size] + 12
        y += 10
    return card


def _paste(onto: Image.Image, digits: str, millimetres: int, centre: int, top: int) -> int:
    """The code at about this width, every module as many whole pixels; returns its width."""
    wanted = millimetres * DPI / 25.4
    code = Image.open(io.BytesIO(code_png(digits, scale=1)))
    scale = int(wanted // code.width)
    side = code.width * scale
    onto.paste(code.resize((side, side), Image.Resampling.NEAREST), (centre - side // 2, top))
    return side


def _wrap(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Lines that fit; broken anywhere, for Chinese has no spaces."""
    lines = [""]
    for letter in text:
        if font.getlength(lines[-1] + letter) > width:
            lines.append("")
        lines[-1] += letter
    return [line.strip() for line in lines]


@cache
def _font(size: str) -> ImageFont.FreeTypeFont:
    with as_file(files("pylopdf_fonts_zh_cn").joinpath("NotoSansSC-Regular.otf")) as path:
        return ImageFont.truetype(str(path), _SIZES[size])


def _pdf(page: Image.Image) -> bytes:
    out = io.BytesIO()
    page.save(out, "PDF", resolution=DPI)
    return out.getvalue()
