"""The messages of a room, both ways, as they read in JSON. `frames` turns them into frames and back."""

from typing import Annotated, Any, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from dedicated_server_stub.game import FIELDS, SCALE, Player, Reason

MAX_CHAT_LENGTH = 200
MAX_SEQ = 2**31 - 1

# A sint32 of thousandths holds every number up to this.
Number = Annotated[float, Meta(ge=-2_000_000, le=2_000_000)]
Seq = Annotated[int, Meta(ge=1, le=MAX_SEQ)]
Id = Annotated[str, Meta(min_length=1, max_length=64)]


class Message(Struct, tag_field="type", omit_defaults=True):
    """A message; `type` names its kind. Fields that nobody knows are ignored."""


class Join(Message, tag="join"):
    """The first message: who comes."""

    join_token: Annotated[str, Meta(min_length=1, max_length=4096)]


class Move(Message, tag="move"):
    """The player wants to stand at this place."""

    seq: Seq
    x: Number
    y: Number
    z: Number
    yaw: Number


class Tag(Message, tag="tag"):
    """The player wants to tag another."""

    seq: Seq
    player_id: Id


class Chat(Message, tag="chat"):
    """The player says something."""

    text: Annotated[str, Meta(min_length=1, max_length=MAX_CHAT_LENGTH)]


class Ack(Message, tag="ack"):
    """An acknowledged message has arrived."""

    id: Seq


class Snapshot(Message, tag="snapshot"):
    """The player wants the full state."""


class Leave(Message, tag="leave"):
    """The player leaves for good."""


class Ping(Message, tag="ping"):
    """Answered with `pong`."""


ClientMessage: TypeAlias = Join | Move | Tag | Chat | Ack | Snapshot | Leave | Ping


class PlayerState(Struct, frozen=True, omit_defaults=True):
    """A player, or what has changed of one: fields that are not set have not. `number` is there with everything."""

    player_id: str
    x: float | UnsetType = UNSET
    y: float | UnsetType = UNSET
    z: float | UnsetType = UNSET
    yaw: float | UnsetType = UNSET
    score: int | UnsetType = UNSET
    seq: int | UnsetType = UNSET
    team: str | UnsetType = UNSET
    number: int | UnsetType = UNSET


class Said(Struct, frozen=True):
    """A line of the chat."""

    player_id: str
    text: str
    tick: int


class Welcome(Message, tag="welcome"):
    """The player is in. `speed` is units a second."""

    session_id: str
    player_id: str
    tick: int
    tick_hz: float
    bounds: dict[str, tuple[float, float]]
    speed: float
    players: list[PlayerState]
    chat: list[Said]


class PlayerJoined(Message, tag="player_joined"):
    """Another player has come, or come back."""

    player_id: str
    rejoining: bool


class PlayerLeft(Message, tag="player_left"):
    """A player has gone; `rejoining`: its connection is lost and it may come back."""

    player_id: str
    rejoining: bool


class State(Message, tag="state"):
    """What has changed since the last state that this client got; `full`: everything.

    `out_of_sight`: players who are not seen any more, where not everybody sees everybody.
    """

    tick: int
    players: list[PlayerState]
    full: bool = False
    out_of_sight: list[str] = []


class Told(Message, tag="chat"):
    """Somebody has said something."""

    player_id: str
    text: str
    tick: int


class Tagged(Message, tag="tagged"):
    """A player has tagged another. Acknowledged."""

    id: int
    by: str
    player_id: str
    scores: dict[str, int]


class Rejected(Message, tag="rejected"):
    """An intent has changed nothing; here is where the player really is."""

    seq: int
    reason: str
    x: float
    y: float
    z: float
    yaw: float


class Ended(Message, tag="ended"):
    """The game is over. Acknowledged."""

    id: int
    result: dict[str, Any]


class Notice(Message, tag="notice"):
    """What the operators have to say. Acknowledged."""

    id: int
    text: str


class Error(Message, tag="error"):
    """A message was refused; the connection stays open."""

    code: str
    message: str
    retry_after_seconds: float | UnsetType = UNSET


class Pong(Message, tag="pong"):
    """The answer to `ping`."""


Acknowledgeable: TypeAlias = Tagged | Ended | Notice
ServerMessage: TypeAlias = (
    Welcome | PlayerJoined | PlayerLeft | State | Told | Acknowledgeable | Rejected | Error | Pong
)


def state_of(player: Player, *, since: int | None) -> PlayerState | None:
    """What has changed of a player after the tick `since`, with its `seq`; everything when that is None.

    Returns:
        None when nothing has changed.
    """
    names = FIELDS if since is None else [name for name in FIELDS if player.changed[name] > since]
    if not names:
        return None
    values: dict[str, Any] = {"seq": player.seq}
    for name in names:
        value = getattr(player, name)
        if name in {"x", "y", "z", "yaw"}:
            value /= SCALE
        if value is not None:
            values[name] = value
    return PlayerState(player.player_id, **values)


def rejection(player: Player, seq: int, reason: Reason) -> Rejected:
    """Say why an intent is rejected, and where the player really is."""
    x, y, z, yaw = (value / SCALE for value in (player.x, player.y, player.z, player.yaw))
    return Rejected(seq=seq, reason=reason.value, x=x, y=y, z=z, yaw=yaw)
