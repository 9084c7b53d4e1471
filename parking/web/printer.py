"""Sets receipts and signs as PDFs, with typst.

A template reads its data as JSON and nothing else: no text of ours becomes markup, no file is
read but the template and the fonts, nothing is fetched. The same data give the same bytes.

A compiler of each template is kept in a process, and one is set to work at a time: it refuses a second thread.
typst holds on to what it laid out for ten documents, 0.06 MB a line, and cannot be stopped; so a
receipt of many lines is set by a process of its own, which gives way to gates, ends in time, and
takes its memory with it. Run as a program, this file is that process, and imports nothing of ours.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Literal

import pylopdf_fonts_zh_cn
import typst

DOCUMENTS = Path(__file__).parent / "documents"
TEXT_MAX = 60_000  # letters of a document's data; a sign of 70 rules has 15,000
LINES_HERE_MAX = 60
LINES_MAX = 10_000  # a year under the real tariffs has fewer than 5,000
SECONDS_MAX = 20
PICTURE_PPI = 60
Form = Literal["pdf", "png"]
APART_MAX = 2
_here, _apart = threading.Lock(), threading.BoundedSemaphore(APART_MAX)


class ReceiptTooLong(Exception):
    """More than LINES_MAX lines, or not set within SECONDS_MAX."""


class DocumentTooLong(Exception):
    """More than TEXT_MAX letters."""


class PrinterBusy(Exception):
    """This process has APART_MAX long receipts being set. Nobody waits: threads that wait answer no gate."""


@dataclass(frozen=True, slots=True)
class PrintJob:
    """text: the template's data as JSON. line_count: of the fee. dated_at: the document's date."""

    text: str
    line_count: int
    dated_at: datetime


def print_document(template: str, text: str, *, dated_at: datetime) -> bytes:
    """The PDF of a short document. template: its name in documents/; text: the data as JSON.

    :raises DocumentTooLong: no sheet of paper holds it
    """
    return _set_here(template, text, dated_at, "pdf")


def picture_document(template: str, text: str, *, dated_at: datetime) -> bytes:
    """The first page of a short document as a PNG, for a screen.

    :raises DocumentTooLong: as print_document
    """
    return _set_here(template, text, dated_at, "png")


def _set_here(template: str, text: str, dated_at: datetime, form: Form) -> bytes:
    if len(text) > TEXT_MAX:
        raise DocumentTooLong
    with _here:
        return _compile(template, text, int(dated_at.timestamp()), form)


def print_receipt(job: PrintJob) -> bytes:
    """The PDF of a receipt.

    :raises ReceiptTooLong: too many lines, or too slow
    :raises PrinterBusy: a long receipt, while as many as may be are being set
    """
    if job.line_count > LINES_MAX:
        raise ReceiptTooLong
    dated_s = int(job.dated_at.timestamp())
    if job.line_count <= LINES_HERE_MAX:
        with _here:
            return _compile("receipt", job.text, dated_s)
    if not _apart.acquire(blocking=False):
        raise PrinterBusy
    try:
        return _compile_apart(job.text, dated_s)
    finally:
        _apart.release()


def _compile_apart(text: str, dated_s: int) -> bytes:
    try:
        # -I and an empty environment: it has no use for our keys.
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-I", __file__, str(dated_s)], input=text.encode(), capture_output=True,
            timeout=SECONDS_MAX, env={}, check=True)
    except subprocess.TimeoutExpired:
        raise ReceiptTooLong from None
    return done.stdout


def _compile(template: str, text: str, dated_s: int, form: Form = "pdf") -> bytes:
    made = _compiler(template).compile(
        format=form, ppi=PICTURE_PPI if form == "png" else None, sys_inputs={"data": text}, timestamp=dated_s)
    first = made[0] if isinstance(made, list) else made
    assert isinstance(first, bytes)
    return first


@cache
def _compiler(template: str) -> typst.Compiler:
    return typst.Compiler(
        DOCUMENTS / f"{template}.typ", root=DOCUMENTS, font_paths=_fonts(), ignore_system_fonts=True)


@cache
def _fonts() -> typst.Fonts:
    """The system's are left alone: a document looks the same on every machine."""
    return typst.Fonts(include_system_fonts=False, font_paths=[pylopdf_fonts_zh_cn.sans_path().parent])


if __name__ == "__main__":
    os.nice(10)
    sys.stdout.buffer.write(_compile("receipt", sys.stdin.buffer.read().decode(), int(sys.argv[1])))
