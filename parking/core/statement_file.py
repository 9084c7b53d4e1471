"""What a statement's file holds: the file itself, or the member of a ZIP that its content says is the one.

A ZIP is read as it claims to be: so many members and so many bytes at most, none of them locked, and what is read of a
member is no more than it says it holds.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from parking.core.fund_bill import find_no_merchant, read_wechat_funds
from parking.core.fund_bill_alipay import read_alipay_funds
from parking.core.statement import LINE_BYTES_MAX, BadStatement
from parking.core.statement_alipay import find_seller, read_alipay_statement
from parking.core.statement_csv import find_csv_account, is_other, read_csv_statement
from parking.core.statement_wechat import find_merchant, read_statement

MEMBERS_MAX = 20
MEMBER_BYTES_MAX = 1024 * 1024 * 1024
LOOKED_AT = 12  # lines of a member
_MAGIC = b"PK\x03\x04"
# What reading a ZIP raises; NotImplementedError is zipfile's word for a packing or a lock that it does not know.
_BROKEN = (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, OSError, EOFError, ValueError)


@dataclass(frozen=True, slots=True)
class Format:
    """How a channel's file is read. column: one that its header alone has; encoding: in which that is looked for."""

    column: str
    encoding: str
    find_merchant: Callable[[Iterable[bytes]], str | None]
    read: Callable[..., Iterator[list[Any]]]


FORMATS = {
    "wechat_pay": Format("交易时间", "utf-8", find_merchant, read_statement),
    "alipay": Format("支付宝交易号", "gb18030", find_seller, read_alipay_statement),
}
CSV = Format("their_number", "utf-8", find_csv_account, read_csv_statement)
FUND_FORMATS = {
    "wechat_pay": Format("资金流水单号", "utf-8", find_no_merchant, read_wechat_funds),
    "alipay": Format("账务流水号", "gb18030", find_seller, read_alipay_funds),
}


def find_format(channel: str) -> Format | None:
    """How a channel's statement is read; None of one that writes none, as cash."""
    return FORMATS.get(channel) or (CSV if is_other(channel) else None)


@contextmanager
def opened(file: BinaryIO, form: Format) -> Iterator[Iterator[bytes]]:
    """The lines of the file, or of the member that has this format's header.

    :param file: seekable; it stays open
    :raises BadStatement: a ZIP that is broken or locked, too large, or without such a member
    """
    file.seek(0)
    if file.read(len(_MAGIC)) != _MAGIC:
        file.seek(0)
        yield bounded_lines(file)
        return
    file.seek(0)
    with ExitStack() as until_read:
        try:
            archive = until_read.enter_context(zipfile.ZipFile(file))
            member = until_read.enter_context(_member(archive, form))
        except BadStatement:
            raise
        except _BROKEN as wrong:
            raise BadStatement(1, "bad_zip", type(wrong).__name__) from None
        yield _whole(bounded_lines(member))


def bounded_lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines, of which none is read longer than a reader will take."""
    while line := file.readline(LINE_BYTES_MAX + 2):
        yield line


def _member(archive: zipfile.ZipFile, form: Format) -> BinaryIO:
    """Names say nothing here: they are GBK, in any order, and change."""
    members = [each for each in archive.infolist() if not each.is_dir()]
    if len(members) > MEMBERS_MAX:
        raise BadStatement(1, "bad_zip", f"{len(members)} members")
    for each in members:
        if each.file_size > MEMBER_BYTES_MAX:
            raise BadStatement(1, "bad_zip", f"{each.file_size} bytes")
        with archive.open(each) as looked_at:
            lines = bounded_lines(cast(BinaryIO, looked_at))
            heads = [line.decode(form.encoding, "replace") for line, _ in zip(lines, range(LOOKED_AT), strict=False)]
        if any(form.column in head.strip().split(",") for head in heads):
            return cast(BinaryIO, archive.open(each))
    raise BadStatement(1, "no_header", form.column)


def _whole(lines: Iterator[bytes]) -> Iterator[bytes]:
    """A member whose checksum is wrong is no statement, however its lines read."""
    try:
        yield from lines
    except _BROKEN as wrong:
        raise BadStatement(1, "bad_zip", type(wrong).__name__) from None
