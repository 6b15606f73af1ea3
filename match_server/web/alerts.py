"""What an operator should look at now, told from one reading of the pool after another."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Severity: TypeAlias = Literal["critical", "warning"]

NO_SLOT_SECONDS = 30
LAG_SECONDS = 1.0
SILENT_SECONDS = 3  # a node that has just started has heard nothing yet
FAILED_SHARE = 0.05  # of the calls to dedicated servers in the last minute
DOWN_SHARE = 0.3  # of the connections of the last minute
LEAST_CONNECTIONS = 50  # of fewer, a third may just have got their matches
SHOWN_SECONDS = 600  # for how long a loss is shown
WAIT_LIMIT_SECONDS = 120.0  # of a mode without a queue timeout
WAIT_SHARE = 0.8  # of a mode's queue timeout
_WINDOW_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One reading. `at` and times are in seconds of any clock that only goes forward."""

    at: float
    free_slots: int
    oldest_waits: Mapping[str, float]  # by game mode, in seconds
    queue_timeouts: Mapping[str, float]  # by game mode, in seconds; 0: none
    calls: Mapping[str, int]  # of this node to dedicated servers so far, by outcome
    lag_seconds: float | None  # None while no heartbeat comes
    dead_nodes: Sequence[str]
    lost_nodes: Sequence[str]  # whose `node.lost` has come since the last reading
    events_lost: Mapping[str, int]  # so far, by sink
    connections: int  # of all nodes


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. `about` is the node, sink or game mode; empty for one that is about the pool."""

    name: str
    about: str
    severity: Severity
    text: str


@dataclass(slots=True)
class Alerts:
    """Remembers what it has to of earlier readings. What looks back begins with the first one."""

    _no_slot_since: float | None = None
    _silent_since: float | None = None
    _calls: deque[tuple[float, int, int]] = field(default_factory=deque)  # at, ended, failed
    _connections: deque[tuple[float, int]] = field(default_factory=deque)
    _looked: bool = False
    _lost: dict[str, int] = field(default_factory=dict)
    _lost_at: dict[str, float] = field(default_factory=dict)
    _node_lost_at: dict[str, float] = field(default_factory=dict)

    def look(self, facts: Facts) -> list[Alert]:
        """The alerts now, the worst first."""
        found = [
            *self._no_free_slot(facts),
            *self._nodes_lost(facts),
            *self._connections_down(facts),
            *self._events_lost(facts),
            *self._creates_fail(facts),
            *self._lag(facts),
            *_long_waits(facts),
        ]
        return sorted(found, key=lambda alert: alert.severity != "critical")

    def _no_free_slot(self, facts: Facts) -> list[Alert]:
        if facts.free_slots:
            self._no_slot_since = None
            return []
        since = self._no_slot_since = facts.at if self._no_slot_since is None else self._no_slot_since
        seconds = facts.at - since
        if seconds < NO_SLOT_SECONDS:
            return []
        return [Alert("no_free_slot", "", "critical", f"No dedicated server has had a free slot for {seconds:.0f} s")]

    def _nodes_lost(self, facts: Facts) -> list[Alert]:
        for node in (*facts.lost_nodes, *facts.dead_nodes):
            self._node_lost_at[node] = facts.at
        self._node_lost_at = {node: at for node, at in self._node_lost_at.items() if facts.at - at < SHOWN_SECONDS}
        return [Alert("node_lost", node, "critical", f"The node {node} was lost") for node in self._node_lost_at]

    def _connections_down(self, facts: Facts) -> list[Alert]:
        _forget(self._connections, facts.at)
        self._connections.append((facts.at, facts.connections))
        most = max(count for _, count in self._connections)
        if most < LEAST_CONNECTIONS or facts.connections > most * (1 - DOWN_SHARE):
            return []
        text = f"Connections are down from {most} to {facts.connections} within a minute"
        return [Alert("connections_down", "", "critical", text)]

    def _events_lost(self, facts: Facts) -> list[Alert]:
        for sink, count in facts.events_lost.items():
            if self._looked and count > self._lost.get(sink, 0):  # what was lost before the first look is old
                self._lost_at[sink] = facts.at
            self._lost[sink] = count
        self._looked = True
        lately = [sink for sink, at in self._lost_at.items() if facts.at - at < SHOWN_SECONDS]
        return [
            Alert(
                "events_lost",
                sink,
                "critical",
                f"{sink} lost {self._lost[sink]} events so far",
            )
            for sink in lately
        ]

    def _creates_fail(self, facts: Facts) -> list[Alert]:
        ended = sum(facts.calls.values())
        _forget(self._calls, facts.at)
        self._calls.append((facts.at, ended, ended - facts.calls.get("created", 0)))
        _, ended_before, failed_before = self._calls[0]
        made, failed = ended - ended_before, self._calls[-1][2] - failed_before
        if not made or failed <= FAILED_SHARE * made:
            return []
        text = f"{failed} of {made} calls of this node for a session failed in the last minute"
        return [Alert("creates_fail", "", "warning", text)]

    def _lag(self, facts: Facts) -> list[Alert]:
        if facts.lag_seconds is not None:
            self._silent_since = None
            late = facts.lag_seconds > LAG_SECONDS
            text = f"Notifications take {facts.lag_seconds:.1f} s to arrive"
        else:
            self._silent_since = facts.at if self._silent_since is None else self._silent_since
            late = facts.at - self._silent_since > SILENT_SECONDS
            text = "No heartbeat comes over pub/sub: matches are told late"
        return [Alert("notification_lag", "", "warning", text)] if late else []


def _long_waits(facts: Facts) -> list[Alert]:
    found = []
    for mode, waited in facts.oldest_waits.items():
        timeout = facts.queue_timeouts.get(mode, 0)
        limit = timeout * WAIT_SHARE if timeout else WAIT_LIMIT_SECONDS
        if waited > limit:
            text = f"In {mode} somebody has waited {waited:.0f} s, more than {limit:.0f} s"
            found.append(Alert("oldest_wait", mode, "warning", text))
    return found


def _forget(readings: deque[tuple[float, int]] | deque[tuple[float, int, int]], now: float) -> None:
    while readings and readings[0][0] < now - _WINDOW_SECONDS:
        readings.popleft()
