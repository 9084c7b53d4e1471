"""The shapes of tariff versions, drafts, proposals and comparisons on the wire, read strictly."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from parking.core.clock import format_instant
from parking.core.json_text import check_text
from parking.core.lint import finding_answer, lint
from parking.services.compare import Compared, Named
from parking.services.draft import is_short_notice
from parking.store.tariff_drafts import AssignmentProposal, TariffDraft
from parking.store.tariffs import PublishedVersion
from parking.web.contract import (
    Answer,
    DateText,
    Digits,
    FenCount,
    InstantText,
    Said,
    Strict,
    TariffAnswer,
    UuidText,
    VehicleRequest,
)

DEPTH_MAX = 40  # of a body that holds a tariff
NOTE_MAX = 500


def _holdable(text: str) -> str:
    check_text(text)
    return text


TariffData = Annotated[dict[str, Any], WithJsonSchema({
    "type": "object", "description": "a tariff as data: docs/tariffs.md"})]
CodeText = Annotated[str, Field(min_length=3, max_length=64, pattern=r"^[A-Z0-9-]+$")]
NoteText = Annotated[str, Field(max_length=NOTE_MAX), AfterValidator(_holdable)]
WhyText = Annotated[str, Field(min_length=1, max_length=NOTE_MAX), AfterValidator(_holdable)]
Revision = Annotated[int, Field(ge=1, le=2**31 - 1)]
HashText = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
State = Literal["draft", "proposed", "approved", "rejected", "withdrawn"]


class VersionRow(Answer):
    """state: `coming` is published and not in force yet. until: when the next one takes its place."""

    version: int
    state: Literal["past", "in_force", "coming"]
    in_force_from: str
    until: str | None
    published_at: str
    hash: str


class TariffRow(Answer):
    """lots: which charge by it now."""

    code: str
    name: dict[str, str]
    versions: list[VersionRow]
    lots: list[int]


class TariffsAnswer(Answer):
    items: list[TariffRow]


class VersionAnswer(VersionRow):
    code: str
    tariff: TariffData


class DraftRequest(Strict):
    """id: made by the caller; the same id with the same draft is the same draft."""

    id: UuidText
    tariff: TariffData
    note: NoteText = ""


class DraftChange(Strict):
    """revision: the one that the change was made to."""

    revision: Revision
    tariff: TariffData
    note: NoteText = ""


class DraftsQuery(Strict):
    state: State | None = None
    code: CodeText | None = None
    cursor: UuidText | None = None
    limit: Annotated[Digits, Field(ge=1, le=100)] = 20


class ProposeRequest(Strict):
    revision: Revision
    in_force_from: InstantText


class ApproveRequest(Strict):
    """revision and hash: of what was looked at; nothing else is published."""

    revision: Revision
    hash: HashText


class RejectRequest(Strict):
    revision: Revision
    why: WhyText


class WithdrawRequest(Strict):
    revision: Revision


class DraftRow(Answer):
    """Persons are ids of staff. version: what it was published as. is_short_notice: proposed to begin so soon that a
    lane that is cut off may hear of it late (docs/tariff-versions.md)."""

    id: str
    code: str
    state: State
    revision: int
    hash: str
    note: str
    written_by: str
    created_at: str
    changed_at: str
    in_force_from: str | None
    is_short_notice: bool
    proposed_by: str | None
    proposed_at: str | None
    decided_by: str | None
    decided_at: str | None
    why: str | None
    version: int | None


class DraftAnswer(DraftRow):
    tariff: TariffData


class DraftsAnswer(Answer):
    items: list[DraftRow]
    next_cursor: str | None


class Ref(Strict):
    """One of: a version of a tariff of yours (the one in force if none is named), a draft, a tariff as data."""

    code: CodeText | None = None
    version: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    draft_id: UuidText | None = None
    tariff: TariffData | None = None

    @model_validator(mode="after")
    def _names_one(self) -> Ref:
        if sum(each is not None for each in (self.code, self.draft_id, self.tariff)) != 1:
            raise ValueError("code, draft_id or tariff: one of them")
        if self.version is not None and self.code is None:
            raise ValueError("version goes with code")
        return self


class ComparisonRequest(Strict):
    """day: from which the weekday, the night, the weekend and the holiday are looked for; today if none is given."""

    old: Ref | None = None
    new: Ref
    day: DateText | None = None
    size: Literal["small", "large"] = "small"


class PointAnswer(Answer):
    """old_fen: null without an old tariff."""

    minutes: int
    old_fen: FenCount | None
    new_fen: FenCount


class StartAnswer(Answer):
    """points: where the old or the new price becomes another. is_exact: no change is left out, or told a few minutes
    late. usual: at usual lengths of a stay."""

    name: Literal["weekday", "night", "weekend", "holiday"]
    at: str
    is_exact: bool
    points: list[PointAnswer]
    usual: list[PointAnswer]


class PriceDifferenceAnswer(Answer):
    """For stays of `minutes` up to `until_minutes` (exclusive), alike from each of the starts."""

    starts: list[str]
    minutes: int
    until_minutes: int
    old_fen: FenCount
    new_fen: FenCount


class TariffChangeAnswer(Answer):
    """path: in the tariff as data. old and new: the values; null for what was added or is gone."""

    path: str
    kind: Literal["added", "removed", "changed"]
    old: Any
    new: Any
    where: Said


class StayAnswer(Answer):
    """A stay as POST /v1/quotes takes it, and what it costs there."""

    entered_at: str
    left_at: str
    vehicle: VehicleRequest
    context: dict[str, Any]
    total_fen: FenCount


class LintAnswer(Answer):
    """What the lint found in a tariff (docs/tariffs.md); `wrong` where it is surely a mistake.

    example: a stay that shows it. compared: what it is told beside: another stay, or the parts that it is left and
    entered again in. params: whole fen and counts that the words name and the stays do not hold.
    """

    rule: str
    level: Literal["wrong", "look"]
    path: str
    params: dict[str, int]
    example: StayAnswer
    compared: list[StayAnswer]
    says: Said


class LintsAnswer(Answer):
    """version: 0 for a tariff that is not published. findings: what is wrong first."""

    tariff: TariffAnswer
    findings: list[LintAnswer]


class ComparisonAnswer(Answer):
    """version: 0 for a tariff that is not published. largest: of all starts, the largest first."""

    old: TariffAnswer | None
    new: TariffAnswer
    starts: list[StartAnswer]
    largest: list[PriceDifferenceAnswer]
    changes: list[TariffChangeAnswer]
    findings: list[LintAnswer]


class AssignmentRequest(Strict):
    """id: made by the caller; the same id with the same proposal is the same proposal."""

    id: UuidText
    lot_id: Annotated[int, Field(ge=1, le=65_535)]
    code: CodeText
    assigned_from: InstantText
    assigned_to: InstantText | None = None
    note: NoteText = ""

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> AssignmentRequest:
        if self.assigned_to is not None and self.assigned_to <= self.assigned_from:
            raise ValueError("assigned_to lies after assigned_from")
        return self


class WhyRequest(Strict):
    why: WhyText


class ProposalAnswer(Answer):
    id: str
    lot_id: int
    code: str
    assigned_from: str
    assigned_to: str | None
    note: str
    state: Literal["proposed", "approved", "rejected", "withdrawn"]
    proposed_by: str
    proposed_at: str
    decided_by: str | None
    decided_at: str | None
    why: str | None


class AssignedAnswer(Answer):
    lot_id: int
    code: str
    assigned_from: str
    assigned_to: str | None


class AssignmentsQuery(Strict):
    state: Literal["proposed", "approved", "rejected", "withdrawn"] | None = None


class AssignmentsAnswer(Answer):
    """assigned: what holds and will hold; of assignments of a lot that overlap, the one that begins last counts."""

    assigned: list[AssignedAnswer]
    proposals: list[ProposalAnswer]


def version_row(each: PublishedVersion, *, now: datetime) -> dict[str, Any]:
    return {
        "version": each.version, "state": version_state(each, now=now), "in_force_from": _at(each.in_force_from),
        "until": _at(each.until), "published_at": _at(each.published_at), "hash": each.tariff.hash,
    }


def version_state(each: PublishedVersion, *, now: datetime) -> str:
    if each.in_force_from > now:
        return "coming"
    return "in_force" if each.until is None or each.until > now else "past"


def draft_row(draft: TariffDraft, *, now: datetime) -> dict[str, Any]:
    asked = draft.in_force_from if draft.state == "proposed" else None
    return {
        "id": str(draft.draft_id), "code": draft.code, "state": draft.state, "revision": draft.revision,
        "hash": draft.body_hash, "note": draft.note, "written_by": str(draft.written_by),
        "created_at": _at(draft.created_at), "changed_at": _at(draft.changed_at),
        "in_force_from": _at(draft.in_force_from),
        "is_short_notice": asked is not None and is_short_notice(asked, now=now),
        "proposed_by": _id(draft.proposed_by), "proposed_at": _at(draft.proposed_at),
        "decided_by": _id(draft.decided_by), "decided_at": _at(draft.decided_at), "why": draft.why,
        "version": draft.version,
    }


def proposal_answer(found: AssignmentProposal) -> dict[str, Any]:
    return {
        "id": str(found.proposal_id), "lot_id": found.lot_id, "code": found.code,
        "assigned_from": _at(found.assigned_from), "assigned_to": _at(found.assigned_to), "note": found.note,
        "state": found.state, "proposed_by": str(found.proposed_by), "proposed_at": _at(found.proposed_at),
        "decided_by": _id(found.decided_by), "decided_at": _at(found.decided_at), "why": found.why,
    }


def comparison_answer(made: Compared) -> dict[str, Any]:
    return {
        "old": made.old and _named(made.old), "new": _named(made.new),
        "starts": [
            {"name": side.start.name, "at": format_instant(side.start.at, made.new.tariff.zone),
             "is_exact": side.is_exact, "points": _points(side.points), "usual": _points(side.usual)}
            for side in made.prices.sides],
        "largest": [
            {"starts": list(each.starts), "minutes": each.minutes, "until_minutes": each.until, "old_fen": each.old_fen,
             "new_fen": each.new_fen} for each in made.prices.largest],
        "changes": [
            {"path": each.path, "kind": each.kind, "old": each.old, "new": each.new, "where": each.where}
            for each in made.changes],
        "findings": [finding_answer(each) for each in lint(made.new.tariff)],
    }


def lints_answer(named: Named) -> dict[str, Any]:
    return {"tariff": _named(named), "findings": [finding_answer(each) for each in lint(named.tariff)]}


def _points(points: Any) -> list[dict[str, Any]]:
    return [{"minutes": minutes, "old_fen": old, "new_fen": new} for minutes, old, new in points]


def _named(named: Named) -> dict[str, Any]:
    return {"code": named.tariff.code, "version": named.version, "hash": named.tariff.hash}


def _at(instant: datetime | None) -> str | None:
    return None if instant is None else format_instant(instant)


def _id(identifier: UUID | None) -> str | None:
    return None if identifier is None else str(identifier)
