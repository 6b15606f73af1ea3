"""Bodies of requests: read within a size limit, then parsed and checked, before anything acts on them."""

import asyncio
import difflib
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails, from_json
from starlette.requests import ClientDisconnect, Request

from match_server.protocol import ADDRESS_PATTERN, GameModeName, ServerId, SessionId
from match_server.web.problems import Refused

FORM = "application/x-www-form-urlencoded"
SHOWN_CHARACTERS = 64  # of a name that somebody else has chosen
_BODY_SECONDS = 10.0
_LIMIT_BYTES = 8 * 1024 * 1024  # a heartbeat may list 100,000 sessions

B = TypeVar("B", bound=BaseModel)

Incarnation = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:\-]{1,64}$")]
Address = Annotated[str, StringConstraints(max_length=512, pattern=ADDRESS_PATTERN)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class RegisterBody(_Body):
    """`POST /servers`. Fields that nobody knows are kept, to warn of them (doubts.py)."""

    model_config = ConfigDict(extra="allow")

    server_id: ServerId | None = None
    incarnation: Incarnation | None = None
    control_url: Annotated[str, StringConstraints(min_length=1, max_length=2048)]
    address: Address
    capacity: int = Field(ge=1, le=100_000)
    batch: bool | None = None
    max_session_seconds: float | None = Field(None, gt=0, le=31_536_000, allow_inf_nan=False)
    active_sessions: list[SessionId] | None = Field(None, max_length=100_000)
    game_modes: list[GameModeName] | None = Field(None, max_length=100)
    region: Annotated[str, StringConstraints(max_length=64, pattern=r"^[\x20-\x7e]*$")] | None = None
    pool: Annotated[str, StringConstraints(max_length=64)] | None = None


class HeartbeatBody(_Body):
    """`PUT /servers/{server_id}/heartbeat`. Fields that nobody knows are kept, to warn of them (doubts.py)."""

    model_config = ConfigDict(extra="allow")

    incarnation: Incarnation | None = None
    active_sessions: list[SessionId] | None = Field(None, max_length=100_000)
    draining: bool | None = None


class EndBody(_Body):
    """`POST /servers/{server_id}/sessions/{session_id}/end`."""

    result: Any = None


class EndedSession(_Body):
    """A session of `EndManyBody`."""

    session_id: SessionId
    result: Any = None


class EndManyBody(_Body):
    """`POST /servers/{server_id}/sessions/end`: sessions that are over, with or without results."""

    session_ids: list[SessionId] = Field([], max_length=1_000)
    sessions: list[EndedSession] = Field([], max_length=1_000)


class LoginForm(_Body):
    """The body of `POST /login`, the one that is a form."""

    key: str = Field(description="An operator's")


async def read_bytes(request: Request, *, most: int) -> bytes:
    """Read a body of `most` bytes.

    Raises:
        Refused: 408 too slow, 413 too large, 400 it ended early.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise Refused(413, f"the body is larger than {most} bytes")
    except ClientDisconnect:
        raise Refused(400, "the body ended early") from None
    except TimeoutError:
        raise Refused(408, f"the body took longer than {_BODY_SECONDS:g} s") from None
    return bytes(body)


async def read_body(request: Request, model: type[B], *, empty: bytes | None = None) -> B:
    """Read and check a JSON body; `empty` is taken where there is none.

    Raises:
        Refused: 408 too slow, 413 too large, 400 not JSON, 422 with one entry per wrong field.
    """
    content = await read_bytes(request, most=_LIMIT_BYTES)
    try:
        if b"NaN" in content or b"Infinity" in content:  # pydantic takes them for JSON, which RFC 8259 does not
            from_json(content, allow_inf_nan=False)
        return model.model_validate_json(content or (empty or b""))
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False, include_context=False)
        if details[0]["type"] == "json_invalid":
            raise Refused(400, "the body is not JSON") from None
        known = set(model.model_fields)
        unknown = [name for name in _fields(content) if name not in known]
        wrong = [
            {"field": ".".join(map(str, detail["loc"])), "expected": detail["msg"] + _misspelt(detail, unknown)}
            for detail in details[:10]
        ]
        first = wrong[0]
        text = f"{first['field']}: {first['expected']}" if first["field"] else "expected a JSON object"
        raise Refused(422, text, errors=wrong) from None
    except ValueError:
        raise Refused(400, "the body is not JSON") from None


def _fields(content: bytes) -> list[str]:
    body = from_json(content)
    return list(body) if isinstance(body, dict) else []


def _misspelt(detail: ErrorDetails, unknown: Sequence[str]) -> str:
    """What the body has in the place of a field that is missing: most likely the same, spelt wrongly."""
    near = difflib.get_close_matches(str(detail["loc"][-1]), unknown, n=1) if detail["type"] == "missing" else []
    return f"; the body has {near[0][:SHOWN_CHARACTERS]!r}" if near else ""
