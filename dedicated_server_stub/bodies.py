"""The bodies of the control calls, and the problem documents (RFC 9457) that say what is wrong with one."""

from http import HTTPStatus
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from starlette.responses import JSONResponse

from match_server.protocol import GameModeName, PlayerId, SessionId

MAX_BATCH = 64
MAX_KEY_LENGTH = 128

IdempotencyKey = Annotated[str, StringConstraints(min_length=1, max_length=MAX_KEY_LENGTH)]


class Create(BaseModel):
    """The body of `POST /session/create`."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    session_id: SessionId
    game_mode: GameModeName
    players: Annotated[tuple[PlayerId, ...], Field(min_length=1)]


class BatchEntry(Create):
    """One session of a batch."""

    idempotency_key: IdempotencyKey


class Batch(BaseModel):
    """The body of `POST /sessions/create`."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    sessions: Annotated[tuple[BatchEntry, ...], Field(min_length=1, max_length=MAX_BATCH)]


def problem(status: int, detail: str, **members: Any) -> JSONResponse:
    """Make a problem document; `members` are fields of its own, such as `error`."""
    title = HTTPStatus(status).phrase
    return JSONResponse(
        {"type": "about:blank", "title": title, "status": status, "detail": detail, **members},
        status_code=status,
        media_type="application/problem+json",
    )


def invalid_body(error: ValidationError) -> JSONResponse:
    """Say which field of a body is wrong: 400 when it is not JSON at all, else 422."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return problem(400, "the body is not JSON")
    field = ".".join(str(part) for part in first["loc"])
    return problem(422, f"{field or 'body'}: {first['msg']}", field=field)
