"""The public description of the API: an OpenAPI 3.1 document, made from the table of operations that also makes the routes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import Response

from zegelpost.model.refusals import BodyTooLarge, InputInvalid, Refusal, SignInRequired
from zegelpost.web.errors import ANSWERS

PREFIX: Final = "/api/v1"
_REFERENCE: Final = "#/components/schemas/{model}"
_IDENTIFIER: Final = {"type": "string", "pattern": "^[a-z2-7]{26}$"}
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_PROBLEM_TYPE: Final = "application/problem+json"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A header that means something to an operation."""

    name: str
    description: str
    pattern: str = ""
    is_required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What comes back when nothing is refused: JSON of `model`, bytes of `media_type`, or nothing."""

    status: int = 200
    description: str = "Done."
    models: Sequence[type[BaseModel]] = ()
    media_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path below the prefix. Without `handler` the route itself is made elsewhere."""

    method: str
    path: str
    name: str
    summary: str
    handler: Callable[[Request], Awaitable[Response]] | None = None
    is_open: bool = False
    body: type[BaseModel] | str | None = None  # JSON of a model, or bytes of a media type
    is_body_optional: bool = False
    query: type[BaseModel] | None = None
    headers: Sequence[Header] = ()
    answers: Sequence[Answer] = (Answer(),)
    refusals: Sequence[type[Refusal]] = ()


def document(operations: Iterable[Operation]) -> Json:
    """The OpenAPI document of these operations."""
    operations = list(operations)
    paths: dict[str, Json] = defaultdict(dict)
    for operation in operations:
        paths[operation.path][operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Zegelpost",
            "version": "1",
            "description": "Secure exchange of documents with people outside the organisation. Times are ISO 8601 in UTC; sizes"
            " are bytes. Every refusal is a problem (RFC 9457) with a stable `code`. Cookies are ignored.",
        },
        "servers": [{"url": PREFIX}],
        "security": [{"accessToken": []}],
        "paths": dict(paths),
        "components": {
            "schemas": {**_schemas(operations), **_PROBLEM_SCHEMAS},
            "securitySchemes": {"accessToken": {"type": "http", "scheme": "bearer", "description": "From `POST /sign-in`."}},
        },
    }


def _operation(operation: Operation) -> Json:
    described: Json = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": _responses(operation),
    }
    if parameters := _parameters(operation):
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = {"required": not operation.is_body_optional, "content": _content(operation.body)}
    if operation.is_open:
        described["security"] = []
    return described


def _content(body: type[BaseModel] | str) -> Json:
    if isinstance(body, str):
        return {body: {}}
    return {"application/json": {"schema": _ref(body)}}


def _parameters(operation: Operation) -> list[Json]:
    parameters: list[Json] = [
        {"name": name, "in": "path", "required": True, "schema": _IDENTIFIER} for name in _PARAMETER.findall(operation.path)
    ]
    if operation.query is not None:
        schema = operation.query.model_json_schema()
        parameters += [
            {"name": name, "in": "query", "required": name in schema.get("required", []), "schema": value}
            for name, value in schema["properties"].items()
        ]
    parameters += [
        {
            "name": header.name,
            "in": "header",
            "required": header.is_required,
            "description": header.description,
            "schema": {"type": "string"} | ({"pattern": header.pattern} if header.pattern else {}),
        }
        for header in operation.headers
    ]
    return parameters


def _responses(operation: Operation) -> Json:
    responses = {str(answer.status): _answer(answer) for answer in operation.answers}
    codes: dict[int, list[str]] = defaultdict(list)
    for refusal in (*operation.refusals, *_implied(operation)):
        status = ANSWERS[refusal].status
        if refusal.code not in codes[status]:
            codes[status].append(refusal.code)
    codes[503].append("outage")
    return responses | {str(status): _problem(status, names) for status, names in sorted(codes.items())}


def _implied(operation: Operation) -> list[type[Refusal]]:
    refusals: list[type[Refusal]] = []
    if not operation.is_open:
        refusals.append(SignInRequired)
    if isinstance(operation.body, type):
        refusals += [BodyTooLarge, InputInvalid]
    if operation.query is not None:
        refusals.append(InputInvalid)
    return refusals


def _answer(answer: Answer) -> Json:
    described: Json = {"description": answer.description}
    if answer.models:
        schemas = [_ref(model) for model in answer.models]
        described["content"] = {"application/json": {"schema": schemas[0] if len(schemas) == 1 else {"oneOf": schemas}}}
    elif answer.media_type is not None:
        described["content"] = {answer.media_type: {}}
    if answer.headers:
        described["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in answer.headers.items()
        }
    return described


def _problem(status: int, codes: Sequence[str]) -> Json:
    known = {"properties": {"code": {"enum": list(codes)}, "status": {"const": status}}}
    described: Json = {
        "description": "Refused: " + ", ".join(f"`{code}`" for code in codes) + ".",
        "content": {_PROBLEM_TYPE: {"schema": {"allOf": [{"$ref": _REFERENCE.format(model="Problem")}, known]}}},
    }
    if status == 401:  # noqa: PLR2004 - unauthorized
        described["headers"] = {"WWW-Authenticate": {"schema": {"const": "Bearer"}, "required": True}}
    return described


def _ref(model: type[BaseModel]) -> Json:
    return {"$ref": _REFERENCE.format(model=model.__name__)}


def _schemas(operations: Iterable[Operation]) -> Json:
    """What is sent is described as we read it, what comes back as we write it: there every field is present."""
    sent = {operation.body for operation in operations if isinstance(operation.body, type)}
    given = {model for operation in operations for answer in operation.answers for model in answer.models}
    modes = [(model, "validation") for model in sent] + [(model, "serialization") for model in given]
    modes.sort(key=lambda pair: pair[0].__name__)
    _, schema = models_json_schema(modes, ref_template=_REFERENCE)  # type: ignore[arg-type]  # a pair of literals
    schemas: Json = schema["$defs"]
    return schemas


_PROBLEM_SCHEMAS: Final[Json] = {
    "Problem": {
        "type": "object",
        "description": "Problem details (RFC 9457). Facts of the refusal, such as `limit`, stand beside these.",
        "required": ["type", "title", "status", "code"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string", "description": "A sentence for people, in the language of Accept-Language."},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "code": {"type": "string", "description": "Stable; made for programs."},
            "fields": {
                "type": "object",
                "description": "With `form_refused`: by the field's name, such as `recipients.0.mobile`.",
                "additionalProperties": {"$ref": _REFERENCE.format(model="FieldProblem")},
            },
            "problems": {
                "type": "array",
                "description": "With `input_invalid`: where the shape is wrong.",
                "items": {"$ref": _REFERENCE.format(model="ShapeProblem")},
            },
            "retry_after_seconds": {"type": "integer"},
        },
    },
    "FieldProblem": {
        "type": "object",
        "required": ["code", "detail"],
        "properties": {"code": {"type": "string"}, "detail": {"type": "string"}},
    },
    "ShapeProblem": {
        "type": "object",
        "required": ["place", "kind"],
        "properties": {"place": {"type": "string"}, "kind": {"type": "string"}},
    },
}
