"""An arrears case in its reader's words: names of states and steps, and the notice as it is set on paper."""

from __future__ import annotations

import json
from typing import Any

from flask_babel import get_locale, gettext

from parking.core.arrears import ANSWER_DAYS, PAY_OR_OBJECT_DAYS
from parking.core.code_picture import link_svg
from parking.core.money import format_yuan
from parking.services.present import answers_of
from parking.web.channels import channel_name

NOTICE_LINES_MAX = 60


def arrears_state_name(state: str) -> str:
    """How far a case has come, in the reader's language."""
    words = {
        "open": gettext("unpaid, no notice yet"), "noticed": gettext("notice given"),
        "objected": gettext("objected to"), "upheld": gettext("objection upheld"),
        "dismissed": gettext("objection dismissed"), "reduced": gettext("reduced"), "overdue": gettext("overdue"),
        "paid": gettext("paid"), "waived": gettext("waived"), "withdrawn": gettext("withdrawn"),
        "void": gettext("nothing is due"),
    }
    return str(words[state])


def arrears_step_name(step: str) -> str:
    """What happened to a case, in the reader's language."""
    words = {
        "opened": gettext("Case opened"), "noticed": gettext("Notice given"), "objected": gettext("Objection"),
        "upheld": gettext("Objection upheld"), "dismissed": gettext("Objection dismissed"),
        "reduced": gettext("Reduced"), "lapsed": gettext("Not answered in time: decided for the driver"),
        "dated": gettext("The term runs from now"), "expired": gettext("The term to pay is over"),
        "withdrawn": gettext("Withdrawn"), "paid": gettext("Paid"), "waived": gettext("Waived"),
        "void": gettext("Nothing is due any more"), "changed": gettext("The amount has changed"),
        "renewed": gettext("A new notice is needed: the fee grew, or it is another vehicle's"),
        "reopened": gettext("Something is unpaid again; a new notice is needed"),
    }
    return str(words[step])


def arrears_actor_name(actor: str) -> str:
    words = {"clock": gettext("by the clock"), "staff": gettext("the operator"), "driver": gettext("the driver"),
             "stranger": gettext("by the notice's number and plate")}
    return str(words[actor])


def ground_name(ground: str) -> str:
    """Why somebody objects, in the reader's language."""
    words = {
        "not_my_car": gettext("It was not my car"), "not_the_driver": gettext("Somebody else drove"),
        "paid_already": gettext("It was paid already"), "wrong_fee": gettext("The fee is wrong"),
        "other": gettext("Something else"),
    }
    return str(words[ground])


def clock_text(clock: dict[str, Any]) -> str:
    """What a case's clock says; empty where none runs."""
    if clock["waits_for_waiver"]:
        return str(gettext("A second person must agree first; no term runs until then."))
    if clock["waits_for_year"] is not None:
        return str(gettext(
            "The calendar of %(year)s is not confirmed yet, so the last day cannot be told. The term begins once it "
            "is; nothing is overdue until then.", year=clock["waits_for_year"]))
    if clock["last_day"] is None:
        return ""
    if clock["days_left"] is None:
        return str(gettext("Until the end of %(day)s", day=clock["last_day"]))
    return str(gettext("Until the end of %(day)s, working days left after today: %(n)s", day=clock["last_day"],
                       n=clock["days_left"]))


def legal_texts(case: dict[str, Any]) -> list[str]:
    """What a notice says of rights and terms, with the last day as a date."""
    clock = case["clock"]
    if case["state"] in ("dismissed", "reduced"):
        term = gettext("Pay within %(n)s working days of the answer.", n=PAY_OR_OBJECT_DAYS)
    else:
        term = gettext("Pay, or object, within %(n)s working days of this notice.", n=PAY_OR_OBJECT_DAYS)
    last = clock_text({**clock, "days_left": None}) if clock["of"] == "pay" else ""  # paper does not count days
    return [
        str(gettext("This notice rests on the Shanghai Parking Lot Measures and the sealed charge below. It is not a "
                    "penalty, and nothing is reported to the credit platform before this procedure is over.")),
        str(term), *([last] if last else []),
        str(gettext("An objection is answered within %(n)s working days, with the reason. While it is open nothing is "
                    "recovered; if nobody answers in time, it is decided for you.", n=ANSWER_DAYS)),
        str(gettext("If somebody else drove, pay for them, or name them with what proves it.")),
        str(gettext("What stays unpaid and undisputed afterwards may be asked for when the vehicle next pays for "
                    "parking. Paying then is offered, and not forced; only an exit of this same operator's may ask "
                    "for it first.")),
    ]


def notice_address(case: dict[str, Any], public_url: str) -> str:
    """Where the original is fetched; with the number alone nothing is shown."""
    return f"{public_url}/arrears?number={case['number']}"


def print_data(case: dict[str, Any], public_url: str) -> str:
    """What the paper is set from, as JSON."""
    language, fee = str(get_locale()), case["fee"] or {"lines": [], "total_fen": 0}
    lines = fee["lines"]
    rows = [[_moment(each["from"]), _moment(each["to"]), each["why"][language], format_yuan(each["amount_fen"])]
            for each in lines[:NOTICE_LINES_MAX]]
    if len(lines) > NOTICE_LINES_MAX:
        rest = sum(each["amount_fen"] for each in lines[NOTICE_LINES_MAX:])
        rows.append(["", "", str(gettext("Further lines: on the page")), format_yuan(rest)])
    totals = [(gettext("Total"), format_yuan(fee["total_fen"]))]
    if case["waived_fen"]:
        totals.append((gettext("Waived"), format_yuan(-case["waived_fen"])))
    payments = [[_moment(each["paid_at"]), channel_name(each["channel"]),
                 format_yuan(each["amount_fen"] - each["refunded_fen"])] for each in case["payments"]]
    return json.dumps({
        "language": language, "title": gettext("Arrears notice"), "operator": case["operator_name"],
        "lot": case["lot_name"][language], "total": (gettext("Due, yuan"), format_yuan(case["amount_fen"])),
        "facts": [
            (gettext("Number"), case["number"]), (gettext("Plate"), case["plate"] or "–"),
            (gettext("Entered"), _at_gate(case["entered_at"], case["entry_gate"])),
            (gettext("Left"), _at_gate(case["left_at"], case["exit_gate"])),
            (gettext("Notice given"), _moment(case["noticed_at"])),
            (gettext("State"), arrears_state_name(case["state"])),
        ],
        "lines": {"title": gettext("The fee, line by line"),
                  "heads": [gettext("From"), gettext("Until"), gettext("Why"), gettext("Yuan")], "rows": rows},
        "totals": [*totals, (gettext("Still due"), format_yuan(case["amount_fen"]))],
        "payments": {"title": gettext("Paid so far"), "heads": [gettext("When"), gettext("Channel"), gettext("Yuan")],
                     "rows": payments},
        "law_title": gettext("What you can do, and until when"), "law": [*legal_texts(case), gettext(
            "The original of this notice is on the page that the picture leads to: give the number and the plate.")],
        "answers": [f"{arrears_step_name(each['step'])}: {each['why']}" for each in answers_of(case)],
        "picture": link_svg(notice_address(case, public_url)), "address": notice_address(case, public_url),
        "page_word": gettext("Page"),
    }, ensure_ascii=False)


def _at_gate(at: str | None, gate: str | None) -> str:
    return " · ".join(each for each in (_moment(at), gate) if each)


def _moment(text: str | None) -> str:
    return text[:19].replace("T", " ") if text else "–"
