"""The shapes that lanes and the service exchange (docs/lanes.md), read strictly, event by event."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SkipValidation, TypeAdapter, ValidationError, WithJsonSchema

from parking.core.clock import EPOCH, BadInstant, format_instant, parse_instant
from parking.core.code_wire import NONCE_BYTES
from parking.core.fact import Direction
from parking.core.journal import EVENTS_MAX, Event, Landed
from parking.core.json_text import BadJson, check_text
from parking.web.contract import (
    CLOCK_OFFSET_MS_MAX,
    SEQUENCE_MAX,
    Answer,
    Digits,
    FenCount,
    FieldError,
    GateAnswer,
    InstantText,
    Said,
    Strict,
    UuidText,
)

ERRORS_MAX = 3


def _hex_of(count: int) -> Callable[[Any], Any]:
    form = re.compile(f"[0-9a-f]{{{2 * count}}}", re.ASCII)

    def check(value: Any) -> Any:
        if not isinstance(value, str) or not form.fullmatch(value):
            raise ValueError(f"{2 * count} hex digits, in small letters")
        return value

    return check


def _hex(count: int) -> Any:
    return Annotated[
        str, BeforeValidator(_hex_of(count)),
        WithJsonSchema({"type": "string", "pattern": f"^[0-9a-f]{{{2 * count}}}$"})]


def _lane_instant(value: Any) -> Any:
    """By a lane's clock, which may have lost its time and begun at 1970 again."""
    if not isinstance(value, str):
        raise ValueError("a time is text, such as 2026-03-10T09:00:00+08:00")
    try:
        return parse_instant(value, earliest=EPOCH)
    except BadInstant as wrong:
        raise ValueError(str(wrong)) from None


LaneInstant = Annotated[
    datetime, BeforeValidator(_lane_instant), WithJsonSchema({"type": "string", "format": "date-time"})]
LANE_OFFSET_MS_MAX = 100 * CLOCK_OFFSET_MS_MAX
Sequence = Annotated[int, Field(ge=1, le=SEQUENCE_MAX)]
Word = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,63}$")]
Way = Literal["entry", "exit"]


class LaneEvent(Strict):
    sequence: Sequence
    occurred_at: LaneInstant
    clock_offset_ms: Annotated[int, Field(ge=-LANE_OFFSET_MS_MAX, le=LANE_OFFSET_MS_MAX)] = 0
    is_degraded: bool = False
    of: Sequence | None = None


class ScanEvent(LaneEvent):
    """code and plate are both missing only where the lane says that nothing was shown."""

    kind: Literal["scan"]
    direction: Way | None = None
    opened: bool
    reason: Word
    code: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    nonce: _hex(NONCE_BYTES) | None = None  # type: ignore[valid-type]
    plate: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    plate_confidence: Annotated[float, Field(ge=0, le=1)] | None = None
    scan_id: UuidText | None = None
    taken_for: _hex(16) | None = None  # type: ignore[valid-type]


class BarrierEvent(LaneEvent):
    kind: Literal["barrier"]
    command: Literal["open"]
    fault: Literal["not_acknowledged", "restarted"] | None = None
    remote: Annotated[str, Field(min_length=1, max_length=64)] | None = None


class AcknowledgedEvent(LaneEvent):
    kind: Literal["acknowledged"]


class PassageEvent(LaneEvent):
    kind: Literal["passage"]
    direction: Way | None = None
    tailgating: bool = False


class ManualLiftEvent(LaneEvent):
    kind: Literal["manual_lift"]
    by: Annotated[str, Field(min_length=1, max_length=200)]
    why: Annotated[str, Field(min_length=1, max_length=500)]
    picture: _hex(32) | None  # type: ignore[valid-type]


class UndoEvent(LaneEvent):
    kind: Literal["undo"]
    corrects: Sequence


class HeartbeatEvent(LaneEvent):
    kind: Literal["heartbeat"]
    bundle_made_at: InstantText | None


