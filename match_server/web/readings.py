"""What the dashboard shows of a pool: one reading for all of its pages, and the newest events."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic_core import to_json

from match_server.actors.inquiries import InquiriesPort
from match_server.errors import StoreUnavailable
from match_server.events.cloudevents import CloudEvent, read_entry
from match_server.matching.game_modes import GameModes
from match_server.store.blocked_by import why_blocked
from match_server.store.operators import NodeStatus, OperatorStore, QueueStatus
from match_server.store.recent_events import RecentEvents
from match_server.store.registry import RegistryStore, ServerStatus
from match_server.throttled_log import ThrottledLog
from match_server.web.alerts import SHOWN_SECONDS, Alerts, Facts
from match_server.web.listings import node_answer
from match_server.web.operators import closed_are_paused, queue_answer, server_answer

EVENTS = 200  # that are kept for a page which opens, and that one reading takes at most
_MOST_MODES = 100  # in one reading, the longest queues first
_MOST_SERVERS = 200  # those with trouble first, then the fullest
_MOST_INQUIRIES = 10  # modes whose proposers are asked in one reading
_POINTS = 150  # of each chart
_POINT_SECONDS = 2
_DETAIL_CHARACTERS = 200
_MOST_SKIPPED = 100_000  # numbers that lie further ahead are those of a pool that has lost its data

_log = ThrottledLog()


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What this node knows without Redis. `calls` are those to dedicated servers so far, by outcome."""

    connections: int
    mailbox: int
    lag_seconds: float | None
    calls: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """An event as JSON, and its number among all that this node has shown."""

    serial: int
    document: bytes


