"""The shapes of what-ifs (docs/what-if.md)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, WithJsonSchema, model_validator

from parking.web.contract import Answer, Digits, FenCount, InstantText, Strict, UuidText

State = Literal["waiting", "running", "done", "failed", "cancelled"]
Code = Annotated[str, Field(min_length=1, max_length=64)]


class WhatIfRequest(Strict):
    """lots, or lots_of: all of yours that charged by this tariff at some time of the period. tariff: data, or the code
    of a published one, in its newest version or in `version`."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)
    tariff: Annotated[
        str | dict[str, Any],
        WithJsonSchema({"oneOf": [
            {"type": "string", "minLength": 1, "maxLength": 64},
            {"type": "object", "description": "a tariff as data: docs/tariffs.md"},
        ]}),
    ]
    version: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    from_: Annotated[InstantText, Field(alias="from")]
    to: InstantText
    lots: Annotated[list[Annotated[int, Field(ge=1, le=65_535)]], Field(min_length=1, max_length=1000)] | None = None
    lots_of: Code | None = None

    @model_validator(mode="after")
    def _names_lots_once(self) -> WhatIfRequest:
        if (self.lots is None) == (self.lots_of is None):
            raise ValueError("lots, or lots_of")
        return self


class WhatIfsQuery(Strict):
    cursor: UuidText | None = None
    limit: Annotated[Digits, Field(ge=1, le=100)] = 20


class WhatIfsPageQuery(WhatIfsQuery):
    """draft: the one that the form is for."""

    draft: UuidText | None = None


class TriedAnswer(Answer):
    code: str
    hash: str


class GroupAnswer(Answer):
    """before: as charged; after: under the tariff that was tried. more, less, same: visits that pay so."""

    visits: int
    before_fen: FenCount
    after_fen: FenCount
    difference_fen: FenCount
    more: int
    more_fen: FenCount
    less: int
    less_fen: FenCount
    same: int


class OfLot(GroupAnswer):
    lot_id: int


class OfHour(GroupAnswer):
    """By the lot's walls."""

    hour: int


class OfLength(GroupAnswer):
    up_to_minutes: int | None


class OfSize(GroupAnswer):
    size: Literal["small", "large"]


class PriceChangeAnswer(Answer):
    """Visits whose price changed by so much. The bound nearer to 0 is not in it, the other one is."""

    from_fen: FenCount | None
    to_fen: FenCount | None
    visits: int
    difference_fen: FenCount


class ListedVisit(Answer):
    """until_at: where billing ended."""

    parking_session_id: str
    lot_id: int
    entered_at: str
    until_at: str
    size: Literal["small", "large"]
    before_fen: FenCount


class ChangedVisit(ListedVisit):
    after_fen: FenCount


class UnpricedVisit(ListedVisit):
    reason: Literal["stay_too_long", "calendar_not_confirmed", "cannot_price"]


class DifferingVisit(ListedVisit):
    replayed_fen: FenCount | None


class UnpricedAnswer(Answer):
    """Visits that the tariff cannot price; they are in no other sum."""

    visits: int
    before_fen: FenCount
    reasons: dict[str, int]
    items: list[UnpricedVisit]


class ReplayAnswer(Answer):
    """The proof: each visit priced again by the version it was charged by. differing: those that came out
    otherwise than charged; not_replayed: those that came out not at all. recharged: credited once, and charged
    anew; allowed: with an exit allowance."""

    visits: int
    not_replayed: int
    differing: int
    charged_fen: FenCount
    replayed_fen: FenCount
    recharged: int
    allowed: int
    items: list[DifferingVisit]


class ForgivenAnswer(Answer):
    visits: int
    before_fen: FenCount
    after_fen: FenCount


class WhatIfResult(GroupAnswer):
    """left_out: visits without a standing charge, by why. forgiven: of all, those whose money was given up or back."""

    left_out: dict[str, int]
    changes: list[PriceChangeAnswer]
    by_lot: list[OfLot]
    by_hour: list[OfHour]
    by_length: list[OfLength]
    by_size: list[OfSize]
    rises: list[ChangedVisit]
    falls: list[ChangedVisit]
    unpriced: UnpricedAnswer
    replay: ReplayAnswer
    forgiven: ForgivenAnswer


class WhatIfAnswer(Answer):
    """done, of total: visits looked at; total is null until they were counted."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    id: str
    state: State
    lots: list[int]
    from_: Annotated[str, Field(alias="from")]
    to: str
    tariff: TriedAnswer
    asked_at: str
    ended_at: str | None
    done: int
    total: int | None
    failure: str | None


class WhatIfDetail(WhatIfAnswer):
    result: WhatIfResult | None


class WhatIfsAnswer(Answer):
    items: list[WhatIfAnswer]
    next_cursor: str | None
