"""Metrics of one node, for Prometheus. Queues and servers are read from Redis when they are asked for."""

import platform
from collections.abc import Iterable, Mapping
from functools import cache, partial

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from match_server import __version__
from match_server.errors import StoreUnavailable
from match_server.events import node
from match_server.matching.modes import GameMode
from match_server.store.operators import OperatorStore
from match_server.store.registry import RegistryStore

_WAITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_SCRIPTS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 3)


class Metrics:
    """Every metric of a node, on a registry of its own."""

    def __init__(self, events: node.Events) -> None:
        """Count what is recorded from now on."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client leaves it so
        self.registry = registry = CollectorRegistry()
        self._of_pool = CollectorRegistry()  # what is read from Redis at each scrape
        self._of_link = CollectorRegistry()  # what the pub/sub link tells
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        gauge, pool = partial(Gauge, registry=registry), partial(Gauge, registry=self._of_pool)
        counter, waits = partial(Counter, registry=registry), partial(Histogram, registry=registry, buckets=_WAITS)
        self.redis_up = gauge("match_redis_up", "Whether Redis could be read at this scrape: 1 or 0")
        self.ready = gauge("match_ready", "Whether /readyz of this node says 200: 1 or 0")
        self.queue_length = pool("match_queue_length", "Players waiting", ["game_mode"])
        held = "Waiting players whose link is lost, within their grace"
        self.queue_held = pool("match_queue_held", held, ["game_mode"])
        self.oldest_wait = pool("match_queue_oldest_wait_seconds", "The longest wait in the queue", ["game_mode"])
        self.loading = pool("match_loading_sessions", "Matches that load", ["game_mode"])
        self.allocating = pool("match_allocating_sessions", "Matches being placed", ["game_mode"])
        self.slots = pool("match_server_slots", "Slots of dedicated servers", ["state"])
        self.servers = pool("match_servers", "Dedicated servers registered")
        build = "1, for the version and the Python of this node"
        self.build = gauge("match_build_info", build, ["version", "python"])
        self.build.labels(__version__, platform.python_version()).set(1)
        refused = (
            "What was refused: messages, by the code of the error; handshakes, registrations, heartbeats and operators'"
            " calls, by status"
        )
        self.refusals = counter("match_refusals", refused, ["kind", "code"])
        self.connections = gauge("match_connections", "WebSocket connections of this node")
        self.mailbox_depth = gauge("match_mailbox_depth", "Messages waiting", ["actor"])
        lag = "How long this node's last heartbeat took over pub/sub"
        self.notification_lag = Gauge("match_notification_lag_seconds", lag, registry=self._of_link)
        waited = "From enqueue to start_loading, per player"
        self.time_to_match = waits("match_time_to_match_seconds", waited, ["game_mode"])
        loaded = "From start_loading to the last player's loading_complete, per match"
        self.loading_time = waits("match_loading_seconds", loaded, ["game_mode"])
        self.formed = counter("match_formed", "Matches formed", ["game_mode"])
        stale = "Proposed matches that could not be formed, for a ticket had gone or changed meanwhile"
        self.proposals_stale = counter("match_proposals_stale", stale, ["game_mode"])
        rules = "Whether this node's rules of the mode are not the pool's, so that it forms no match of it: 1 or 0"
        self.rules_differ = gauge("match_rules_differ", rules, ["game_mode"])
        self.modes_differ = gauge("match_modes_differ", "Nodes of the pool whose game modes are not this node's")
        self.found = counter("match_found", "Matches that got a session")
        self.time_to_session = waits("match_time_to_session_seconds", "From start_loading to match_found, per match")
        self.cancelled = counter("match_cancelled", "Matches cancelled", ["reason"])
        self.dropped = counter("match_players_dropped", "Players who left a queue or a match", ["reason"])
        called = "Calls to dedicated servers, per session"
        self.allocation_time = waits("match_allocation_seconds", called, ["outcome"])
        self.frames = counter("match_frames_delivered", "Journey frames sent to players", ["type"])
        ran = "Round trips to Redis, by the first script of each"
        self.script_time = Histogram("match_script_seconds", ran, ["script"], buckets=_SCRIPTS, registry=registry)
        self._listen(events)

    def _listen(self, events: node.Events) -> None:
        # Kept by label: to look a series up takes longer than to count.
        frames = cache(self.frames.labels)
        sessions = cache(self.allocation_time.labels)
        scripts = cache(self.script_time.labels)
        loadings = cache(self.loading_time.labels)
        events.listen(node.ScriptsRan, lambda event: scripts(event.first).observe(event.seconds))
        events.listen(node.FrameDelivered, lambda event: frames(event.type).inc())
        events.listen(node.SessionAsked, lambda event: sessions(event.outcome).observe(event.seconds))
        events.listen(node.MatchesFormed, self._matches_formed)
        events.listen(node.MatchLoaded, lambda event: loadings(event.game_mode).observe(event.seconds))
        events.listen(node.MatchConfirmed, self._match_confirmed)
        events.listen(node.MatchCancelled, lambda event: self.cancelled.labels(event.reason).inc())
        events.listen(node.PlayerDequeued, lambda event: self.dropped.labels(event.reason).inc())
        events.listen(node.ProposalStale, lambda event: self.proposals_stale.labels(event.game_mode).inc())
        events.listen(node.RulesCompared, lambda event: self.rules_differ.labels(event.game_mode).set(event.differ))
        events.listen(node.ModesCompared, lambda event: self.modes_differ.set(len(event.nodes)))
        events.listen(node.MessageRefused, lambda event: self.refusals.labels("message", event.code).inc())
        events.listen(node.HandshakeRefused, lambda event: self.refusals.labels("handshake", event.status).inc())
        events.listen(node.OriginRefused, lambda _: self.refusals.labels("handshake", 403).inc())
        events.listen(node.ServerRefused, lambda event: self.refusals.labels("registration", event.status).inc())
        events.listen(node.OperatorRefused, lambda event: self.refusals.labels("operator", event.status).inc())
        events.listen(node.ServerIdTaken, lambda _: self.refusals.labels("heartbeat", 409).inc())

    def _matches_formed(self, event: node.MatchesFormed) -> None:
        self.formed.labels(event.game_mode).inc(event.count)
        waited = self.time_to_match.labels(event.game_mode)
        for wait_us in event.waits_us:
            waited.observe(wait_us / 1_000_000)

    def _match_confirmed(self, event: node.MatchConfirmed) -> None:
        self.found.inc()
        if event.since_match_ms is not None:
            self.time_to_session.observe(event.since_match_ms / 1000)

    def calls(self) -> dict[str, int]:
        """How many calls to dedicated servers have ended, by outcome, per session in them."""
        samples = (sample for metric in self.allocation_time.collect() for sample in metric.samples)
        return {each.labels["outcome"]: int(each.value) for each in samples if each.name.endswith("_count")}

    async def render(
        self,
        *,
        operators: OperatorStore,
        registry: RegistryStore,
        game_modes: Mapping[str, GameMode],
        connections: int,
        depths: Mapping[str, int],
        lag_seconds: float | None,
        ready: bool,
    ) -> bytes:
        """Everything as text. What cannot be read now is absent, never old."""
        self.connections.set(connections)
        self.ready.set(ready)
        for actor, depth in depths.items():
            self.mailbox_depth.labels(actor).set(depth)
        for mode in game_modes.values():  # whose series begin before anything has happened in it
            for counted in (self.formed, self.time_to_match, self.loading_time):
                counted.labels(mode.name)
            if mode.by_rules:
                self.proposals_stale.labels(mode.name)
        told = [self.registry]
        if lag_seconds is not None:
            self.notification_lag.set(lag_seconds)
            told.append(self._of_link)
        readable = await self._read_pool(operators, registry, game_modes)
        self.redis_up.set(readable)
        if readable:
            told.append(self._of_pool)
        return b"".join(map(generate_latest, told))

    async def _read_pool(self, operators: OperatorStore, registry: RegistryStore, game_modes: Iterable[str]) -> bool:
        """Whether Redis could be read."""
        try:
            queues = await operators.queues(list(game_modes))
            servers = await registry.servers()
        except StoreUnavailable:
            return False
        for queue in queues:
            self.queue_length.labels(queue.game_mode).set(queue.waiting)
            self.queue_held.labels(queue.game_mode).set(queue.held)
            self.oldest_wait.labels(queue.game_mode).set(queue.oldest_wait_seconds or 0)
            self.loading.labels(queue.game_mode).set(queue.loading_sessions)
            self.allocating.labels(queue.game_mode).set(queue.allocating_sessions)
        self.servers.set(len(servers))
        for state in ("free", "reserved", "active"):
            self.slots.labels(state).set(sum(getattr(server, state) for server in servers))
        return True
