"""Exceptions become answers here and nowhere else: problem+json for programs, a page for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from flask import Flask, Response, make_response, render_template, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from parking.core.arrears import WrongStep
from parking.core.calendar import CalendarNotConfirmed
from parking.core.channel import ChannelRefused, ChannelUnavailable
from parking.core.clock import format_instant
from parking.core.context import UnknownContext
from parking.core.drawer import BadCount, GivenTooLittle, GivenTooMuch
from parking.core.identifier import format_lot_id
from parking.core.invoice import BadTaxRule, BadTitle
from parking.core.json_text import BadJson
from parking.core.lot_code import BadLotCode
from parking.core.price import StayTooLong
from parking.core.statement import BadStatement
from parking.core.tariff import BadTariff
from parking.core.wallet import BadTopUp, WalletTooFull
from parking.core.webhook import BadAddress
from parking.services.advance import DeedIdReused, NoCase
from parking.services.agree import AgreementIdReused, AgreementStands, NoAgreement, NotProved
from parking.services.announce import NoTariff
from parking.services.assign import NoLot, NoProposal, PeriodTaken, TariffNotInForce, ZoneDiffers
from parking.services.attest import NotCharged
from parking.services.bill_merchant import MerchantPaymentIdReused
from parking.services.bind import CompanionEnded, KeyOfAnother, TooManyCredentials
from parking.services.chase import CaseThere, NothingUnpaid
from parking.services.close_day import NotToBeClosed
from parking.services.close_shift import NoShift, NothingToTake, NotYourShift, SecondPersonTakes, ShiftOver
from parking.services.conclude import (
    ConclusionIdReused,
    NoClaim,
    NoReading,
    NotSuspended,
    OutsideEvidence,
    SameVehicle,
)
from parking.services.connect import NotConnected
from parking.services.contest import TooLate
from parking.services.designate import NoIssuer
from parking.services.draft import DraftChanged, DraftIdReused, NoDraft
from parking.services.enlist import (
    BadDeskCode,
    EndsBeforeItBegins,
    MerchantIdReused,
    NoDesk,
    NoMerchant,
    TariffTakesNone,
)
from parking.services.entitle import NoTitle, TitleIdReused, TooManyTitles
from parking.services.explain import DayClosed, ExplainedBefore, ExplanationIdReused, NoDifference, NoExplanation
from parking.services.four_eyes import AlreadyDecided, SecondPersonNeeded
from parking.services.hand_out import CouponNotGood, NoSheet, SheetIdReused
from parking.services.import_funds import FundsOff, FundsOn
from parking.services.invoice import (
    InvoicedMeanwhile,
    InvoiceIdReused,
    InvoiceSumChanged,
    NoInvoice,
    NothingToInvoice,
    NotRefused,
)
from parking.services.issue import NotYourVehicle
from parking.services.keep_file import StatementBeingRead, StatementDiffers
from parking.services.open_shift import DrawerDiffers, DrawerInUse, NoDrawer, ReasonNeeded, ShiftIdReused
from parking.services.owe import NoVisit
from parking.services.pair import BadPairingCode
from parking.services.pay import NothingDue, PaymentIdReused
from parking.services.pay_out import DrawerTooLow, NoPayout, PaidOutBefore
from parking.services.publish import CodeOfAnother, StartsInThePast, StartTaken
from parking.services.quote import NotInForce
from parking.services.receive import NoReceipt, ReceiptIdReused, ReceiptNotYet
from parking.services.reconcile import NoAccount
from parking.services.remit import CannotRemit
from parking.services.retry import NoMessage
from parking.services.scan import IdReused, SequenceTooFar, SequenceUsed
from parking.services.settle import NoSettlement, NotNextPeriod, PeriodNotOver, SettlementIdReused, SettlementWaits
from parking.services.show import BadCursor
from parking.services.spend import MoreIsDue, WalletTooLow
from parking.services.subscribe import EndpointIdReused, NoDelivery, NoEndpoint, NothingToTell, TooManyEndpoints
from parking.services.take_cash import AmountChanged
from parking.services.take_other import NoRefund, NumberUsed
from parking.services.testify import ClaimIdReused, TooManyClaims
from parking.services.top_up import TopUpIdReused
from parking.services.unlock import NoKey
from parking.services.validate import (
    BudgetSpent,
    MerchantEnded,
    MoreThanAllowed,
    NotPossible,
    NoValidation,
    TooLateToUndo,
    ValidationIdReused,
)
from parking.services.waive import MoreThanCharged, NoWaiver, WaiverIdReused
from parking.services.withdraw import MoreThanHeld, WithdrawalIdReused
from parking.store.database import DatabaseUnavailable
from parking.web.printer import DocumentTooLong, PrinterBusy, ReceiptTooLong

RETRY_SECONDS = 2
REFUSED_BYTES_READ_MAX = 1024 * 1024
log = structlog.get_logger("parking.web")


@dataclass
class Problem(Exception):
    """An answer that is no success (RFC 9457). reason: a published word; errors: (field, message)."""

    status: int
    reason: str
    detail: str
    errors: Sequence[tuple[str, str]] = ()
    headers: tuple[tuple[str, str], ...] = ()
    extra: tuple[tuple[str, Any], ...] = ()


def register(app: Flask) -> None:
    app.register_error_handler(Problem, _answer)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(Exception, _answer_unexpected)
    for kind, make in _KNOWN.items():
        app.register_error_handler(kind, _answering(make))


def wants_page() -> bool:
    """Programs call /v1 and get JSON; people get a page."""
    return not request.path.startswith("/v1/") and "text/html" in request.headers.get("Accept", "")


def _answering(make: Any) -> Any:
    return lambda error: _answer(make(error))


def _answer(problem: Problem) -> Response:
    if wants_page():
        page = make_response(render_template("problem.html", problem=problem), problem.status)
        page.headers.extend(dict(problem.headers))
        return page
    body: dict[str, Any] = {
        "type": f"urn:parking:problem:{problem.reason}", "title": problem.reason.replace("_", " "),
        "status": problem.status, "reason": problem.reason, "detail": problem.detail, **dict(problem.extra),
    }
    if problem.errors:
        body["errors"] = [{"field": field, "message": message} for field, message in problem.errors]
    answer = Response(
        json.dumps(body, ensure_ascii=False), status=problem.status, content_type="application/problem+json"
    )
    answer.headers.extend(dict(problem.headers))
    return answer


def _answer_http(error: HTTPException) -> Response:
    status = error.code or 500
    reason = {
        400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "body_too_large",
        414: "url_too_long", 415: "not_json", 431: "headers_too_large",
    }.get(status, "http_error")
    headers = tuple(
        (name, value) for name, value in error.get_headers() if name in ("Allow", "Retry-After", "Location")
    )
    if 300 <= status < 400:
        return make_response(error.get_response())
    if status == 413:
        _read_the_rest()
    return _answer(Problem(status, reason, error.description or reason, headers=headers))


def _read_the_rest() -> None:
    """Take a body that is somewhat too large off the line: closed unread, the line loses our answer too."""
    left = REFUSED_BYTES_READ_MAX
    while left > 0 and (part := request.environ["wsgi.input"].read(min(left, 65536))):
        left -= len(part)


def _answer_unexpected(error: Exception) -> Response:
    """Name what went wrong without its text: messages of drivers hold plates."""
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    where = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else None
    log.error("unexpected", error=type(error).__name__, sqlstate=state, where=where)
    if isinstance(error, SQLAlchemyError):
        log.error("database_refused", constraint=_constraint(error))
    return _answer(Problem(500, "internal_error", "Something went wrong here; it has been recorded."))


def _constraint(error: SQLAlchemyError) -> str | None:
    origin = getattr(error, "orig", None)
    name = getattr(getattr(origin, "diag", None), "constraint_name", None)
    return name or getattr(origin, "sqlite_errorname", None)


def _unavailable(_: Exception) -> Problem:
    return Problem(
        503, "try_again", "The service cannot write right now; nothing was recorded.",
        headers=(("Retry-After", str(RETRY_SECONDS)),),
    )


def _channel_unavailable(_: Exception) -> Problem:
    return Problem(
        503, "channel_unavailable", "The payment channel does not answer; ask again with the same id.",
        headers=(("Retry-After", str(RETRY_SECONDS)),),
    )


_UNPAYABLE = {
    "not_closed": "The settlement is not closed.", "nothing_to_pay": "The settlement leaves nothing to pay.",
    "no_bank_account": "Nobody has said to which bank account the operator is paid (flask parking settlements bank).",
    "no_payer": "Nobody has said from which bank account operators are paid (PAYER_HOLDER and further settings).",
}
_KNOWN: dict[type[Exception], Any] = {
    DatabaseUnavailable: _unavailable,
    ChannelUnavailable: _channel_unavailable,
    ChannelRefused: lambda error: Problem(409, "channel_refused", f"The payment channel refused: {error.reason}."),
    BadStatement: lambda error: Problem(
        400, "bad_statement", "The statement was refused whole; nothing was kept.",
        errors=[(f"line {error.row}", error.reason + (f": {error.what}" if error.what else ""))],
        extra=(("row", error.row),)),
    StatementDiffers: lambda error: Problem(
        409, "statement_differs", "This day has a statement already, and it is another file."),
    StatementBeingRead: lambda error: Problem(
        503, "statement_being_read", "Another file of this day is being read; ask again.",
        headers=(("Retry-After", str(RETRY_SECONDS)),)),
    FundsOff: lambda error: Problem(
        409, "funds_off", "Bills of this purse are not read of this day: they are switched on first."),
    FundsOn: lambda error: Problem(409, "funds_on", "Bills of this purse are read already."),
    ReceiptIdReused: lambda error: Problem(
        409, "id_reused", "This id was used before for another receipt.", errors=[("id", "used before")]),
    ReceiptNotYet: lambda error: Problem(
        400, "day_not_begun", "This day has not begun.", errors=[("date", "not yet")]),
    NoReceipt: lambda error: Problem(404, "not_found", "There is no such receipt, or it is not yours."),
    NumberUsed: lambda error: Problem(
        409, "number_used", "This number of the channel was recorded before.", errors=[("number", "used before")]),
    NoRefund: lambda error: Problem(404, "not_found", "Nothing of this number is owed back so."),
    NoAccount: lambda error: Problem(404, "not_found", "You have no account at such a channel."),
    NotConnected: lambda error: Problem(
        409, "channel_not_connected", "The operator of this lot takes no money by this channel."),
    NotCharged: lambda error: Problem(
        409, "not_charged", "This visit has not been charged: there is a receipt once the vehicle has left."),
    ReceiptTooLong: lambda error: Problem(
        409, "receipt_too_long", "The fee has too many lines for a PDF; receipt.json holds all of them."),
    NoTariff: lambda error: Problem(
        404, "no_tariff", "This lot charges by no tariff at this time.", errors=[("at", "no tariff is in force")]),
    DocumentTooLong: lambda error: Problem(
        409, "document_too_long", "This says too much for a sheet of paper."),
    PrinterBusy: lambda error: Problem(
        503, "printer_busy", "Another long receipt is being set; ask again.",
        headers=(("Retry-After", str(RETRY_SECONDS)),)),
    BadPairingCode: lambda error: Problem(
        401, "bad_pairing_code", "This code pairs nothing: make another one at the console.",
        errors=[("pairing_code", "unknown, used or ended")]),
    NoDifference: lambda error: Problem(
        404, "not_found", "This day has no such difference now.", errors=[("number", "no difference of this day")]),
    NoExplanation: lambda error: Problem(404, "not_found", "There is no such explanation, or it is not yours."),
    ExplanationIdReused: lambda error: Problem(
        409, "id_reused", "This id was used before for another explanation.", errors=[("id", "used before")]),
    ExplainedBefore: lambda error: Problem(
        409, "explained_before", "This difference has an explanation already; take that one back first."),
    DayClosed: lambda error: Problem(
        409, "day_closed", "The day was closed upon this: it is not taken back. A later entry corrects it."),
    NotToBeClosed: lambda error: Problem(
        409, "not_to_be_closed", f"The day cannot be closed: {error}.",
        extra=(("why", error.reason), ("count", error.count))),
    NothingDue: lambda error: Problem(409, "nothing_due", "There is nothing to pay now."),
    NoIssuer: lambda error: Problem(404, "no_wallets", "Nobody issues wallets in this city, or it is not you."),
    BadTopUp: lambda error: Problem(
        400, "bad_top_up", "A top-up is between 1 and 1,000 yuan.", errors=[("amount_fen", "out of bounds")]),
    WalletTooFull: lambda error: Problem(
        409, "wallet_too_full", "A wallet holds at most 5,000 yuan; orders that can still be paid count too."),
    WalletTooLow: lambda error: Problem(409, "wallet_too_low", "The wallet holds less than is due; nothing was paid."),
    MoreIsDue: lambda error: Problem(
        409, "more_is_due", "More is due by now than was shown; nothing was paid.",
        errors=[("shown_fen", "less than is due")]),
    MoreThanHeld: lambda error: Problem(
        409, "more_than_held", "The wallet does not hold so much.", errors=[("amount_fen", "more than there is")]),
    TopUpIdReused: lambda error: Problem(
        409, "id_reused", "This id was used before for another top-up.", errors=[("id", "used before")]),
    WithdrawalIdReused: lambda error: Problem(
        409, "id_reused", "This id was used before for another amount.", errors=[("id", "used before")]),
    NoAgreement: lambda error: Problem(404, "not_found", "There is no such agreement, or it is not yours."),
    AgreementIdReused: lambda error: Problem(
        409, "id_reused", "This id was used before for another agreement.", errors=[("id", "used before")]),
    AgreementStands: lambda error: Problem(
        409, "agreement_stands", "Auto-pay is on for this vehicle with this account already."),
    NotProved: lambda error: Problem(
        403, "not_proved", "This plate is claimed, and not proved to be yours.", errors=[("plate", "not proved")]),
    NoCase: lambda error: Problem(404, "not_found", "There is no such case, or it is not yours."),
    DeedIdReused: lambda error: Problem(
        409, "id_reused", "This id was used before for something else.", errors=[("id", "used before")]),
    CaseThere: lambda error: Problem(
        409, "case_there", "This visit has a case already.",
        extra=(("case_id", format_lot_id(error.case.lot_id, error.case.case_id)),)),
    NothingUnpaid: lambda error: Problem(409, "nothing_unpaid", "Nothing of this visit is unpaid."),
    WrongStep: lambda error: Problem(
        409, "wrong_step", f"This cannot be done: the case is {error.state}.", extra=(("state", error.state),)),
    TooLate: lambda error: Problem(409, "too_late", "The term for this is over."),
    BadTitle: lambda error: Problem(
        400, "bad_title", "Nobody can be invoiced by this title.", errors=[(error.field, str(error))]),
    BadTaxRule: lambda error: Problem(
        400, "bad_tax_rule", "A lot cannot be invoiced like this.", errors=[("rate", str(error))]),
    NoTitle: lambda error: Problem(404, "not_found", "There is no such title, or it is not yours."),
    TitleIdReused: lambda error: Problem(
        409, "id_reused", "This id was used before for another title.", errors=[("id", "used before")]),
    TooManyTitles: lambda error: Problem(
        409, "too_many_titles", "You keep as many titles as there may be; delete one."),
    NoInvoice: lambda error: Problem(404, "not_found", "There is no such invoice, or it is not yours."),
    NothingToInvoice: lambda error: Problem(
        409, "nothing_to_invoice", "None of these visits can be invoiced now; the preview says why."),
    InvoiceIdReused: lambda error: Problem(
        409, "id_reused", "This id was used before for another request of invoices.", errors=[("id", "used before")]),
    InvoiceSumChanged: lambda error: Problem(
        409, "amount_changed", "It comes to something else than was shown: look at the preview again.",
        errors=[("gross_fen", "not what it comes to")]),
    NotRefused: lambda error: Problem(
        409, "not_refused", f"This invoice is {error.state}: only a refused one is asked for again.",
        extra=(("state", error.state),)),
    InvoicedMeanwhile: lambda error: Problem(
        409, "invoiced_meanwhile", "What it was of is on another invoice, or has gone back meanwhile."),
    NoWaiver: lambda error: Problem(404, "not_found", "There is no such waiver, or it is not yours."),
    WaiverIdReused: lambda error: Problem(
        409, "id_reused", "This id was used before for another waiver.", errors=[("id", "used before")]),
    NoSettlement: lambda error: Problem(404, "not_found", "There is no such settlement, or it is not yours."),
    SettlementIdReused: lambda error: Problem(
        409, "id_reused", "This id was used before for another settlement.", errors=[("id", "used before")]),
    SettlementWaits: lambda error: Problem(
        409, "settlement_waits", "Another settlement waits for a second person to decide."),
    PeriodNotOver: lambda error: Problem(
        409, "period_not_over", "The period's last day is not over.", errors=[("last", "not over")]),
    NotNextPeriod: lambda error: Problem(
        409, "not_next_period", f"Settlements follow one another: the next one begins on {error.first}.",
        errors=[("first", f"the next one begins on {error.first}")], extra=(("next_first", error.first.isoformat()),)),
    CannotRemit: lambda error: Problem(409, error.reason, _UNPAYABLE[error.reason]),
    NotSuspended: lambda error: Problem(
        409, "not_suspended", f"This visit is {error.state}: its exit is not missed, or no more.",
        extra=(("state", error.state),)),
    OutsideEvidence: lambda error: Problem(
        409, "outside_evidence", "The vehicle can have left between `earliest` and `latest` only.",
        errors=[("left_at", "outside what was seen")],
        extra=(("earliest", format_instant(error.earliest)), ("latest", format_instant(error.latest)))),
    NoClaim: lambda error: Problem(404, "no_claim", "No driver has said this of the visit."),
    NoReading: lambda error: Problem(
        409, "reading_not_yours", "Nothing later was read at a lot of yours.", errors=[("reading", "not yours")]),
    SameVehicle: lambda error: Problem(
        409, "same_vehicle", "This is the plate that was read.", errors=[("plate", "the one that was read")]),
    ConclusionIdReused: lambda error: Problem(
        409, "id_reused", "This id was used before for another settlement.", errors=[("id", "used before")]),
    ClaimIdReused: lambda error: Problem(
        409, "id_reused", "This id was used before for another claim.", errors=[("id", "used before")]),
    TooManyClaims: lambda error: Problem(
        409, "too_many_claims", "Five claims of a visit are enough."),
    MoreThanCharged: lambda error: Problem(
        409, "more_than_charged", "More than is left of the charge.",
        errors=[("amount_fen", str(error))], extra=(("left_fen", error.left_fen),)),
    NoDrawer: lambda error: Problem(404, "not_found", "There is no such drawer or lot, or it is not yours."),
    NoShift: lambda error: Problem(404, "not_found", "There is no such shift, or it is not yours."),
    NoVisit: lambda error: Problem(404, "not_found", "There is no such visit at this lot."),
    NoPayout: lambda error: Problem(404, "not_found", "Nothing of this id is owed back in cash here."),
    DrawerDiffers: lambda error: Problem(
        409, "id_reused", "This lot has another drawer of this number.", errors=[("number", "used before")]),
    ShiftIdReused: lambda error: Problem(
        409, "id_reused", "This id was used before for another shift.", errors=[("id", "used before")]),
    DrawerInUse: lambda error: Problem(
        409, "drawer_in_use", "A shift is open at this drawer: it is closed first.",
        extra=(("shift", format_lot_id(error.shift.lot_id, error.shift.shift_id)),)),
    BadCount: lambda error: Problem(400, "bad_count", str(error).capitalize(), errors=[("counted_fen", str(error))]),
    ReasonNeeded: lambda error: Problem(
        409, "reason_needed", "The count is not what should be there: count again, or say why.",
        errors=[("why", "needed")], extra=(("difference_fen", error.difference_fen),)),
    ShiftOver: lambda error: Problem(409, "shift_over", "This shift is closed."),
    NotYourShift: lambda error: Problem(
        403, "not_your_shift", "Somebody else's shift: who opened it takes and pays out cash in it."),
    NothingToTake: lambda error: Problem(409, "nothing_to_take", "Nothing of this shift waits to be taken over."),
    SecondPersonTakes: lambda error: Problem(
        403, "second_person_needed", "Who opened or closed the shift does not take its money over."),
    AmountChanged: lambda error: Problem(
        409, "amount_changed", "Something else is due than was shown: look the visit up again.",
        errors=[("amount_fen", "not what is due")]),
    GivenTooLittle: lambda error: Problem(
        400, "given_too_little", "Less was given than is due.", errors=[("given_fen", "less than is due")]),
    GivenTooMuch: lambda error: Problem(
        400, "given_too_much", "So much more than is due must be a slip.",
        errors=[("given_fen", "far more than is due")]),
    PaidOutBefore: lambda error: Problem(409, "paid_out_before", "This was paid out before, in another shift."),
    DrawerTooLow: lambda error: Problem(409, "drawer_too_low", "The drawer holds less than is to be paid out."),
    PaymentIdReused: lambda error: Problem(
        409, "id_reused", "This id was used before for another payment.", errors=[("id", "used before")]),
    BadLotCode: lambda error: Problem(
        400, "bad_lot_code", "This is not the code of a lot of this city.", errors=[("lot_code", str(error))]),
    NoKey: lambda error: Problem(
        503, "no_signing_key", "No key may sign now.", headers=(("Retry-After", "60"),)),
    BadJson: lambda error: Problem(400, "bad_json", str(error)),
    BadTariff: lambda error: Problem(
        400, "bad_tariff", "The tariff cannot be read.",
        errors=[(f"tariff.{path}", message) for path, message in error.errors[:20]]),
    NotInForce: lambda error: Problem(
        404, "tariff_not_in_force", "No published tariff of this code covers the entry.",
        errors=[("tariff", "not published, or not in force at entered_at")]),
    StayTooLong: lambda error: Problem(400, "bad_period", str(error), errors=[("left_at", str(error))]),
    CalendarNotConfirmed: lambda error: Problem(
        409, "calendar_not_confirmed", f"{str(error).capitalize()}, and this price depends on its holidays."),
    UnknownContext: lambda error: Problem(400, "bad_context", str(error), errors=[("context", str(error))]),
    NoMessage: lambda error: Problem(404, "not_found", "There is no such message, or it is not yours."),
    BadAddress: lambda error: Problem(
        400, "bad_address", "Messages cannot be sent to this address.", errors=[("url", str(error))]),
    NoEndpoint: lambda error: Problem(404, "not_found", "There is no such endpoint, or it is not yours."),
    NoDelivery: lambda error: Problem(
        404, "not_found", "There is no such message of this endpoint.", errors=[("message", "unknown, or forgotten")]),
    EndpointIdReused: lambda error: Problem(
        409, "id_reused", "This id was used before for another endpoint.", errors=[("id", "used before")]),
    TooManyEndpoints: lambda error: Problem(
        409, "too_many_endpoints", "There are as many endpoints as there may be; remove one."),
    NothingToTell: lambda error: Problem(409, "no_lot", "There is no lot yet that something could happen at."),
    NoDraft: lambda error: Problem(404, "not_found", "There is no such draft, or it is not yours."),
    NoProposal: lambda error: Problem(404, "not_found", "There is no such proposal, or it is not yours."),
    NoMerchant: lambda error: Problem(404, "not_found", "There is no such merchant, or it is not yours."),
    NoDesk: lambda error: Problem(404, "not_found", "This merchant has no such desk."),
    NoSheet: lambda error: Problem(404, "not_found", "There is no such sheet of coupons, or it is not yours."),
    NoValidation: lambda error: Problem(404, "not_found", "Nothing of this id was given here."),
    MerchantIdReused: lambda error: Problem(
        409, "id_reused", "This id was used before for another merchant.", errors=[("id", "used before")]),
    ValidationIdReused: lambda error: Problem(
        409, "id_reused", "This id was used before for another validation.", errors=[("id", "used before")]),
    SheetIdReused: lambda error: Problem(
        409, "id_reused", "This id was used before for another sheet of coupons.", errors=[("id", "used before")]),
    MerchantPaymentIdReused: lambda error: Problem(
        409, "id_reused", "This id was used before for another payment.", errors=[("id", "used before")]),
    TariffTakesNone: lambda error: Problem(
        409, "tariff_takes_no_validations",
        "The lot's tariff has no rule for what merchants validate: it would change no price.",
        errors=[("lot_id", "its tariff has no `validated` rule")]),
    EndsBeforeItBegins: lambda error: Problem(
        400, "bad_period", "Its time would be over before it begins.", errors=[("until_at", "not after from_at")]),
    MerchantEnded: lambda error: Problem(409, "merchant_ended", "This merchant may not validate now."),
    MoreThanAllowed: lambda error: Problem(
        409, "more_than_allowed", "More than this merchant may give at once.",
        errors=[("minutes", "or fen: more than allowed")]),
    BudgetSpent: lambda error: Problem(
        409, "budget_spent", "Not so much is left of this merchant's budget of the month."),
    NotPossible: lambda error: Problem(409, "not_possible", "This cannot be given to this plate here."),
    TooLateToUndo: lambda error: Problem(
        409, "too_late", "Ten minutes have passed, or the driver has paid or left since."),
    CouponNotGood: lambda error: Problem(
        409, "coupon_not_good", "This coupon is unknown here, was used, or has ended.",
        errors=[("coupon", "not good")]),
    BadDeskCode: lambda error: Problem(
        401, "bad_desk_code", "This pairs nothing: it is unknown, was used, or has ended."),
    NoLot: lambda error: Problem(
        404, "not_found", "There is no such lot, or it is not yours.", errors=[("lot_id", "not one of your lots")]),
    TariffNotInForce: lambda error: Problem(
        404, "tariff_not_in_force", "No tariff of yours with this code is in force then.",
        errors=[("code", "not yours, or not in force at assigned_from")]),
    DraftIdReused: lambda error: Problem(
        409, "id_reused", "This id was used before for something else.", errors=[("id", "used before")]),
    DraftChanged: lambda error: Problem(
        409, "draft_changed", "Somebody changed this since you looked; look again.",
        errors=[("revision", f"{error.revision} holds")], extra=(("revision", error.revision),)),
    AlreadyDecided: lambda error: Problem(
        409, "not_proposed", f"This is {error.state}: there is nothing to decide or to change.",
        extra=(("state", error.state),)),
    SecondPersonNeeded: lambda error: Problem(
        403, "second_person_needed", "Who proposed this cannot decide on it: a second person does."),
    CodeOfAnother: lambda error: Problem(
        409, "tariff_code_taken", "Codes of tariffs are unique in the city, and this one is another operator's.",
        errors=[("tariff.code", "another operator's")]),
    StartsInThePast: lambda error: Problem(
        409, "starts_in_the_past", "A price cannot begin in the past.", errors=[("from", "lies in the past")]),
    StartTaken: lambda error: Problem(
        409, "start_taken", "A version of this tariff begins at this very instant already.",
        errors=[("in_force_from", "taken")]),
    PeriodTaken: lambda error: Problem(
        409, "start_taken", "An assignment of this lot begins at this very instant already.",
        errors=[("assigned_from", "taken")]),
    ZoneDiffers: lambda error: Problem(
        409, "time_zone_differs", "The tariff tells time by another time zone than the lot's.",
        errors=[("code", "another time zone than the lot's")]),
    NotYourVehicle: lambda error: Problem(
        403, "not_your_vehicle", "This plate is not among your vehicles.",
        errors=[("plate", "not among your vehicles")]),
    TooManyCredentials: lambda error: Problem(
        409, "too_many_credentials", "Ten phones and papers at most are bound at a time; end one."),
    CompanionEnded: lambda error: Problem(
        403, "companion_ended", "The driver ended this companion, or their time is over."),
    KeyOfAnother: lambda error: Problem(
        409, "key_not_free", "This key is bound to somebody else, or was revoked; make a new one."),
    BadCursor: lambda error: Problem(400, "bad_cursor", str(error), errors=[("cursor", str(error))]),
    IdReused: lambda error: Problem(
        409, "id_reused", "This scan_id was used before with another body.",
        errors=[("scan_id", "used before with another body")]),
    SequenceUsed: lambda error: Problem(
        409, "sequence_used", "This number names another fact of this terminal.",
        errors=[("sequence", f"used before; the next free number is {error.next_sequence}")],
        extra=(("next_sequence", error.next_sequence),)),
    SequenceTooFar: lambda error: Problem(
        400, "bad_request", "This number is more than a million ahead of the terminal's last one.",
        errors=[("sequence", f"too far ahead; the next free number is {error.next_sequence}")],
        extra=(("next_sequence", error.next_sequence),)),
}
