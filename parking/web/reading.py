"""A request's JSON or query string, read strictly into the shapes of the contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from flask import request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import RequestEntityTooLarge

from parking.core.json_text import load_strict
from parking.web.contract import QuoteRequest
from parking.web.errors import Problem

Model = TypeVar("Model", bound=BaseModel)


def read_body(model: type[Model], *, texts_apart: bool = False, depth_max: int = 8) -> Model:
    """The request's JSON as a model.

    :param depth_max: how deep it may be nested
    :param texts_apart: the caller looks at the strings itself, part by part
    :param depth_max: how deep its objects and lists may lie in one another
    :raises Problem: 415 for another content type, 400 naming the fields
    :raises BadJson: not strict JSON
    """
    if request.mimetype != "application/json":
        raise Problem(415, "not_json", "Send application/json.")
    sent = request.get_data(cache=False)
    if request.content_length is None and len(sent) >= (request.max_content_length or 0):
        raise RequestEntityTooLarge  # a chunked body is cut off at the limit without a word
    data = load_strict(sent, depth_max=40 if model is QuoteRequest else depth_max, texts_apart=texts_apart)
    if not isinstance(data, dict):
        raise Problem(400, "bad_request", "The body is a JSON object.", errors=[("", "not an object")])
    return validate(model, data)


def read_deed(sent: Mapping[str, str], *known: str) -> str:
    """Which button of a form was pressed: its `do`, one of those that are known."""
    deed = sent.get("do", "")
    if deed not in known:
        raise Problem(400, "bad_request", "Unknown deed.", errors=[("do", "one of " + ", ".join(known))])
    return deed


def read_query(model: type[Model]) -> Model:
    """The query string as a model; a parameter twice is refused."""
    data: dict[str, str] = {}
    for name, values in request.args.lists():
        if len(values) != 1 or "\x00" in values[0]:
            raise Problem(400, "bad_request", "A parameter stands twice or holds a NUL.", errors=[(name[:64], "once")])
        data[name] = values[0]
    return validate(model, data)


def validate(model: type[Model], data: dict[str, Any]) -> Model:
    """What somebody sent, as a model.

    :raises Problem: 400 naming the fields
    """
    try:
        return model.model_validate(data)
    except ValidationError as wrong:
        errors = [
            (".".join(str(part) for part in error["loc"])[:200], error["msg"].removeprefix("Value error, "))
            for error in wrong.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise Problem(400, "bad_request", "Some fields cannot be read.", errors=errors[:20]) from None
