"""The wire: every message between a client and the service, decoded and encoded. No I/O.

The Lua scripts write the frames of a player's journey themselves (one JSON text, published as it is);
`tests/store/test_frames.py` holds them against the models here. `docs/protocol.md` is tested against them too.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic_core import from_json

from match_server.errors import CloseCode, ErrorCode, InvalidMessage

__all__ = ["CloseCode", "ErrorCode", "InvalidMessage"]  # clients import nothing but this module

PLAYER_ID_PATTERN = r"^[A-Za-z0-9_.@:\-]{1,64}$"
GAME_MODE_PATTERN = r"^[A-Za-z0-9_.\-]{1,64}$"
UUID_PATTERN = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
# A dedicated server may pick its own session id; it becomes a Redis field and a path segment.
SESSION_ID_PATTERN = r"^[A-Za-z0-9_.@:\-]{1,128}$"

# What a dedicated server is registered under; it becomes part of a key and a path segment.
SERVER_ID_PATTERN = r"^[A-Za-z0-9_.\-]{1,64}$"

# Handed to players as it is: any text on one line that is not blank.
ADDRESS_PATTERN = r"^[^\x00-\x1f\x7f]*[^\x00-\x1f\x7f\s][^\x00-\x1f\x7f]*$"

PlayerId = Annotated[str, StringConstraints(pattern=PLAYER_ID_PATTERN)]
GameModeName = Annotated[str, StringConstraints(pattern=GAME_MODE_PATTERN)]
LoadingSessionId = Annotated[str, StringConstraints(pattern=UUID_PATTERN)]
SessionId = Annotated[str, StringConstraints(pattern=SESSION_ID_PATTERN)]
ServerId = Annotated[str, StringConstraints(pattern=SERVER_ID_PATTERN)]
ResumeToken = Annotated[str, StringConstraints(min_length=1, max_length=3072)]
PartySize = Annotated[int, Field(ge=1, le=100)]

# What a refused field should have looked like, in the words of the `error` frame.
_EXPECTED = {
    "player_id": "1 to 64 characters of A-Z a-z 0-9 _ . @ : -",
    "game_mode": "1 to 64 characters of A-Z a-z 0-9 _ . -",
    "loading_session_id": "a UUID in its 36-character form",
    "party_id": "1 to 64 characters of A-Z a-z 0-9 _ . @ : -",
    "party_size": "an integer from 1 to 100",
    "resume_token": "the token of a `queued` or `resumed` message",
    "type": "one of enqueue, dequeue, loading_complete, resume, status, ping",
}


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


# --- client to server ---


class Enqueue(_Message):
    """Join the queue of a game mode."""

    type: Literal["enqueue"] = "enqueue"
    player_id: PlayerId
    game_mode: GameModeName
    # Anything is taken here: a mode that is drawn at random ignores it, and the others name what is wrong.
    attributes: Any = Field(None, json_schema_extra={"anyOf": [{"type": "object"}, {"type": "null"}]})
    party_id: PlayerId | None = None
    party_size: PartySize | None = None


class Dequeue(_Message):
    """Leave the queue, or a loading session (the others are then requeued)."""

    type: Literal["dequeue"] = "dequeue"
    player_id: PlayerId | None = None
    game_mode: GameModeName | None = None


class LoadingComplete(_Message):
    """This player's client has finished loading. Repeating it is harmless."""

    type: Literal["loading_complete"] = "loading_complete"
    loading_session_id: LoadingSessionId


class Resume(_Message):
    """Take the player over on this connection after a lost one."""

    type: Literal["resume"] = "resume"
    player_id: PlayerId
    resume_token: ResumeToken


class AskStatus(_Message):
    """Answered with `status`, in every state."""

    type: Literal["status"] = "status"


class Ping(_Message):
    """Answered with `pong`."""

    type: Literal["ping"] = "ping"


ClientMessage: TypeAlias = Enqueue | Dequeue | LoadingComplete | Resume | AskStatus | Ping

# --- server to client ---

CancelReason: TypeAlias = Literal["player_left", "loading_timeout", "allocation_failed", "state_lost"]
DequeueReason: TypeAlias = Literal[
    "requested",
    "loading_timeout",
    "queue_timeout",
    "disconnected",
    "refused",
    "party_timeout",
    "party_left",
    "operator",
]
JourneyState: TypeAlias = Literal["gathering", "queued", "loading", "allocating", "matched"]


class _JourneyMessage(_Message):
    seq: int = 0  # grows for each player; 0 only in the frames of a service that does not number them


class Queued(_JourneyMessage):
    """In the queue; also after a cancelled match put the player back."""

    type: Literal["queued"] = "queued"
    game_mode: str = ""
    resume_token: str = ""
    requeued: bool = False
    ticket_id: str | None = None  # where rules form the matches
    estimated_wait_seconds: float | None = None  # there alone; null when unknown


class Party(_JourneyMessage):
    """Another member of the party has arrived. Once all are there each gets `queued`."""

    type: Literal["party"] = "party"
    party_id: str
    members: tuple[str, ...] = Field(strict=False)
    missing: int
    timeout_seconds: float
    resume_token: str = ""


class _SettledMessage(_JourneyMessage):
    """What rules have settled; all absent where a match was drawn at random."""

    teams: dict[str, tuple[str, ...]] | None = Field(None, strict=False)
    roles: dict[str, str] | None = None
    region: str | None = None
    properties: dict[str, Any] | None = None
    rules_version: str | None = None


