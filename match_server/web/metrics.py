"""Metrics of one node, for Prometheus. Queues and servers are read from Redis when they are asked for."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from match_server.errors import StoreUnavailable
from match_server.store.journey import Confirmed, Matched
from match_server.store.operators import OperatorStore
from match_server.store.registry import RegistryStore
from match_server.store.upkeep import Swept

_WAIT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_SCRIPT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 3)


class Metrics:
    """Every metric of a node, on a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        registry = self.registry
        self.queue_length = Gauge("match_queue_length", "Players waiting", ["game_mode"], registry=registry)
        self.queue_held = Gauge(
            "match_queue_held",
            "Waiting players whose link is lost, within their grace",
            ["game_mode"],
            registry=registry,
        )
        self.oldest_wait = Gauge(
            "match_queue_oldest_wait_seconds", "The longest wait in the queue", ["game_mode"], registry=registry
        )
        self.loading = Gauge("match_loading_sessions", "Matches that load", ["game_mode"], registry=registry)
        self.allocating = Gauge("match_allocating_sessions", "Matches being placed", ["game_mode"], registry=registry)
        self.slots = Gauge("match_server_slots", "Slots of dedicated servers", ["state"], registry=registry)
        self.servers = Gauge("match_servers", "Dedicated servers registered", registry=registry)
        self.connections = Gauge("match_connections", "WebSocket connections of this node", registry=registry)
        self.mailbox_depth = Gauge("match_mailbox_depth", "Messages waiting", ["actor"], registry=registry)
        self.notification_lag = Gauge(
            "match_notification_lag_seconds", "How long this node's last heartbeat took over pub/sub", registry=registry
        )
        self.time_to_match = Histogram(
            "match_time_to_match_seconds",
            "From enqueue to start_loading, per player",
            ["game_mode"],
            buckets=_WAIT_BUCKETS,
            registry=registry,
        )
        self.loading_time = Histogram(
            "match_loading_seconds",
            "From start_loading to the last player's loading_complete, per match",
            ["game_mode"],
            buckets=_WAIT_BUCKETS,
            registry=registry,
        )
        self.formed = Counter("match_formed", "Matches formed", ["game_mode"], registry=registry)
        self.found = Counter("match_found", "Matches that got a session", registry=registry)
        self.time_to_session = Histogram(
            "match_time_to_session_seconds",
            "From start_loading to match_found, per match",
            buckets=_WAIT_BUCKETS,
            registry=registry,
        )
        self.cancelled = Counter("match_cancelled", "Matches cancelled", ["reason"], registry=registry)
        self.dropped = Counter("match_players_dropped", "Players dropped by sweeps", ["reason"], registry=registry)
        self.allocation_time = Histogram(
            "match_allocation_seconds",
            "Calls to dedicated servers, per session",
            ["outcome"],
            buckets=_WAIT_BUCKETS,
            registry=registry,
        )
        self.frames = Counter("match_frames_delivered", "Journey frames sent to players", ["type"], registry=registry)
        self.script_time = Histogram(
            "match_script_seconds",
            "Round trips to Redis, by the first script of each",
            ["script"],
            buckets=_SCRIPT_BUCKETS,
            registry=registry,
        )
        self._frame_counters: dict[str, Callable[[], None]] = {}
        self._call_timers: dict[str, Callable[[float], None]] = {}
        self._script_timers: dict[str, Callable[[float], None]] = {}

    def observe_script(self, script: str, seconds: float) -> None:
        """A round trip to Redis has ended."""
        timer = self._script_timers.get(script)
        if timer is None:
            timer = self._script_timers[script] = self.script_time.labels(script).observe
        timer(seconds)

    def observe_frame(self, frame_type: str) -> None:
        """A journey frame went to a player."""
        count = self._frame_counters.get(frame_type)
        if count is None:
            count = self._frame_counters[frame_type] = self.frames.labels(frame_type).inc
        count()

    def observe_matched(self, game_mode: str) -> Callable[[Matched], None]:
        """What a matchmaker calls when a TryMatch has formed something."""
        formed = self.formed.labels(game_mode)
        waited = self.time_to_match.labels(game_mode)

        def observe(matched: Matched) -> None:
            formed.inc(matched.formed)
            for wait_us in matched.waits_us:
                waited.observe(wait_us / 1_000_000)

        return observe

    def observe_found(self, confirmed: Confirmed) -> None:
        """A match got its session."""
        self.found.inc()
        if confirmed.since_match_ms is not None:
            self.time_to_session.observe(confirmed.since_match_ms / 1000)

    def observe_call(self, seconds: float, outcome: str) -> None:
        """A call to a dedicated server has ended; once per session in it."""
        timer = self._call_timers.get(outcome)
        if timer is None:
            timer = self._call_timers[outcome] = self.allocation_time.labels(outcome).observe
        timer(seconds)

    def observe_swept(self, swept: Swept) -> None:
        """A sweep of this node ended something."""
        self.cancelled.labels("loading_timeout").inc(swept.loading_timeouts)
        self.cancelled.labels("allocation_failed").inc(swept.allocation_timeouts)
        self.cancelled.labels("player_left").inc(swept.cancelled_by_leaving)
        self.dropped.labels("disconnected").inc(swept.grace_ended)
        self.dropped.labels("queue_timeout").inc(swept.queue_timeouts)

    async def render(
        self,
        *,
        operators: OperatorStore,
        registry: RegistryStore,
        game_modes: Iterable[str],
        connections: int,
        depths: Mapping[str, int],
        lag_seconds: float,
    ) -> bytes:
        """Everything as text. While Redis is out of reach, what is read from it keeps its last values."""
        self.connections.set(connections)
        self.notification_lag.set(lag_seconds)
        for actor, depth in depths.items():
            self.mailbox_depth.labels(actor).set(depth)
        try:
            for queue in await operators.queues(list(game_modes)):
                self.queue_length.labels(queue.game_mode).set(queue.waiting)
                self.queue_held.labels(queue.game_mode).set(queue.held)
                self.oldest_wait.labels(queue.game_mode).set(queue.oldest_wait_seconds or 0)
                self.loading.labels(queue.game_mode).set(queue.loading_sessions)
                self.allocating.labels(queue.game_mode).set(queue.allocating_sessions)
            servers = await registry.servers()
        except StoreUnavailable:
            return generate_latest(self.registry)
        self.servers.set(len(servers))
        for state in ("free", "reserved", "active"):
            self.slots.labels(state).set(sum(getattr(server, state) for server in servers))
        return generate_latest(self.registry)
