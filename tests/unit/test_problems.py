"""Errors over HTTP are problem documents (RFC 9457)."""

import asyncio
import json
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from match_server.web.problems import Refused, on_http_exception, on_refused, problem


def call(method: str, path: str, error: Exception | None = None) -> httpx.Response:
    async def endpoint(_: Request) -> Response:
        if error:
            raise error
        return Response("fine")

    handlers: dict[Any, Any] = {Refused: on_refused, HTTPException: on_http_exception}
    application = Starlette(routes=[Route("/x", endpoint)], exception_handlers=handlers)

    async def scenario() -> httpx.Response:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
            return await client.request(method, path)

    return asyncio.run(scenario())


@pytest.mark.parametrize("status", [400, 422, 503])
def test_a_problem_names_its_status_twice_and_says_what_is_wrong(status: int) -> None:
    answer = call("GET", "/x", Refused(status, "capacity: too small", errors=[{"field": "capacity"}]))
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,  # which is not the same in all versions of Python
        "status": status,
        "detail": "capacity: too small",
        "errors": [{"field": "capacity"}],
    }
    assert "www-authenticate" not in answer.headers


def test_a_missing_key_says_how_to_authenticate() -> None:
    answer = call("GET", "/x", Refused(401, "Authorization: expected Bearer"))
    assert answer.headers["www-authenticate"] == "Bearer"


def test_an_unknown_path_and_a_wrong_method_are_problems_too() -> None:
    missing = call("GET", "/nowhere")
    assert (missing.status_code, missing.json()["title"]) == (404, "Not Found")
    wrong = call("POST", "/x")
    assert (wrong.status_code, wrong.json()["title"]) == (405, "Method Not Allowed")
    assert "GET" in wrong.headers["allow"]
    for answer in (missing, wrong):
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_refused_handshake_is_answered_with_the_problem() -> None:
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    asyncio.run(problem(503, "too many connections", headers={"Retry-After": "1"}).as_denial(send))
    start, body = sent
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 503)
    headers = dict(start["headers"])
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"retry-after"] == b"1"
    assert body["type"] == "websocket.http.response.body"
    assert json.loads(body["body"])["detail"] == "too many connections"