class StartLoading(_SettledMessage):
    """Matched; load now."""

    type: Literal["start_loading"] = "start_loading"
    loading_session_id: str
    game_mode: str = ""
    players: tuple[str, ...] = Field(default=(), strict=False)
    timeout_seconds: float = 0


class MatchCancelled(_JourneyMessage):
    """That loading session is over; with `requeued: true` a `queued` follows."""

    type: Literal["match_cancelled"] = "match_cancelled"
    loading_session_id: str
    reason: CancelReason
    requeued: bool


class MatchFound(_SettledMessage):
    """Connect to the dedicated server. At most once per connection and session."""

    type: Literal["match_found"] = "match_found"
    session_id: str
    join_token: str | None = None
    server_address: str
    game_mode: str = ""
    players: tuple[str, ...] = Field(default=(), strict=False)
    loading_session_id: str = ""


class Dequeued(_JourneyMessage):
    """No longer in any queue."""

    type: Literal["dequeued"] = "dequeued"
    reason: DequeueReason
    player_id: str | None = None  # with party_left: the member that left


class Resumed(_JourneyMessage):
    """The first answer to `resume`; the frame of `state` follows."""

    type: Literal["resumed"] = "resumed"
    state: JourneyState
    game_mode: str
    loading_session_id: str | None = None
    resume_token: str


class Status(_Message):
    """The answer to `status`."""

    type: Literal["status"] = "status"
    state: JourneyState | Literal["none"]
    waited_seconds: float | None = None  # since the enqueue, while waiting, loading or being placed
    estimated_wait_seconds: float | None = None  # of such tickets, from the enqueue on; null when unknown
    explanation: Mapping[str, Any] | None = None  # while waiting


class Pong(_Message):
    """The answer to `ping`."""

    type: Literal["pong"] = "pong"


class Error(_Message):
    """The request was refused."""

    type: Literal["error"] = "error"
    code: ErrorCode = Field(strict=False)
    message: str
    state: JourneyState | None = None  # with too_late, and with already_in_queue for an authenticated player
    game_mode: str | None = None  # with already_in_queue, for an authenticated player that is in another mode
    loading_session_id: str | None = None  # with too_late
    retry_after_seconds: float | None = None  # with rate_limited and server_busy
    error_id: str | None = None  # with internal_error


ServerMessage: TypeAlias = (
    Party | Queued | StartLoading | MatchCancelled | MatchFound | Dequeued | Resumed | Status | Pong | Error
)

CLIENT_MESSAGES: tuple[type[ClientMessage], ...] = get_args(ClientMessage)
SERVER_MESSAGES: tuple[type[ServerMessage], ...] = get_args(ServerMessage)

# Built once: an adapter built per message costs a hundred times the validation itself.
_CLIENT: TypeAdapter[ClientMessage] = TypeAdapter(Annotated[ClientMessage, Field(discriminator="type")])
_SERVER: TypeAdapter[ServerMessage] = TypeAdapter(Annotated[ServerMessage, Field(discriminator="type")])


def _refuse_not_a_number(text: str) -> None:
    """Pydantic takes NaN and Infinity for JSON, which RFC 8259 does not. The second parse is for suspects alone."""
    if "NaN" in text or "Infinity" in text:
        from_json(text, allow_inf_nan=False)


def decode_client(text: str) -> ClientMessage:
    """Decode one text frame of a client.

    Raises:
        InvalidMessage: it is not JSON, has an unknown `type`, or a field is missing or malformed;
            the text names the field and what was expected.
    """
    try:
        _refuse_not_a_number(text)
        return _CLIENT.validate_json(text)
    except ValidationError as error:
        raise InvalidMessage(_explain(error)) from None
    except ValueError:
        raise InvalidMessage("expected a JSON object") from None


def decode_server(text: str | bytes) -> ServerMessage:
    """Decode one text frame of the service, as a client does. Unknown fields are ignored.

    Raises:
        InvalidMessage: the frame is none of the protocol's.
    """
    try:
        return _SERVER.validate_json(text)
    except ValidationError as error:
        raise InvalidMessage(_explain(error)) from None


def encode(message: ClientMessage | ServerMessage) -> str:
    """Encode a message as the JSON text of one frame; fields that are None are left out, but of a `status`."""
    return message.model_dump_json(exclude_none=not isinstance(message, Status))


def error_frame(code: ErrorCode, message: str, **details: Any) -> str:
    """Encode an `error` frame; `details` are the optional fields of `Error`."""
    return encode(Error(code=code, message=message, **details))


def _explain(error: ValidationError) -> str:
    """Say in one line which field of a frame is wrong and what was expected there."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    kind, where = first["type"], first["loc"]
    if kind == "json_invalid":
        return "expected a JSON object"
    if kind in {"union_tag_not_found", "union_tag_invalid"}:
        return f"type: expected {_EXPECTED['type']}"
    if len(where) < 2:  # the tag alone: the frame as a whole is no object
        return f"expected a JSON object with type: {_EXPECTED['type']}"
    field = str(where[1])
    missing = "is missing; " if kind == "missing" else ""
    return f"{field}: {missing}expected {_EXPECTED.get(field, first['msg'])}"


def problem_detail(body: bytes | bytearray | None) -> str:
    """What a refusal over HTTP says (a problem document, RFC 9457); empty for any other body."""
    try:
        document = from_json(body or b"{}")
    except ValueError:
        return ""
    return str(document.get("detail", "")) if isinstance(document, dict) else ""
