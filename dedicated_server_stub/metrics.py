"""Metrics of this server's rooms, for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

_LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)


class RoomMetrics:
    """What all rooms of a server count together, on a registry of its own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client leaves it so
        registry = self._registry = CollectorRegistry()
        self._rooms = Gauge("room_rooms", "Rooms that somebody has joined", registry=registry)
        self._players = Gauge("room_players", "Players who are connected", registry=registry)
        self.tick_lag = Histogram(
            "room_tick_lag_seconds", "How late ticks begin", buckets=_LAG_BUCKETS, registry=registry
        )
        self.tick_duration = Histogram(
            "room_tick_duration_seconds", "How long ticks take", buckets=_LAG_BUCKETS, registry=registry
        )
        self.commands = Counter("room_commands", "Commands that ticks have applied", registry=registry)
        self.sent_bytes = Counter("room_sent_bytes", "Size of the frames for clients", registry=registry)
        self.rejected = Counter("room_rejected", "Intents that were rejected", ["reason"], registry=registry)

    def watch(self, *, rooms: Callable[[], float], players: Callable[[], float]) -> None:
        """Read these at every scrape."""
        self._rooms.set_function(rooms)
        self._players.set_function(players)

    def bytes_sent(self) -> int:
        """The size of all frames so far."""
        (family,) = self.sent_bytes.collect()
        return int(family.samples[0].value)

    def page(self) -> bytes:
        """The page that Prometheus reads."""
        return generate_latest(self._registry)
