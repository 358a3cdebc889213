"""``GET /openapi.json``: OpenAPI 3.1 made from the routes themselves and the types that validate."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

import msgspec
from aiohttp import web

from placet_server.domain.refusals import CODES, Code
from placet_server.faces import Face
from placet_server.web import facedocs
from placet_server.web.gate import Call, Doc, Gate, Route
from placet_server.web.problems import HEADERS, TABLE

TYPED: Final = frozenset({"native", "device"})
"""Faces whose bodies and answers are types of this program; the others follow documents of their own."""

PROOF: Final = "Placet-Proof"
_VARIABLE: Final = re.compile(r"\{([a-z_]+):((?:[^{}]|\{[^{}]*\})+)\}")
_REF: Final = "#/components/schemas/{name}"
_ALWAYS: Final[tuple[Code, ...]] = ("internal", "unavailable")
_WITH_KEY: Final[tuple[Code, ...]] = ("unauthorized", "forbidden", "rate_limited")
_WITH_BODY: Final[tuple[Code, ...]] = ("invalid_request", "timeout", "too_large", "unsupported_media_type")


class Problem(msgspec.Struct, omit_defaults=True):
    """RFC 9457 problem. ``code`` is stable; ``type`` points to its meaning."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    state: str | None = None
    retry_after: int | None = None


def mount(gate: Gate, router: web.UrlDispatcher, face: Face) -> None:
    """Serve the description; add it after all routes that it is to describe."""
    made: list[bytes] = []

    async def get(_request: web.Request, _call: Call) -> web.Response:
        if not made:
            made.append(msgspec.json.encode(document(gate.routes)))
        response = web.Response(body=made[0], headers=HEADERS)
        response.headers["Cache-Control"] = "public, max-age=300"
        return response

    gate.add(
        router,
        "GET",
        "/openapi.json",
        get,
        face=face,
        doc=Doc("This description", dict[str, Any], open="A constant document without data."),
    )


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """The OpenAPI document of these routes."""
    shown = {(route.method, facedocs.usual(route.path)): route for route in reversed(list(routes))}
    kinds = [
        kind
        for route in shown.values()
        if route.doc
        for kind in (route.doc.answer, route.doc.body, route.doc.query)
        if kind is not None
    ]
    schemas, components = msgspec.json.schema_components([*kinds, Problem], ref_template=_REF)
    components["Problem"]["properties"]["code"] = {"type": "string", "enum": list(CODES)}
    by_kind = dict(zip([_key(kind) for kind in kinds], schemas, strict=False))
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), route in reversed(shown.items()):
        typed = route.face in TYPED
        if not typed and (method, path) not in facedocs.TABLE:
            continue
        told = _operation(route, by_kind, components) if typed else facedocs.operation(method, path)
        if variables := _path_parameters(route):
            told["parameters"] = variables + told.get("parameters", [])
        paths.setdefault(path, {})[method.lower()] = {
            "tags": [route.face],
            "operationId": _operation_id(method, path, route.face),
            **told,
        }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Placet",
            "version": version("placet"),
            "description": "Approvals on a person's own device, soft tokens, and one-time codes. Times are RFC 3339 in UTC.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "apiKey": {"type": "http", "scheme": "bearer", "description": "plk_… of an application"},
                "deviceProof": {"type": "apiKey", "in": "header", "name": PROOF},
                **facedocs.SCHEMES,
            },
        },
    }


def _operation(route: Route, schemas: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    doc = route.doc or Doc(f"{route.method} {route.path}")
    parameters = [] if doc.query is None else _query_parameters(schemas[_key(doc.query)], components)
    parameters += [
        {"name": name, "in": "header", "required": False, "schema": {"type": "string"}}
        for name in doc.headers
    ]
    operation: dict[str, Any] = {
        "summary": doc.summary,
        "security": _security(route, doc),
        "responses": _responses(route, doc, schemas),
    }
    if route.scope:
        operation["description"] = f"Needs a key with scope `{route.scope}`."
    elif doc.open:
        operation["description"] = doc.open
    if parameters:
        operation["parameters"] = parameters
    if doc.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {doc.media: {"schema": schemas[_key(doc.body)]}},
        }
    return operation


def _security(route: Route, doc: Doc) -> list[dict[str, list[str]]]:
    if route.scope is not None:
        return [{"apiKey": []}]
    return [{"deviceProof": []}] if doc.proven else []


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    if "{api:" in route.path:  # a path in another spelling
        return []
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": f"^(?:{pattern})$" if "|" in pattern else f"^{pattern}$"},
        }
        for name, pattern in _VARIABLE.findall(route.path)
    ]


def _responses(route: Route, doc: Doc, schemas: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": doc.summary}
    if doc.answer is not None:
        answer["content"] = {doc.answer_media: {"schema": schemas[_key(doc.answer)]}}
    elif doc.status == 200:
        answer["content"] = {doc.answer_media: {"schema": {"type": "string"}}}
    if doc.answer_headers:
        answer["headers"] = {name: {"schema": {"type": "string"}} for name in doc.answer_headers}
    responses = {str(status): answer for status in sorted({doc.status, *doc.other_statuses})}
    codes = _codes(route, doc)
    by_status: dict[int, list[str]] = {}
    for code in CODES:
        if code in codes:
            by_status.setdefault(TABLE[code].status, []).append(code)
    for status, named in sorted(by_status.items()):
        responses[str(status)] = {
            "description": f"{HTTPStatus(status).phrase}: " + ", ".join(f"`{code}`" for code in named),
            "content": {"application/problem+json": {"schema": {"$ref": _REF.format(name="Problem")}}},
        }
    return responses


def _codes(route: Route, doc: Doc) -> set[Code]:
    """Every code that a route may answer."""
    codes = set(doc.refusals) | set(_ALWAYS)
    if route.scope is not None:
        codes |= set(_WITH_KEY)
    if doc.body is not None:
        codes |= set(_WITH_BODY)
    if doc.query is not None:
        codes.add("invalid_request")
    if _VARIABLE.search(route.path):
        codes.add("not_found")
    return codes


def _query_parameters(schema: dict[str, Any], components: dict[str, Any]) -> list[dict[str, Any]]:
    resolved = components[schema["$ref"].rpartition("/")[2]]
    required = set(resolved.get("required", ()))
    return [
        {"name": name, "in": "query", "required": name in required, "schema": member}
        for name, member in resolved["properties"].items()
    ]


def _operation_id(method: str, path: str, face: str) -> str:
    if face not in TYPED:
        return f"{face}_{method.lower()}_{re.sub(r'[^a-z]+', '_', path.lower()).strip('_')}"
    words = [word for word in re.split(r"[^a-z]+", re.sub(r"\{\w+\}", "", path).lower()) if word != "v"]
    suffix = "_by_id" if path.endswith("}") or "/{id}" in path else ""
    return "_".join([method.lower(), *filter(None, words)]) + suffix


def _key(kind: Any) -> str:  # noqa: ANN401 - any type that msgspec knows
    return repr(kind)
