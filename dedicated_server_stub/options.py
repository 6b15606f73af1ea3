"""Everything the command line decides, in one value."""

from dataclasses import dataclass, field

from match_server.console import LogFormat, LogLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultOptions:
    """How the server misbehaves on purpose; with the defaults it does not."""

    delay_seconds: float = 0.0
    refuse_rate: float = 0.0
    fail_rate: float = 0.0
    hang_rate: float = 0.0
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The settings of one server, already checked.

    Attributes:
        match_servers: the URLs of nodes, any of which will do.
        control_url: where the match server reaches this one; None: the address it listens on.
        advertise_address: the base of the address given to players; None: the address it listens on.
        session_seconds: how long a session runs, unless all its players leave before; 0: until they have.
        max_session_seconds: the longest a session may run, also told to the match server; None: no limit.
        tick_hz: ticks a second of every room.
        rejoin_seconds: how long a player whose connection is lost may come back.
        ack_attempts: how often an acknowledged message is sent before the player is dropped.
        require_signed_calls: whether a create without the match server's token is refused.
        workers: processes that run the rooms; 0: this one does.
        snapshot_seconds: between two hot snapshots of a room.
        snapshot_store: the folder of cold snapshots, or the URL of a database; None: there are none.
        presence: the URL of the Redis that ties processes together; None: this one stands alone.
        presence_prefix: what its keys and channels there begin with.
        view_radius: how far players see each other, in units of the game; None: everywhere.

    """

    match_servers: tuple[str, ...]
    host: str
    control_url: str | None = None
    advertise_address: str | None = None
    server_id: str
    server_key: str | None = field(default=None, repr=False)
    capacity: int
    batch: bool
    game_modes: tuple[str, ...] = ()
    region: str | None = None
    pool: str | None = None
    session_seconds: float
    max_session_seconds: float | None = None
    drain_seconds: float
    tick_hz: float = 20.0
    rejoin_seconds: float = 30.0
    ack_attempts: int = 5
    require_signed_calls: bool = False
    view_radius: float | None = None
    presence: str | None = field(default=None, repr=False)  # may hold a password
    presence_prefix: str = "rooms:"
    workers: int = 0
    snapshot_seconds: float = 1.0
    snapshot_store: str | None = field(default=None, repr=False)  # may hold a password
    log_format: LogFormat = LogFormat.TEXT
    log_level: LogLevel = LogLevel.INFO
    faults: FaultOptions

    @property
    def session_limit_seconds(self) -> float | None:
        """How long a session runs at most; None when time alone never ends one."""
        limits = [seconds for seconds in (self.session_seconds, self.max_session_seconds) if seconds]
        return min(limits, default=None)