class Readings:
    """Reads a pool. It remembers the last events, the points of the charts and what the alerts look back at."""

    def __init__(
        self,
        *,
        node: str,
        operators: OperatorStore,
        registry: RegistryStore,
        inquiries: InquiriesPort,
        modes: GameModes,
        stream: RecentEvents | None,
        own: Callable[[], NodeFacts],
        clock: Callable[[], float],
    ) -> None:
        """`stream` is None where no events are written; `clock` is the event loop's time."""
        self._node = node
        self._operators = operators
        self._registry = registry
        self._inquiries = inquiries
        self._modes = modes
        self._stream = stream
        self._own = own
        self._clock = clock
        self.events: deque[ShownEvent] = deque(maxlen=EVENTS)
        self._serial = 0
        self._known: deque[str] = deque(maxlen=EVENTS)  # ids of the entries that they came from, the newest last
        self._last_number = 0
        self._alerts = Alerts()
        self._points: dict[str, deque[Mapping[str, Any]]] = {}
        self._point_at = float("-inf")

    @property
    def points(self) -> bytes:
        """The points of each mode's charts so far, as JSON."""
        return to_json({mode: list(points) for mode, points in self._points.items()})

    async def read(self) -> bytes:
        """Look at the pool. Returns what every page shows, as JSON; `problem` where Redis gave no answer."""
        try:
            return to_json(await self._read())
        except StoreUnavailable as error:
            return to_json({"at": time.time(), "node": self._node, "problem": str(error)})

    async def _read(self) -> Mapping[str, Any]:
        queues = closed_are_paused(await self._operators.queues(list(self._modes)), self._modes)
        servers = await self._registry.servers()
        nodes = await self._operators.nodes()
        lost_nodes = await self._read_events()
        lost = await self._stream.lost() if self._stream else {}
        own = self._own()
        busiest = sorted(queues, key=lambda queue: (-queue.waiting - queue.held, queue.game_mode))[:_MOST_MODES]
        self._note_points(busiest)
        alerts = self._alerts.look(self._facts(queues, servers, nodes, own, lost_nodes=lost_nodes, events_lost=lost))
        shown = sorted(servers, key=_trouble_first)[:_MOST_SERVERS]
        return {
            "at": time.time(),
            "node": self._node,
            "queues": await self._queues(busiest, servers),
            "queues_total": len(queues),
            "waiting": sum(queue.waiting for queue in queues),
            "matches_last_minute": sum(queue.matches_last_minute for queue in queues),
            "servers": [server_answer(server) for server in sorted(shown, key=lambda server: server.server_id)],
            "servers_total": len(servers),
            "slots": {name: sum(getattr(each, name) for each in servers) for name in ("free", "reserved", "active")},
            "nodes": [self._node_row(node, own) for node in nodes],
            "alerts": [asdict(alert) for alert in alerts],
            "events_written": self._stream is not None,
        }

    async def _queues(self, queues: Sequence[QueueStatus], servers: Sequence[ServerStatus]) -> list[Mapping[str, Any]]:
        asked = [queue.game_mode for queue in queues if queue.waiting and self._modes[queue.game_mode].by_rules]
        asked = asked[:_MOST_INQUIRIES]
        found = await asyncio.gather(*(self._inquiries.overview(game_mode) for game_mode in asked))
        overviews = dict(zip(asked, found, strict=True))
        order = {name: place for place, name in enumerate(self._modes)}
        rows: list[Mapping[str, Any]] = []
        for queue in sorted(queues, key=lambda queue: order[queue.game_mode]):
            mode = self._modes[queue.game_mode]
            overview = overviews.get(mode.name) or {}
            reason = why_blocked(mode, queue, servers, overview.get("regions_without_slot") or ())
            rows.append({**queue_answer(mode, queue, reason), "windows": overview.get("windows")})
        return rows

    def _node_row(self, node: NodeStatus, own: NodeFacts) -> Mapping[str, Any]:
        """This node's row is as it is now; the others' are as they last said."""
        row = node_answer(node)
        if node.node != self._node:
            return {**row, "this": False}
        now = {"connections": own.connections, "mailbox": own.mailbox, "lag_seconds": own.lag_seconds}
        return {**row, **now, "this": True}

    def _facts(
        self,
        queues: Sequence[QueueStatus],
        servers: Sequence[ServerStatus],
        nodes: Sequence[NodeStatus],
        own: NodeFacts,
        *,
        lost_nodes: Sequence[str],
        events_lost: Mapping[str, int],
    ) -> Facts:
        others = sum(node.said.get("connections") or 0 for node in nodes if node.node != self._node)
        return Facts(
            at=self._clock(),
            free_slots=sum(server.free for server in servers),
            oldest_waits={each.game_mode: each.oldest_wait_seconds or 0 for each in queues if not each.paused},
            queue_timeouts={each.game_mode: self._modes.deadlines(each.game_mode).queue_timeout for each in queues},
            calls=own.calls,
            lag_seconds=own.lag_seconds,
            dead_nodes=[node.node for node in nodes if node.said and node.lease_seconds_left <= 0],
            lost_nodes=lost_nodes,
            events_lost=events_lost,
            connections=own.connections + others,
        )

    def _note_points(self, queues: Iterable[QueueStatus]) -> None:
        if self._clock() < self._point_at + _POINT_SECONDS:
            return
        self._point_at = self._clock()
        before, self._points = self._points, {}
        for queue in queues:
            points = self._points[queue.game_mode] = before.get(queue.game_mode, deque(maxlen=_POINTS))
            waits = queue.wait_percentiles or {}
            points.append(
                {"p50": waits.get("p50", 0), "p90": waits.get("p90", 0), "matches": queue.matches_last_minute}
            )

    async def _read_events(self) -> list[str]:
        """Take the events that have come. Returns the nodes that were lost lately, by what they say."""
        entries = await self._new_entries(self._stream) if self._stream else []
        self._known.extend(entry_id for entry_id, _ in reversed(entries))
        found = [event for entry_id, text in reversed(entries) for event in _events(entry_id, text)]
        for event in found[-EVENTS:]:
            self._show(event)
        since = time.time() - SHOWN_SECONDS
        return [each.subject for each in found if each.type == "node.lost" and each.time.timestamp() > since]

    async def _new_entries(self, stream: RecentEvents) -> list[tuple[str, str]]:
        """Id and text of the entries since the last look, the newest first; of very many, those of enough events."""
        known, events = set(self._known), 0
        fresh: list[tuple[str, str]] = []
        while page := await stream.before(fresh[-1][0] if fresh else None):
            for entry_id, text in page:
                if entry_id in known or events >= EVENTS:
                    return fresh
                fresh.append((entry_id, text))
                events += text.count("\n") + 1
        return fresh

    def _show(self, event: CloudEvent) -> None:
        self._serial += 1
        skipped = event.number - self._last_number - 1 if self._last_number else 0
        self._last_number = event.number
        document = {
            "id": event.id,
            "type": event.type,
            "subject": event.subject,
            "time": event.time.timestamp(),
            "details": _details(event),
            "skipped": skipped if 0 < skipped < _MOST_SKIPPED else 0,
        }
        self.events.append(ShownEvent(self._serial, to_json(document)))


def _events(entry_id: str, text: str) -> list[CloudEvent]:
    """The events of an entry; none of one that cannot be read, such as newer nodes may write."""
    try:
        return read_entry(entry_id, text, source="")
    except ValueError as error:
        _log.warning("event_not_readable", "event", entry_id=entry_id, error=str(error))
        return []


def _details(event: CloudEvent) -> list[tuple[str, str]]:
    """What the event says but for its subject, each as text and cut: a result may have 16 KiB."""
    said = event.data.model_dump(mode="json", exclude_none=True)
    return [(name, _text(value)) for name, value in said.items() if value not in ([], {}, False, event.subject)]


def _text(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(each, dict) and "player_id" in each for each in value):
        value = ", ".join(str(each["player_id"]) for each in value)
    elif isinstance(value, list):
        value = ", ".join(map(str, value))
    text = value if isinstance(value, str) else to_json(value).decode()
    return text if len(text) <= _DETAIL_CHARACTERS else f"{text[:_DETAIL_CHARACTERS]}…"


def _trouble_first(server: ServerStatus) -> tuple[bool, int, str]:
    record = server.record
    well = record["state"] != "draining" and "quarantined_until" not in record and "last_error" not in record
    return well, -server.active - server.reserved, server.server_id
