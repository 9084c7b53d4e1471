"""What a person types of a tariff: the form of the usual shapes beside the JSON, kept in step."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import current_app
from flask_babel import gettext

from parking.core.json_text import BadJson, canonical_hash, load_object
from parking.core.money import format_yuan, parse_yuan
from parking.core.tariff import BadTariff, Tariff, read_tariff
from parking.core.tariff_form import Shape, find_shape, to_rule
from parking.web.tariff_contract import DEPTH_MAX

LANGUAGE_FIELDS = {"zh": "name_zh", "en": "name_en", "fr": "name_fr"}
FIELDS = (
    "code", *LANGUAGE_FIELDS.values(), "time_zone", "free", "free_minutes", "free_per", "first_minutes", "first_times",
    "first_price", "step_minutes", "step_price", "day_from", "day_to", "night_price", "cap_every", "cap_price", "large",
)
_CHOICES = {"free": ("none", "threshold", "deducted"), "free_per": ("stay", "period"),
            "cap_every": ("none", "24h", "day")}
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d", re.ASCII)


@dataclass(frozen=True, slots=True)
class Edited:
    """fields: of the form; None where the form cannot show the tariff. body: the JSON, as it is typed.

    tariff: None where something is wrong; errors: (field or path, what is wrong). is_torn: form and JSON were
    both changed, and say different things.
    """

    fields: Mapping[str, str] | None
    body: str
    tariff: Tariff | None
    errors: tuple[tuple[str, str], ...] = field(default=())
    is_torn: bool = False

    @property
    def stamp(self) -> str:
        """Tells later whether the form was changed, or the JSON."""
        return json.dumps({"form": _hash_fields(self.fields or {}), "body": canonical_hash(self.body)})


def edit_tariff(tariff: Tariff) -> Edited:
    """What the editor shows of a tariff that is stored."""
    return from_json(written(tariff))


def written(tariff: Tariff) -> str:
    """A tariff as a person would write it: without what is said by default."""
    data = tariff.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return json.dumps(_in_reading_order(data), ensure_ascii=False, indent=2)


def edit_new() -> Edited:
    """What a new tariff begins with."""
    return from_form({
        **_fields_of(Shape(step_minutes=60, step_fen=1000)), "code": "", "name_zh": "", "name_en": "", "name_fr": "",
        "time_zone": str(current_app.extensions["config"].city_zone)})


def read_editor(sent: Mapping[str, str]) -> Edited:
    """What was typed: the form where it alone was changed, else the JSON; `do` decides where both were."""
    fields = {name: sent.get(name, "").strip()[:200] for name in FIELDS}
    body, do = sent.get("body", "").replace("\r\n", "\n"), sent.get("do", "")  # a form sends line ends as CR LF
    try:
        was = json.loads(sent.get("stamp", "")[:400])
        was_form, was_body = was["form"], was["body"]
    except (ValueError, TypeError, KeyError):
        was_form, was_body = None, None
    has_form = any(name in sent for name in FIELDS)
    form_changed = has_form and _hash_fields(fields) != was_form
    body_changed = canonical_hash(body) != was_body
    if do == "form" or (do != "json" and form_changed and not body_changed):
        return from_form(fields)
    edited = from_json(body)
    if do != "json" and form_changed and body_changed:
        other = from_form(fields)
        if other.tariff is None or edited.tariff is None or other.tariff.hash != edited.tariff.hash:
            return Edited(fields, body, None, other.errors + edited.errors, is_torn=True)
    return edited


def from_json(body: str) -> Edited:
    """The form follows the JSON, where it has a shape that the form can show."""
    try:
        data = load_object(body.encode("utf-8", "surrogatepass"), depth_max=DEPTH_MAX)
    except BadJson as wrong:
        return Edited(None, body, None, (("JSON", str(wrong)),))
    try:
        tariff = read_tariff(data)
    except BadTariff as wrong:
        return Edited(None, body, None, tuple(
            (json_path(data, path), message.removeprefix("Value error, ")) for path, message in wrong.errors[:20]))
    return Edited(_fields_of_tariff(tariff), body, tariff)


def from_form(fields: Mapping[str, str]) -> Edited:
    """The JSON follows the form; where a field is wrong, there is none."""
    shape, errors = _read_shape(fields)
    data = {
        "code": fields["code"].upper(),
        "name": {language: fields[name] for language, name in LANGUAGE_FIELDS.items() if fields[name]},
        "time_zone": fields["time_zone"], "rule": to_rule(shape),
    }
    if not data["name"]:
        errors.append(("name_zh", gettext("A name in at least one language.")))
    body = json.dumps(data, ensure_ascii=False, indent=2)
    try:
        tariff = read_tariff(data)
    except BadTariff as wrong:
        errors += [(_field_of(path), message.removeprefix("Value error, ")) for path, message in wrong.errors[:20]
                   if not (path == "name" or errors)]
        return Edited(fields, body, None, tuple(errors))
    return Edited(fields, body, None if errors else tariff, tuple(errors))


def json_path(data: Any, path: str) -> str:
    """Where in the JSON: the path of a BadTariff without the kinds of rules that pydantic puts in it."""
    at, made, is_entered = data, "", False
    for part in path.split("."):
        if is_entered and isinstance(at, Mapping) and at.get("kind") == part:
            is_entered = False
            continue
        if isinstance(at, list) and part.isdigit() and int(part) < len(at):
            at, made = at[int(part)], f"{made}[{part}]"
        else:
            at, made = at.get(part) if isinstance(at, Mapping) else None, f"{made}.{part}"
        is_entered = True
    return made.lstrip(".")


def error_words(message: str) -> str:
    """What is wrong with a tariff, in the reader's language where it is one of the usual things."""
    bound = re.fullmatch(r"Input should be (greater|less) than or equal to (-?\d+)", message)
    if bound:
        return str(gettext("At least %(n)s.", n=bound[2]) if bound[1] == "greater"
                   else gettext("At most %(n)s.", n=bound[2]))
    words = {
        "Field required": gettext("This is missing."),
        "Extra inputs are not permitted": gettext("There is no such field."),
        "Input should be a valid integer": gettext("A whole number."),
        "Input should be a valid string": gettext("A text in quotes."),
        "Input should be a valid dictionary": gettext("An object in braces."),
        "Input should be a valid tuple": gettext("A list in brackets."),
        "a time of day such as 07:30": gettext("A time of day such as 07:30."),
        "the windows must cover each minute of the day exactly once": gettext(
            "The windows must cover each minute of the day exactly once."),
    }
    return str(words.get(message, message))


