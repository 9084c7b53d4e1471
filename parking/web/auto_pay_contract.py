"""The shapes of auto-pay on the wire, read strictly."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from parking.core.auto_pay import CEILING_DEFAULT_FEN, CEILING_MAX_FEN
from parking.core.clock import format_instant
from parking.core.identifier import format_lot_id
from parking.services.agree import Offer
from parking.services.recall import Recalled
from parking.store.agreements import StoredAgreement
from parking.web.contract import Answer, FenCount, Said, Strict, UuidText

MeansWord = Literal["alipay", "wechat_pay", "wallet"]
Ceiling = Annotated[int, Field(ge=1, le=CEILING_MAX_FEN, description="fen a stay")]


class AutoPayRequest(Strict):
    """plate: one that you proved. ceiling_fen: what is more than this for a stay is not deducted."""

    id: UuidText
    plate: Annotated[str, Field(min_length=1, max_length=64)]
    operator_id: UuidText
    means: MeansWord
    ceiling_fen: Ceiling = CEILING_DEFAULT_FEN


class CeilingRequest(Strict):
    ceiling_fen: Ceiling


class AutoPayAgreementAnswer(Answer):
    """state: asked until it is signed at `sign_at`. service: what WeChat last said of the plate; None: nothing yet.

    refused_why: why the last fee that was not deducted was not; ended_why: by_driver, by_channel, not_signed, released.
    """

    id: str
    plate: str | None
    operator_id: str
    operator: str
    means: MeansWord
    state: Literal["asked", "active", "ended"]
    ceiling_fen: FenCount
    sign_at: str | None
    service: Literal["asked", "normal", "blocked"] | None
    asked_at: str
    signed_at: str | None
    ended_at: str | None
    ended_why: str | None
    refused_at: str | None
    refused_why: Literal["irregular", "above_ceiling", "service_closed", "unpaid_before", "wallet_too_low"] | None


class AutoPayOfferAnswer(Answer):
    operator_id: str
    operator: str
    means: list[MeansWord]


class DeductionAnswer(Answer):
    """state: unpaid ones are to be paid by hand (`POST /v1/payments`), and bar the next."""

    id: str
    parking_session_id: str
    lot_name: Said
    asked_at: str
    means: MeansWord
    amount_fen: FenCount
    refunded_fen: FenCount
    due_fen: FenCount
    state: Literal["under_way", "deducted", "paid_otherwise", "unpaid"]
    refused_why: str | None


class AutoPayAnswer(Answer):
    """is_barred: an earlier deduction is unpaid, so the next fee is not deducted."""

    agreements: list[AutoPayAgreementAnswer]
    offers: list[AutoPayOfferAnswer]
    deductions: list[DeductionAnswer]
    is_barred: bool


def agreement_answer(
    found: StoredAgreement, *, plate: str | None, operator: str, sign_at: str
) -> dict[str, object]:
    of = found.agreement
    return {
        "id": str(of.agreement_id), "plate": plate, "operator_id": str(of.operator_id), "operator": operator,
        "means": of.means, "state": found.state, "ceiling_fen": of.ceiling_fen, "sign_at": sign_at or None,
        "service": of.service, "asked_at": format_instant(found.asked_at),
        "signed_at": format_instant(found.signed_at) if found.signed_at else None,
        "ended_at": format_instant(found.ended_at) if found.ended_at else None, "ended_why": found.ended_why,
        "refused_at": format_instant(found.refused_at) if found.refused_at else None,
        "refused_why": found.refused_why,
    }


def offer_answer(offer: Offer) -> dict[str, object]:
    return {"operator_id": str(offer.operator_id), "operator": offer.name, "means": list(offer.means)}


def deduction_answer(each: Recalled) -> dict[str, object]:
    return {
        "id": format_lot_id(each.lot_id, each.payment_id),
        "parking_session_id": format_lot_id(each.lot_id, each.parking_session_id), "lot_name": each.lot_name,
        "asked_at": format_instant(each.asked_at, each.zone), "means": each.means, "amount_fen": each.amount_fen,
        "refunded_fen": each.refunded_fen, "due_fen": each.due_fen, "state": each.state,
        "refused_why": each.refused_why,
    }
