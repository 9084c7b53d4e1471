"""The shapes of visits whose exit was missed, read strictly."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from parking.web.contract import Answer, Digits, FenCount, InstantText, Said, SessionRow, Strict, UuidText
from parking.web.money_contract import LotNumber, none_for_empty
from parking.web.tariff_contract import NoteText, WhyText


class GhostsQuery(Strict):
    lot: LotNumber | None = None
    cursor: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    limit: Annotated[Digits, Field(ge=1, le=20)] = 10


class GhostsForm(GhostsQuery):
    """The same from a page's form."""

    lot: Annotated[LotNumber | None, BeforeValidator(none_for_empty)] = None


class ConclusionRequest(Strict):
    """left: with left_at, or with the claim_id of what a driver said. other_vehicle: with the reading that was wrong,
    the entry of this visit or the next one, and the right plate where it is known. waive: alone.
    """

    id: UuidText
    way: Literal["left", "other_vehicle", "waive"]
    why: WhyText
    left_at: InstantText | None = None
    claim_id: UuidText | None = None
    reading: Literal["entry", "next"] | None = None
    plate: Annotated[str, Field(min_length=1, max_length=64)] | None = None

    @model_validator(mode="after")
    def _says_what_its_way_needs(self) -> ConclusionRequest:
        if (self.way == "left") != ((self.left_at is None) != (self.claim_id is None)):
            raise ValueError("left_at or claim_id, for the way `left` alone")
        if (self.way == "other_vehicle") != (self.reading is not None):
            raise ValueError("reading, for the way `other_vehicle` alone")
        if self.way != "left" and (self.left_at is not None or self.claim_id is not None):
            raise ValueError("left_at or claim_id, for the way `left` alone")
        if self.plate is not None and self.reading is None:
            raise ValueError("plate, for the way `other_vehicle` alone")
        return self


class HereAnswer(Answer):
    """What was told of the vehicle at the lot. plate_confidence: null where no camera said one.

    picture: the SHA-256 of the one that the attendant took who lifted the barrier, kept at the lane.
    """

    at: str
    what: str
    gate: str | None
    direction: Literal["entry", "exit"] | None
    opens: bool | None
    says: Said | None
    picture: str | None
    has_code: bool
    has_plate: bool
    plate_confidence: float | None


class LaterAnswer(Answer):
    """A later entry of the vehicle; all but the time is null at a car park of another operator."""

    at: str
    lot_id: int | None
    lot_name: Said | None
    gate: str | None
    parking_session_id: str | None
    state: Literal["open", "suspended", "closed", "voided"] | None
    has_code: bool
    has_plate: bool
    plate_confidence: float | None


class ClaimAnswer(Answer):
    """fits: nothing that was seen speaks against it, so it can be accepted as it is."""

    id: str
    left_at: str
    note: str
    claimed_at: str
    fits: bool


class ConclusionAnswer(Answer):
    id: str
    parking_session_id: str
    way: Literal["left", "other_vehicle", "waive"]
    left_at: str | None
    reading: Literal["entry", "next"] | None
    claim_id: str | None
    why: str
    settled_by: str
    settled_at: str


class GhostAnswer(SessionRow):
    """It left at some time from here_until on, and before gone_by where anything shows that. Either fee is what the
    visit would have cost had it ended then; null where nothing can be priced.
    """

    paid_fen: FenCount
    inside_minutes: int
    here_until: str
    gone_by: str | None
    fee_here_fen: FenCount | None
    fee_gone_fen: FenCount | None
    is_next_ours: bool
    here: list[HereAnswer]
    later: list[LaterAnswer]
    claims: list[ClaimAnswer]
    settlements: list[ConclusionAnswer]


class GhostsAnswer(Answer):
    items: list[GhostAnswer]
    next_cursor: str | None


class ClaimRequest(Strict):
    id: UuidText
    left_at: InstantText
    note: NoteText = ""


class OwnClaimAnswer(Answer):
    id: str
    left_at: str
    note: str
    claimed_at: str
    is_accepted: bool


class CheckAnswer(Answer):
    """A visit whose exit was missed, as its driver may know it. outcome: what became of it.

    is_visible: whether it is still among the driver's; left_at: when it ended, once that is settled or found.
    """

    lot_name: Said
    is_visible: bool
    outcome: Literal[
        "being_checked", "settled", "waived", "other_vehicle", "exit_found", "reopened"]
    left_at: str | None
    entered_at: str
    here_until: str
    gone_by: str | None
    flags: list[str]
    claims: list[OwnClaimAnswer]
