"""What each view takes and gives, stated beside it, and the OpenAPI 3.1 document made of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import Flask
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from parking.web.contract import ProblemAnswer

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Contract:
    """What a view takes and gives; media: another content type of a 200; raw: of a body that is a file;
    etag: whether it answers 304 to If-None-Match."""

    summary: str
    answer: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    problems: tuple[int, ...] = ()
    media: str | None = None
    raw: str | None = None
    etag: bool = False


def api(
    summary: str, *, answer: type[BaseModel] | None = None, body: type[BaseModel] | None = None,
    query: type[BaseModel] | None = None, problems: tuple[int, ...] = (), media: str | None = None,
    raw: str | None = None, etag: bool = False,
) -> Callable[[View], View]:
    """State a view's contract; the OpenAPI document is made of these."""

    def state(view: View) -> View:
        view.contract = Contract(summary, answer, body, query, problems, media, raw, etag)  # type: ignore[attr-defined]
        return view

    return state


_STATUS = {
    400: "A field, or the JSON, cannot be read", 401: "No valid token", 403: "Not for this caller",
    404: "There is none, or it is not yours", 409: "Not as things stand, or an id was used for something else",
    413: "The body is too large", 415: "Not application/json", 429: "Too many attempts",
    503: "The service cannot write now; Retry-After says when to try again",
}

_REFUSED_BY_THE_SERVER = {
    414: "The URL is longer than 4,094 bytes; refused before the service sees it",
    431: "More than 50 header fields, or one of over 8,190 bytes; refused before the service sees it",
}


def openapi(app: Flask) -> dict[str, Any]:
    """The OpenAPI 3.1 document of every view that states a contract."""
    views: dict[str, Any] = dict(app.view_functions)
    stated = [
        (rule, views[rule.endpoint]) for rule in app.url_map.iter_rules() if hasattr(views[rule.endpoint], "contract")
    ]
    models: set[type[BaseModel]] = {ProblemAnswer}
    for _, view in stated:
        models |= {model for model in (view.contract.answer, view.contract.body) if model}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, definitions = models_json_schema(
        [(model, "validation") for model in ordered], ref_template="#/components/schemas/{model}"
    )
    paths: dict[str, Any] = {}
    for rule, view in sorted(stated, key=lambda each: each[0].rule):
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            operation = _operation(view, rule.arguments)
            operation["operationId"] = f"{method.lower()}_{rule.endpoint.replace('.', '_')}"
            paths.setdefault(path, {})[method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Parking by code", "version": "0.1.0", "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(view: Any, arguments: set[str]) -> dict[str, Any]:
    contract: Contract = view.contract
    media = contract.media or "application/json"
    schema = (
        {"$ref": f"#/components/schemas/{contract.answer.__name__}"} if contract.answer
        else {"type": "string", "contentMediaType": media}
    )
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemAnswer"}}}
    responses: dict[str, Any] = {"200": {"description": "The answer", "content": {media: {"schema": schema}}}}
    for status in sorted({*contract.problems, *((400, 413, 415) if contract.body else ()), 503}):
        responses[str(status)] = {"description": _STATUS[status], "content": problem}
    for status, what in _REFUSED_BY_THE_SERVER.items():
        responses[str(status)] = {"description": what, "content": {"text/html": {"schema": {"type": "string"}}}}
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in sorted(arguments)
    ]
    if contract.query:
        for name, described in contract.query.model_json_schema()["properties"].items():
            needed = name in contract.query.model_json_schema().get("required", [])
            parameters.append({"name": name, "in": "query", "required": needed, "schema": described})
        responses.setdefault("400", {"description": _STATUS[400], "content": problem})
    if contract.etag:
        responses["304"] = {"description": "Unchanged since the answer with this ETag"}
        parameters.append({"name": "If-None-Match", "in": "header", "required": False, "schema": {"type": "string"}})
    made: dict[str, Any] = {"summary": contract.summary, "responses": responses}
    if parameters:
        made["parameters"] = parameters
    if contract.body:
        made["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{contract.body.__name__}"}}},
        }
    if contract.raw:
        made["requestBody"] = {"required": True, "content": {contract.raw: {"schema": {"type": "string"}}}}
    if view.audience != "anyone":
        made["security"] = [{"bearer": []}]
        responses.setdefault("401", {"description": _STATUS[401], "content": problem})
        if view.audience != "terminal":
            responses.setdefault("403", {"description": _STATUS[403], "content": problem})
    return made
