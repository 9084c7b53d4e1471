"""What a provider of invoices is to us: the calls we make, and how each can fail.

A provider carries invoices to the tax office's platform, or a treasury's receipts to its own. An adapter stands in
`parking/adapters`; one contract test holds for every one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from parking.core.invoice import Kind, Line, Title

Format = Literal["pdf", "ofd", "xml"]
FORMATS: tuple[Format, ...] = ("pdf", "ofd", "xml")
State = Literal["unknown", "working", "issued", "refused"]
RedReason = Literal["allowance", "ended"]  # part of a price goes back (销售折让); all of it does (服务中止)
DOCUMENT_BYTES_MAX = 4 * 1024 * 1024


class InvoicingUnavailable(Exception):
    """No answer, or one that says "later": the same call may be made again."""


class InvoicingRefused(Exception):
    """The provider understood, and will not; `reason` is its own word. Nothing was issued."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Seller:
    name: str
    taxpayer_id: str


@dataclass(frozen=True, slots=True)
class InvoiceOrder:
    """An invoice that is to be issued. request_no: ours, of 34 letters and digits; it names one for ever.

    red_of: the number of the invoice that this one takes back, in part or in whole; why: for what reason.
    Amounts are positive on either.
    """

    request_no: str
    kind: Kind
    seller: Seller
    buyer: Title
    lines: tuple[Line, ...]
    red_of: str = ""
    why: RedReason | None = None

    @property
    def gross_fen(self) -> int:
        return sum(line.gross_fen for line in self.lines)

    @property
    def net_fen(self) -> int:
        return sum(line.net_fen for line in self.lines)

    @property
    def tax_fen(self) -> int:
        return sum(line.tax_fen for line in self.lines)


@dataclass(frozen=True, slots=True)
class Issued:
    """What the provider says of a request. number, issued_at, formats: once it is issued; reason: where it refused."""

    request_no: str
    state: State
    number: str = ""
    issued_at: datetime | None = None
    reason: str = ""
    formats: tuple[Format, ...] = ()


class InvoiceProvider(Protocol):
    """Calls raise InvoicingUnavailable or InvoicingRefused; each can be repeated."""

    def issue(self, order: InvoiceOrder, *, now: datetime) -> Issued:
        """Have an invoice issued, or a red one. The same request again is the same invoice, and its answer how that
        stands; under the same number another one is refused.
        """

    def query(self, request_no: str, *, now: datetime) -> Issued:
        """The provider's truth about a request; `unknown` if it never heard of it."""

    def fetch_document(self, request_no: str, form: Format, *, now: datetime) -> bytes:
        """An issued invoice as a file, as the provider makes it.

        :raises InvoicingRefused: it is not issued, or there is none of this form
        """
