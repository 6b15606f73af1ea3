"""The HTTP calls of nodes and of the platform as OpenAPI 3.1 documents, from the types that the calls go by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Literal

from pydantic import TypeAdapter

from match_server import __version__
from match_server.config import Settings
from match_server.protocol import GameModeName, LoadingSessionId, PlayerId, ServerId, SessionId
from match_server.web import answers, platform_answers
from match_server.web.bodies import FORM, EndBody, EndManyBody, HeartbeatBody, LoginForm, RegisterBody

_SCHEMAS = "#/components/schemas/{model}"
_IN_PATH: Mapping[str, Any] = {
    "server_id": ServerId,
    "session_id": SessionId,
    "game_mode": GameModeName,
    "player_id": PlayerId,
    "match_id": LoadingSessionId,
}
_MAY_BE_EMPTY = (HeartbeatBody, EndBody)
_PLATFORM = {
    "url": f"http://127.0.0.1:{Settings.model_fields['platform_port'].default}",
    "description": "The platform, where MATCH_PLATFORM_PORT is not set",
}
_STATES = ("queued", "held", "loading", "allocating")


@dataclass(frozen=True, slots=True)
class Operation:
    """One call. `key` is whose it needs, where keys are set; `answer` is None for one without a body."""

    method: Literal["get", "post", "put", "delete"]
    path: str
    summary: str
    key: Literal["server", "operator"] | None
    answer: Any
    status: int = 200
    body: Any = None
    any_path: bool = False  # a name that nobody can have is answered as one that is gone
    query: Mapping[str, Any] = field(default_factory=dict)  # schemas of the query's parameters
    media_type: str = "application/json"  # of the answer
    form: bool = False  # the body is one, not JSON
    of: Literal["node", "platform", "dashboard"] = "node"

    @property
    def name(self) -> str:
        """Names it among all: `post_servers_server_id_drain`."""
        parts = [part.strip("{}.").replace("-", "_").replace(".", "_") for part in self.path.split("/") if part]
        return "_".join([self.method, *parts])


_PAGE = {
    "game_mode": {"type": "string"},
    "state": {"type": "string", "enum": list(_STATES)},
    "limit": {"type": "integer", "minimum": 1, "maximum": 500, "default": 100},
    "cursor": {"type": "string"},
}

OPERATIONS: tuple[Operation, ...] = (
    Operation("post", "/servers", "Register a dedicated server", "server", answers.Registered, 201, RegisterBody),
    Operation("put", "/servers/{server_id}/heartbeat", "Still there", "server", answers.Heard, body=HeartbeatBody),
    Operation(
        "post", "/servers/{server_id}/sessions/{session_id}/end", "A session is over", "server", None, 204, EndBody
    ),
    Operation("post", "/servers/{server_id}/sessions/end", "Sessions are over", "server", None, 204, EndManyBody),
    Operation("delete", "/servers/{server_id}", "A dedicated server leaves", "server", None, 204, any_path=True),
    Operation("get", "/servers", "Every dedicated server and its slots", "operator", answers.Servers),
    Operation("get", "/servers/{server_id}", "One dedicated server", "operator", answers.Server),
    Operation("post", "/servers/{server_id}/drain", "Give it no more sessions", "operator", answers.Drained),
    Operation("get", "/queues", "Every game mode", "operator", answers.Queues),
    Operation("get", "/queues/{game_mode}", "One game mode", "operator", answers.QueueInDepth),
    Operation("post", "/queues/{game_mode}/pause", "Let nobody in, form no match", "operator", answers.Paused),
    Operation("post", "/queues/{game_mode}/resume", "Let it go on", "operator", answers.Paused),
    Operation("post", "/queues/{game_mode}/clear", "Take out everybody who waits", "operator", answers.Cleared),
    Operation("get", "/players", "Who is placed, loads, waits or is held", "operator", answers.Players, query=_PAGE),
    Operation("get", "/players/{player_id}", "Where a player is", "operator", answers.Player),
    Operation("get", "/players/{player_id}/explanation", "Why it waits", "operator", answers.Explanation),
    Operation("delete", "/players/{player_id}/journey", "Take a player out", "operator", None, 204),
    Operation("get", "/nodes", "Every node of the pool", "operator", answers.Nodes),
    Operation("get", "/.well-known/jwks.json", "The keys that check join tokens and calls", None, answers.KeySet),
    Operation("get", "/openapi.json", "This document", None, dict[str, Any]),
    Operation("get", "/healthz", "The process is alive", None, answers.Alive),
    Operation("get", "/readyz", "The node can work", None, answers.Ready),
    Operation("get", "/metrics", "For Prometheus", None, str, media_type="text/plain"),
    Operation(
        "post", "/login", "Open an operator's session, kept in a cookie", None, None, 204, LoginForm, form=True,
        of="dashboard",
    ),
    Operation("post", "/logout", "Have the browser forget the session", None, None, 204, of="dashboard"),
    Operation("get", "/dashboard/session", "Who looks", "operator", answers.OperatorSession, of="dashboard"),
    Operation(
        "get", "/dashboard/live", "The pool, as Server-Sent Events", "operator", str, media_type="text/event-stream",
        of="dashboard",
    ),
)  # fmt: skip

_PERIOD = {name: {"type": "string", "format": "date-time"} for name in ("since", "until")}
_MODE = {"game_mode": TypeAdapter(GameModeName).json_schema()}
_ONE_PLAYER = {"player_id": TypeAdapter(PlayerId).json_schema()}
_PART = {name: _PAGE[name] for name in ("limit", "cursor")}
_CHOICE = {name: {"type": "array", "items": {"type": "string"}} for name in ("type", "subject")}

# Those that nodes have as well are described with theirs.
PLATFORM_OPERATIONS: tuple[Operation, ...] = tuple(
    replace(operation, of="platform")
    for operation in (
        Operation(
            "get", "/matches", "Matches, newest first", "operator", platform_answers.Matches,
            query={**_ONE_PLAYER, **_MODE, **_PERIOD, **_PART},
        ),
        Operation("get", "/matches/{match_id}", "One match", "operator", platform_answers.Match, any_path=True),
        Operation(
            "get", "/players/{player_id}/history", "The events about a player, newest first", "operator",
            platform_answers.PlayerEvents, query=_PART,
        ),
        Operation(
            "get", "/stats", "Per game mode and hour", "operator", platform_answers.Stats, query={**_MODE, **_PERIOD}
        ),
        Operation(
            "get", "/events", "Events as they come, as Server-Sent Events", "operator", str, query=_CHOICE,
            media_type="text/event-stream",
        ),
        Operation("get", "/events/schemas", "A JSON Schema for each type of event", "operator", dict[str, Any]),
        Operation("get", "/openapi.json", "The calls of the platform", None, dict[str, Any]),
        Operation("get", "/healthz", "The process is alive", None, answers.Alive),
        Operation("get", "/readyz", "Every sink stores", None, answers.Ready),
        Operation("get", "/metrics", "For Prometheus", None, str, media_type="text/plain"),
    )
)  # fmt: skip


def document() -> dict[str, Any]:
    """The OpenAPI document of every HTTP call, of nodes and of the platform."""
    of_nodes = {(operation.method, operation.path) for operation in OPERATIONS}
    others = [operation for operation in PLATFORM_OPERATIONS if (operation.method, operation.path) not in of_nodes]
    described = _document([*OPERATIONS, *others])
    for operation in others:
        described["paths"][operation.path]["servers"] = [_PLATFORM]
    return described


def platform_document() -> dict[str, Any]:
    """That of the platform alone."""
    return _document(PLATFORM_OPERATIONS)


def _document(operations: Sequence[Operation]) -> dict[str, Any]:
    types: list[Any] = [answers.Problem]
    types += [each for operation in operations for each in (operation.answer, operation.body) if each is not None]
    wanted = {repr(each): each for each in types}
    references, schemas = TypeAdapter.json_schemas(
        [(name, "validation", TypeAdapter(each)) for name, each in wanted.items()], ref_template=_SCHEMAS
    )
    schema_of = {name: references[name, "validation"] for name in wanted}
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": "match-server", "version": __version__, "license": {"name": "MIT", "identifier": "MIT"}},
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                name: {"type": "http", "scheme": "bearer", "description": f"The key of {name}s, where one is set"}
                for name in ("server", "operator")
            },
        },
    }


def _operation(operation: Operation, schema_of: Mapping[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.of],
        "parameters": [
            *(_path_parameter(name, any_text=operation.any_path) for name in _names_in(operation.path)),
            *_query_parameters(operation.query),
        ],
        "responses": {
            str(operation.status): _response(operation, schema_of),
            "default": {
                "description": "Refused; `status` and `detail` say why",
                "content": {"application/problem+json": {"schema": schema_of[repr(answers.Problem)]}},
            },
        },
    }
    if operation.key:
        described["security"] = [{operation.key: []}, {}]
    if operation.body:
        schema = schema_of[repr(operation.body)]
        described["requestBody"] = {
            "required": operation.body not in _MAY_BE_EMPTY,
            "content": {FORM if operation.form else "application/json": {"schema": schema}},
        }
    return described


def _response(operation: Operation, schema_of: Mapping[str, Any]) -> dict[str, Any]:
    if operation.answer is None:
        return {"description": HTTPStatus(operation.status).phrase}
    schema = schema_of[repr(operation.answer)]
    return {"description": HTTPStatus(operation.status).phrase, "content": {operation.media_type: {"schema": schema}}}


def _names_in(path: str) -> list[str]:
    return [part.strip("{}") for part in path.split("/") if part.startswith("{")]


def _path_parameter(name: str, *, any_text: bool) -> dict[str, Any]:
    schema = {"type": "string"} if any_text else TypeAdapter(_IN_PATH[name]).json_schema()
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(query: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in query.items()]
