"""Everything the command line decides, in one value."""

from dataclasses import dataclass, field


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
        control_url: where the match server reaches this one; None: the address it listens on.
        advertise_address: the base of the address given to players; None: the address it listens on.
        session_seconds: how long a session runs; 0: until the last of its players has left.
        max_session_seconds: the longest a session may run, also told to the match server; None: no limit.

    """

    match_server: str
    host: str
    control_url: str | None = None
    advertise_address: str | None = None
    server_id: str
    server_key: str | None = field(default=None, repr=False)
    capacity: int
    batch: bool
    game_modes: tuple[str, ...] = ()
    region: str | None = None
    session_seconds: float
    max_session_seconds: float | None = None
    drain_seconds: float
    faults: FaultOptions

    @property
    def session_limit_seconds(self) -> float | None:
        """How long a session runs at most; None when time alone never ends one."""
        limits = [seconds for seconds in (self.session_seconds, self.max_session_seconds) if seconds]
        return min(limits, default=None)