AnyEvent = Annotated[
    ScanEvent | BarrierEvent | AcknowledgedEvent | PassageEvent | ManualLiftEvent | UndoEvent | HeartbeatEvent,
    Field(discriminator="kind")]
_reader: TypeAdapter[Any] = TypeAdapter(AnyEvent)


class Journal(Strict):
    """The events are looked at one by one: one of another shape is refused by itself."""

    events: Annotated[list[Annotated[AnyEvent | Any, SkipValidation]], Field(max_length=EVENTS_MAX)]


class LandedAnswer(Answer):
    """sequence: null where not even that could be read."""

    sequence: int | None
    status: Literal["stored", "known", "refused"]
    reason: Literal[
        "bad_event", "sequence_used", "sequence_too_far", "occurred_at_out_of_range", "cannot_be_stored"] | None
    errors: list[FieldError]


class OrderAnswer(Answer):
    """of: the terminal's scan at which the barrier had stayed shut. by: a member of the operator's staff."""

    id: str
    command: Literal["open"]
    expires_at: str
    of: int | None
    by: str
    why: str


class OrdersAnswer(Answer):
    orders: list[OrderAnswer]
    server_time: str


class JournalAnswer(Answer):
    results: list[LandedAnswer]
    next_sequence: int
    orders: list[OrderAnswer]
    server_time: str


def read_event(sent: Any, *, gate_direction: str) -> Event | Landed:
    """One event of a journal, or why it is none."""
    try:
        check_text(sent)
        read = _reader.validate_python(sent)
    except BadJson as wrong:
        return _bad(sent, [("", str(wrong))])
    except ValidationError as wrong:
        found = wrong.errors(include_url=False, include_input=False, include_context=False)[:ERRORS_MAX]
        return _bad(sent, [(_field(error["loc"]), _says(error)) for error in found])
    return _event(read, sent, gate_direction)


def _field(loc: tuple[int | str, ...]) -> str:
    """Where an error is, without the kind that comes first."""
    return ".".join(str(part) for part in loc[1:])[:64] or "kind"


def _says(error: Any) -> str:
    """What is wrong, without what was sent."""
    if error["type"] == "union_tag_invalid":
        return "no kind of event"
    return str(error["msg"]).removeprefix("Value error, ")


def _event(read: Any, sent: Any, gate_direction: str) -> Event | Landed:
    shared = {
        "sequence": read.sequence, "kind": read.kind, "said_at": read.occurred_at,
        "clock_offset_ms": read.clock_offset_ms, "is_degraded": read.is_degraded, "of": read.of}
    direction: Direction | None = getattr(read, "direction", None)
    if read.kind == "scan":
        if direction is None and gate_direction == "both" and read.opened:
            return _bad(sent, [("direction", "a barrier that opened did so for an entry or an exit")])
        if read.opened and read.code is None and read.plate is None:
            return _bad(sent, [("code", "code, plate or both")])
        at_gate: Direction = "exit" if gate_direction == "exit" else "entry"
        return Event(
            **shared, direction=direction or at_gate, opened=read.opened, reason=read.reason, code=read.code,
            nonce=bytes.fromhex(read.nonce) if read.nonce else None, plate=read.plate,
            plate_confidence=read.plate_confidence, scan_id=read.scan_id,
            more={"taken_for": read.taken_for} if read.taken_for else {})
    return Event(**shared, direction=direction, corrects=getattr(read, "corrects", None), more=_more(read))


def _more(read: Any) -> dict[str, Any]:
    """What is kept beside the fact."""
    if read.kind == "barrier":
        said = {"command": read.command, "fault": read.fault, "remote": read.remote}
        return {name: value for name, value in said.items() if value is not None}
    if read.kind == "manual_lift":
        return {"by": read.by, "why": read.why, "picture": read.picture}
    if read.kind == "heartbeat":
        made_at = read.bundle_made_at
        return {"bundle_made_at": format_instant(made_at) if made_at else None}
    return {"tailgating": True} if read.kind == "passage" and read.tailgating else {}


