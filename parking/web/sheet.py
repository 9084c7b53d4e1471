"""A table as a person sees it, and the same as a file: what is exported is what is on the page.

A text that a spreadsheet would take for a formula is exported with an apostrophe before it (core/spreadsheet.py).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import xlsxwriter

from parking.core.money import format_yuan
from parking.core.spreadsheet import neutral

Kind = Literal["text", "fen", "count"]
Cell = str | int | None
SHEET_NAME_MAX = 31  # Excel's
_NOT_IN_NAMES = str.maketrans("", "", "[]:*?/\\'")


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows under heads; the kind of each column, whose fen are shown as yuan. foot: the sums, as a row."""

    title: str
    heads: tuple[str, ...]
    kinds: tuple[Kind, ...]
    rows: Sequence[tuple[Cell, ...]]
    foot: tuple[Cell, ...] | None = None

    @property
    def lines(self) -> list[tuple[Cell, ...]]:
        return [*self.rows, self.foot] if self.foot is not None else list(self.rows)


def to_csv(sheet: Sheet) -> bytes:
    """UTF-8 with a BOM, so that spreadsheets read Chinese; amounts in yuan with two decimals."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([neutral(head) for head in sheet.heads])
    for row in sheet.lines:
        writer.writerow([_text(cell, kind) for cell, kind in zip(row, sheet.kinds, strict=True)])
    return out.getvalue().encode("utf-8-sig")


def to_xlsx(sheets: Sequence[Sheet]) -> bytes:
    """A workbook with a page for each; amounts are numbers of yuan."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {
        "in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False})
    bold, money = book.add_format({"bold": True}), book.add_format({"num_format": "#,##0.00"})
    bold_money = book.add_format({"bold": True, "num_format": "#,##0.00"})
    for number, sheet in enumerate(sheets, start=1):
        page = book.add_worksheet(f"{number} {sheet.title.translate(_NOT_IN_NAMES)}"[:SHEET_NAME_MAX])
        page.freeze_panes(1, 0)
        for column, head in enumerate(sheet.heads):
            page.write_string(0, column, head, bold)
        for line, row in enumerate(sheet.lines, start=1):
            is_foot = row is sheet.foot
            for column, (cell, kind) in enumerate(zip(row, sheet.kinds, strict=True)):
                if cell is None:
                    continue
                if isinstance(cell, str):
                    page.write_string(line, column, neutral(cell), bold if is_foot else None)
                elif kind == "fen":
                    page.write_number(line, column, cell / 100, bold_money if is_foot else money)
                else:
                    page.write_number(line, column, cell, bold if is_foot else None)
        page.autofit()
    book.close()
    return out.getvalue()


def _text(cell: Cell, kind: Kind) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return neutral(cell)
    return format_yuan(cell) if kind == "fen" else str(cell)