def no_form(edited: Edited) -> str:
    """Why the form shows nothing."""
    if edited.errors:
        return str(gettext("The form waits until the JSON is a tariff again."))
    return str(gettext("The form cannot show this tariff. The JSON below holds all of it and stays as it is."))


def _read_shape(fields: Mapping[str, str]) -> tuple[Shape, list[tuple[str, str]]]:
    errors: list[tuple[str, str]] = []

    def whole(name: str, least: int, most: int) -> int:
        text = fields[name]
        if not re.fullmatch(r"\d{1,6}", text, re.ASCII) or not least <= int(text) <= most:
            errors.append((name, gettext("A whole number from %(least)s to %(most)s.", least=least, most=most)))
            return least
        return int(text)

    def fen(name: str) -> int:
        found = parse_yuan(fields[name])
        if found is None or found > 10_000_000:
            errors.append((name, gettext("An amount such as 15 or 7.50.")))
            return 0
        return found

    def choice(name: str) -> Any:
        return fields[name] if fields[name] in _CHOICES[name] else _CHOICES[name][0]

    def clock(name: str) -> str:
        if not _CLOCK.fullmatch(fields[name]):
            errors.append((name, gettext("A time of day such as 07:30.")))
            return "00:00"
        return fields[name]

    given: dict[str, Any] = {
        "step_minutes": whole("step_minutes", 1, 366 * 24 * 60), "step_fen": fen("step_price"),
        "free": choice("free"), "free_per": choice("free_per"), "cap_every": choice("cap_every"),
        "large": whole("large", 1, 10)}
    if given["free"] != "none":
        given["free_minutes"] = whole("free_minutes", 1, 24 * 60)
    if fields["first_minutes"]:
        given |= {"first_minutes": whole("first_minutes", 1, 24 * 60), "first_fen": fen("first_price"),
                  "first_times": whole("first_times", 1, 100)}
    if fields["night_price"]:
        given |= {"night_fen": fen("night_price"), "day_from": clock("day_from"), "day_to": clock("day_to")}
        if given["day_from"] == given["day_to"]:
            errors.append(("day_to", gettext("The day ends at another time than it begins.")))
            given["day_to"] = "23:59" if given["day_from"] != "23:59" else "00:00"
    if given["cap_every"] != "none":
        given["cap_fen"] = fen("cap_price")
    return Shape(**given), errors


def _fields_of_tariff(tariff: Tariff) -> dict[str, str] | None:
    """None where the form would lose something: a shape, or a setting, that it has no field for."""
    shape = find_shape(tariff)
    if shape is None or tariff.canonical != read_tariff({
            "code": tariff.code, "name": dict(tariff.name), "time_zone": tariff.time_zone,
            "rule": to_rule(shape)}).canonical:
        return None
    names = {field: tariff.name.get(language, "") for language, field in LANGUAGE_FIELDS.items()}  # type: ignore[call-overload]
    return {"code": tariff.code, **names, "time_zone": tariff.time_zone, **_fields_of(shape)}


def _fields_of(shape: Shape) -> dict[str, str]:
    has_first = shape.first_minutes is not None
    return {
        "free": shape.free, "free_minutes": str(shape.free_minutes or 15), "free_per": shape.free_per,
        "first_minutes": str(shape.first_minutes) if has_first else "", "first_times": str(shape.first_times),
        "first_price": format_yuan(shape.first_fen) if has_first else "",
        "step_minutes": str(shape.step_minutes), "step_price": format_yuan(shape.step_fen),
        "day_from": shape.day_from, "day_to": shape.day_to,
        "night_price": "" if shape.night_fen is None else format_yuan(shape.night_fen), "cap_every": shape.cap_every,
        "cap_price": format_yuan(shape.cap_fen) if shape.cap_every != "none" else "", "large": str(shape.large),
    }


def _field_of(path: str) -> str:
    return {"time_zone": "time_zone", "code": "code"}.get(path) or LANGUAGE_FIELDS.get(
        path.removeprefix("name."), path)


def _in_reading_order(data: Mapping[str, Any]) -> dict[str, Any]:
    """As a person would write it: what a rule is first, and what is inside it last."""
    def key(name: str) -> tuple[int, str]:
        order = ("language", "code", "name", "currency", "time_zone", "calendar", "seconds", "kind")
        last = ("each", "of", "then", "else", "rule")
        return (order.index(name), "") if name in order else (50 + last.index(name), "") if name in last else (20, name)

    def ordered(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: ordered(value[name]) for name in sorted(value, key=key)}
        return [ordered(each) for each in value] if isinstance(value, list) else value

    return dict(ordered(data))


def _hash_fields(fields: Mapping[str, str]) -> str:
    return canonical_hash({name: fields.get(name, "") for name in FIELDS})
