"""Sets a receipt as a PDF, with typst.

The template reads its data as JSON and nothing else: no text of ours becomes markup, no file is
read but the template and the fonts, nothing is fetched. The same receipt gives the same bytes.

A compiler is kept in each process, and set to work by one thread at a time: it refuses a second.
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

import pylopdf_fonts_zh_cn
import typst

TEMPLATE = Path(__file__).parent / "documents" / "receipt.typ"
LINES_HERE_MAX = 60
LINES_MAX = 10_000  # a year under the real tariffs has fewer than 5,000
SECONDS_MAX = 20
APART_MAX = 2
_here, _apart = threading.Lock(), threading.BoundedSemaphore(APART_MAX)


class ReceiptTooLong(Exception):
    """More than LINES_MAX lines, or not set within SECONDS_MAX."""


class PrinterBusy(Exception):
    """This process has APART_MAX long receipts being set. Nobody waits: threads that wait answer no gate."""


@dataclass(frozen=True, slots=True)
class PrintJob:
    """text: the template's data as JSON. line_count: of the fee. dated_at: the document's date."""

    text: str
    line_count: int
    dated_at: datetime


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
            return _compile(job.text, dated_s)
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


def _compile(text: str, dated_s: int) -> bytes:
    made = _compiler().compile(format="pdf", sys_inputs={"receipt": text}, timestamp=dated_s)
    assert isinstance(made, bytes)
    return made


@cache
def _compiler() -> typst.Compiler:
    """The system's fonts are left alone: a receipt looks the same on every machine."""
    fonts = typst.Fonts(include_system_fonts=False, font_paths=[pylopdf_fonts_zh_cn.sans_path().parent])
    return typst.Compiler(TEMPLATE, root=TEMPLATE.parent, font_paths=fonts, ignore_system_fonts=True)


if __name__ == "__main__":
    os.nice(10)
    sys.stdout.buffer.write(_compile(sys.stdin.buffer.read().decode(), int(sys.argv[1])))
