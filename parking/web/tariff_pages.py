"""What the pages of tariffs have in common: states and refusals in words, and how a form's texts are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint
from flask_babel import gettext

from parking.core.calendar import CannotPrice
from parking.core.json_text import BadJson, check_text
from parking.core.lint import says
from parking.core.tariff import BadTariff
from parking.services import assign
from parking.services.draft import DraftChanged
from parking.services.four_eyes import AlreadyDecided, SecondPersonNeeded
from parking.services.publish import CodeOfAnother, StartsInThePast, StartTaken
from parking.store import lots
from parking.web import auth
from parking.web.errors import Problem
from parking.web.tariff_contract import NOTE_MAX
from parking.web.tariff_editor import error_words, no_form
from parking.web.tariff_preview import chart_data, length_name, start_name

REFUSED = (
    AlreadyDecided, CodeOfAnother, DraftChanged, SecondPersonNeeded, StartsInThePast, StartTaken, BadTariff,
    CannotPrice, assign.NoLot, assign.TariffNotInForce, assign.PeriodTaken, assign.ZoneDiffers)


def speak(blueprint: Blueprint) -> None:
    """Give a blueprint's pages these words."""
    blueprint.app_context_processor(lambda: {
        "start_name": start_name, "length_name": length_name, "chart_data": chart_data, "error_words": error_words,
        "no_form": no_form, "draft_state": draft_state, "version_state": version_name, "event_name": event_name,
        "finding_says": says})


def draft_state(state: str) -> str:
    """What became of a draft or a proposal, in the reader's language."""
    words = {"draft": gettext("Draft"), "proposed": gettext("Waits for a second person"),
             "approved": gettext("Approved"), "rejected": gettext("Sent back"), "withdrawn": gettext("Laid aside")}
    return str(words[state])


def version_name(state: str) -> str:
    """Where a version stands in time, in the reader's language."""
    words = {"past": gettext("past"), "in_force": gettext("in force"), "coming": gettext("coming")}
    return str(words[state])


def event_name(what: str) -> str:
    """What happened to a draft, in the reader's language."""
    words = {"written": gettext("Written"), "proposed": gettext("Proposed"), "approved": gettext("Approved"),
             "rejected": gettext("Sent back"), "withdrawn": gettext("Laid aside")}
    return str(words[what])


def refusal(refused: Exception) -> str:
    """Why nothing was done, in the reader's language."""
    if isinstance(refused, BadTariff):
        return "; ".join(error_words(message) for _, message in refused.errors)
    if isinstance(refused, CannotPrice):
        return str(gettext("It has no price yet: %(why)s", why=str(refused)))
    words: dict[type[Exception], str] = {
        AlreadyDecided: gettext("This was decided already, or is not proposed any more."),
        DraftChanged: gettext("Somebody changed this since you looked. Please look again."),
        SecondPersonNeeded: gettext("You proposed this yourself: a second person decides."),
        CodeOfAnother: gettext("This code is another operator's: codes are unique in the city."),
        StartsInThePast: gettext("A price cannot begin in the past. Choose a later time."),
        StartTaken: gettext("A version of this tariff begins at this very time already."),
        assign.NoLot: gettext("You have no such car park."),
        assign.TariffNotInForce: gettext("No version of this tariff is in force then."),
        assign.PeriodTaken: gettext("An assignment of this car park begins at this very time already."),
        assign.ZoneDiffers: gettext("The tariff tells time by another time zone than the car park's."),
    }
    return str(words[type(refused)])


def read_text(sent: Mapping[str, str], name: str) -> str:
    text = sent.get(name, "").strip()[:NOTE_MAX]
    try:
        check_text(text)
    except BadJson:
        raise Problem(400, "bad_request", "The note cannot be kept.") from None
    return text


def read_number(sent: Mapping[str, str], name: str) -> int:
    text = sent.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0


def name_lots(db: Any) -> dict[int, dict[str, str]]:
    """The caller's lots by number."""
    return {lot.lot_id: lot.name for lot, _ in lots.list_lots_with_occupancy(db, operator_id=auth.operator_id())}


def not_found() -> Problem:
    return Problem(404, "not_found", "There is no such tariff or draft, or it is not yours.")