def _bad(sent: Any, errors: list[tuple[str, str]]) -> Landed:
    number = sent.get("sequence") if isinstance(sent, dict) else None
    is_number = type(number) is int and 1 <= number <= SEQUENCE_MAX
    return Landed(number if is_number else None, "refused", "bad_event", tuple(errors))


def landed_answer(landed: Landed) -> dict[str, Any]:
    return {
        "sequence": landed.sequence, "status": landed.status, "reason": landed.reason,
        "errors": [{"field": field, "message": message} for field, message in landed.errors],
    }



class CityAnswer(Answer):
    number: int
    name: str


class BundleLot(Answer):
    id: int
    time_zone: str
    spaces: int
    collects: bool
    is_closed: bool
    turned: list[str]


class BundleTerminal(Answer):
    id: str
    gate_id: int
    direction: Literal["entry", "exit", "both"]
    next_sequence: int


class BundleVisit(Answer):
    """validations: what merchants gave it, as a price takes it; left out where there is nothing."""

    plate: str | None
    subjects: list[str]
    entered_at: str
    paid_until: str | None
    leave_by: str | None
    paid_fen: FenCount
    tariff: str | None
    vehicle: dict[str, str]
    stop_of_day: int
    validations: list[dict[str, int]] | None = None


class BundleAnswer(Answer):
    """docs/lanes.md says how each part is made and read."""

    made_at: str
    city: CityAnswer
    lot: BundleLot
    terminal: BundleTerminal
    key_set: str | None
    revoked: str
    plate_key: str
    inside: list[BundleVisit]
    tariffs: dict[str, dict[str, Any]]
    tariff: str | None
    calendars: dict[str, list[dict[str, Any]]]
    challenged: list[str]


class AnomaliesQuery(Strict):
    state: Literal["open", "resolved", "all"] = "open"
    rule: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    cursor: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    limit: Annotated[Digits, Field(ge=1, le=100)] = 20


class FactAnswer(Answer):
    """terminal_id and sequence: null at a lot of another operator."""

    lot_id: int
    gate: str | None
    terminal_id: str | None
    sequence: int | None


class AnomalyAnswer(Answer):
    id: str
    lot_id: int
    lot_name: Said
    rule: str
    says: Said
    gate: str | None
    occurred_at: str
    found_at: str
    parking_session_id: str | None
    facts: list[FactAnswer]
    detail: dict[str, Any]
    resolved_at: str | None
    note: str | None


class AnomaliesAnswer(Answer):
    items: list[AnomalyAnswer]
    next_cursor: str | None


class Resolution(Strict):
    note: Annotated[str, Field(min_length=1, max_length=500)]


class ChallengeRequest(Strict):
    is_challenged: bool
    why: Annotated[str, Field(min_length=1, max_length=500)]


class ChallengeAnswer(Answer):
    is_challenged: bool


class OpeningRequest(Strict):
    """of: the terminal's scan at which the barrier stayed shut, where it is one's car that is let through."""

    why: Annotated[str, Field(min_length=1, max_length=500)]
    of: Annotated[int, Field(ge=1, le=SEQUENCE_MAX)] | None = None


class OpeningAnswer(Answer):
    id: str
    expires_at: str


class PairingRequest(Strict):
    pairing_code: Annotated[str, Field(min_length=1, max_length=64)]


class RootAnswer(Answer):
    """The key to pin: a bundle's key set is signed by it (docs/lanes.md)."""

    thumbprint: str
    jwk: dict[str, Any]


class PairedLot(Answer):
    id: int
    name: Said
    time_zone: str


class PairedAnswer(Answer):
    terminal_id: str
    token: str
    root: RootAnswer | None
    lot: PairedLot
    gate: GateAnswer


class TokenAnswer(Answer):
    token: str
    old_token_until: str
