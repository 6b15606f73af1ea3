"""What the HTTP calls answer. `GET /openapi.json` is made from these types, and mypy holds the calls to them."""

from typing import Any, Literal, NotRequired, TypeAlias

from typing_extensions import TypedDict  # pydantic takes that of `typing` from Python 3.12 on

from match_server.protocol import JourneyState
from match_server.setting_types import Role
from match_server.store.blocked_by import BlockedBy

ServerState: TypeAlias = Literal["live", "draining", "quarantined", "full"]


class Problem(TypedDict):
    """Why a call was refused (RFC 9457). A wrong field is named in `detail`; `errors` lists up to ten of them."""

    type: str
    title: str
    status: int
    detail: str
    errors: NotRequired[list[dict[str, str]]]
    error_id: NotRequired[str]


class Registered(TypedDict):
    """A dedicated server is registered."""

    server_id: str
    heartbeat_seconds: float
    lease_seconds: float
    warnings: list[str]


class Heard(TypedDict):
    """The answer to a heartbeat: `end` lists sessions that the server is to end."""

    end: list[str]
    warnings: list[str]


class Server(TypedDict):
    """A dedicated server and its slots. `last_error_at` is in seconds since 1970."""

    server_id: str
    address: str
    control_url: str
    capacity: int
    active: int
    reserved: int
    free: int
    state: ServerState
    lease_seconds_left: float
    batch: bool
    game_modes: list[str] | None
    region: str | None
    incarnation: str | None
    failures: int
    last_error: str | None
    last_error_at: float | None
    retry_in_seconds: float | None


class Servers(TypedDict):
    """Every dedicated server."""

    servers: list[Server]


class Queue(TypedDict):
    """A game mode of the whole pool: players, but for what is named otherwise."""

    game_mode: str
    players_per_match: int
    waiting: int
    tickets_waiting: int
    held: int
    wait_seconds: dict[str, float] | None
    oldest_wait_seconds: float | None
    loading: int
    allocating: int
    loading_sessions: int
    allocating_sessions: int
    waiting_for_slot_sessions: int
    matches_last_minute: int
    paused: bool
    blocked_by: BlockedBy | None
    rules_version: str | None


class QueueInDepth(Queue):
    """The same, with what the proposer of a mode with rules knows; null without its answer."""

    proposer: NotRequired[str | None]
    regions_without_slot: NotRequired[list[str] | None]
    windows: NotRequired[Any]
    acceptable_difference: NotRequired[Any]
    last_matches: NotRequired[Any]
    proposals_per_minute: NotRequired[int | None]
    conflicts_per_minute: NotRequired[int | None]


class Queues(TypedDict):
    """Every game mode."""

    queues: list[Queue]


class Player(TypedDict):
    """A player that waits, loads, is placed or was matched in the last two minutes. Times are seconds since 1970."""

    player_id: str
    state: JourneyState
    game_mode: str
    since: float
    since_seconds: float
    enqueued_at: float
    node: str
    connected: bool
    held: bool
    loading_session_id: str | None
    session_id: str | None


class ListedPlayer(TypedDict):
    """A player of a list."""

    player_id: str
    state: str
    game_mode: str
    held: bool
    node: str
    waited_seconds: float
    loading_session_id: str | None


class Players(TypedDict):
    """A page of players. `next` is the cursor of the page behind it; null at the end."""

    players: list[ListedPlayer]
    next: str | None


class Explanation(TypedDict):
    """Why a ticket waits. In a mode without rules, and without the proposer's answer: `stage` and `waiting` alone."""

    stage: Literal["waiting", "held", "gathering", "no_slots", "paused"]
    waiting: int
    candidates: NotRequired[int]
    rules: NotRequired[list[dict[str, Any]]]
    nearest: NotRequired[dict[str, float | None] | None]
    rules_version: NotRequired[str]
    missing: NotRequired[str]
    acceptable_difference: NotRequired[float]


class Node(TypedDict):
    """A node of the pool, and what it last said of itself.

    `mailbox` are the messages that wait in it; `lag_seconds` is how long its last heartbeat over pub/sub took, null
    while none comes.
    """

    node: str
    address: str | None
    version: str | None
    started_at: str | None
    connections: int | None
    mailbox: int | None
    lag_seconds: float | None
    players: int
    modes_hash: str | None
    state: Literal["starting", "ready", "draining", "dead"]
    lease_seconds_left: float


class Nodes(TypedDict):
    """Every node."""

    nodes: list[Node]


class Paused(TypedDict):
    """A game mode was paused, or goes on."""

    game_mode: str
    paused: bool


class Cleared(TypedDict):
    """A queue was cleared."""

    game_mode: str
    removed: int


class Drained(TypedDict):
    """A dedicated server gets no more sessions."""

    server_id: str
    state: Literal["draining"]


class Alive(TypedDict):
    """The process is alive."""

    status: Literal["ok"]


class Ready(TypedDict):
    """The node can work; `warnings` is what is wrong all the same."""

    status: Literal["ready"]
    warnings: list[str]


class KeySet(TypedDict):
    """A JSON Web Key Set (RFC 7517)."""

    keys: list[dict[str, str]]


class OperatorSession(TypedDict):
    """Who looks at the dashboard, and the token (`csrf`) that each of its changes has to bring."""

    operator: str
    role: Role
    csrf: str
    can_log_out: bool
    pool: str
    pools: list[str]
    version: str
