"""Tariffs for other systems and from them: APDS rate tables (ISO/TS 5206-1), docs/apds.md."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from flask import Blueprint, current_app, request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from parking.core.apds import finding_answer
from parking.core.apds_import import import_rate_table
from parking.core.apds_lines import Readings
from parking.core.clock import find_zone, format_instant
from parking.services.exchange import export_tariff
from parking.web import auth
from parking.web.contract import Answer, InstantText, Said, Strict
from parking.web.openapi import api
from parking.web.reading import read_body, read_query

blueprint = Blueprint("apds", __name__)
DEPTH_MAX = 40
DOCUMENT_BYTES_MAX = 512 * 1024


class ApdsQuery(Strict):
    """The version in force then; now, if not said."""

    at: InstantText | None = None


class ApdsDocument(BaseModel):
    """APDS objects: {"rightSpecifications": […], "rateTables": […]}, {"data": [RateTable, …]} or one RateTable."""

    model_config = ConfigDict(extra="allow")


def _zone_name(text: str) -> str:
    find_zone(text)
    return text


class ApdsImportQuery(Strict):
    """code: of the tariff that is made. time_zone: of the place. The rest: what the standard leaves open."""

    code: Annotated[str, Field(pattern=r"^[A-Z0-9][A-Z0-9-]{1,62}[A-Z0-9]$")]
    time_zone: Annotated[str, Field(max_length=64), AfterValidator(_zone_name)]
    tiers: Literal["each", "total"] | None = None
    crossing: Literal["anew", "at_entry"] | None = None
    beyond: Literal["again", "no_more"] | None = None


class FindingAnswer(Answer):
    """path: where in what was given. effect: as docs/apds.md tells them."""

    path: str
    rule: str
    reason: str
    effect: Literal["price", "reading", "note"]
    why: Said


class ApdsImportAnswer(Answer):
    """tariff: none as soon as one finding has the effect `price`."""

    tariff: dict[str, Any] | None
    hash: str | None
    in_force_from: str | None
    in_force_to: str | None
    findings: list[FindingAnswer]


@blueprint.get("/v1/tariffs/<code>/apds")
@auth.anyone
@api("A published tariff as APDS rate tables", query=ApdsQuery, answer=ApdsDocument, problems=(404,))
def one_tariff(code: str) -> Any:
    at = read_query(ApdsQuery).at or auth.now()
    with current_app.extensions["database"].reading() as db:
        return export_tariff(db, code, at=at).data


@blueprint.post("/v1/apds-readings")
@auth.operator
@api("APDS rate tables read as a tariff; nothing is kept", query=ApdsImportQuery, body=ApdsDocument,
     answer=ApdsImportAnswer)
def read_tables() -> Any:
    request.max_content_length = DOCUMENT_BYTES_MAX
    asked, document = read_query(ApdsImportQuery), read_body(ApdsDocument, depth_max=DEPTH_MAX)
    made = import_rate_table(
        document.model_extra, code=asked.code, time_zone=asked.time_zone,
        readings=Readings(asked.tiers, asked.crossing, asked.beyond))
    return {
        "tariff": json.loads(made.tariff.canonical) if made.tariff else None,
        "hash": made.tariff.hash if made.tariff else None,
        "in_force_from": format_instant(made.in_force_from) if made.in_force_from else None,
        "in_force_to": format_instant(made.in_force_to) if made.in_force_to else None,
        "findings": [finding_answer(each) for each in made.findings],
    }
