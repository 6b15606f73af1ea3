"""What the platform counts, for Prometheus."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics, generate_latest

from match_server.platform.stream import Position


class PlatformMetrics:
    """Of one process of the platform; what Redis knows is the same for all."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client leaves it so
        self.registry = CollectorRegistry()
        self.events = Counter(
            "match_platform_events",
            "Events that this process handed to a sink, by what became of them: stored, failed (tried again), refused",
            ["sink", "outcome"],
            registry=self.registry,
        )
        self.behind = Gauge(
            "match_platform_events_behind", "Events that the sink has yet to store", ["sink"], registry=self.registry
        )
        self.lost = Gauge(
            "match_platform_events_lost",
            "Events that were deleted before the sink had stored them",
            ["sink"],
            registry=self.registry,
        )
        self.lost_to = Gauge(
            "match_platform_events_lost_to",
            "The number of the last event that was lost; 0 where none was",
            ["sink"],
            registry=self.registry,
        )
        self.dead_letters = Gauge(
            "match_platform_dead_letters", "Entries that the sink refused for good", ["sink"], registry=self.registry
        )

    def observe(self, sink: str, outcome: str, events: int) -> None:
        """Events were handed to a sink."""
        self.events.labels(sink, outcome).inc(events)

    def render(self, positions: Mapping[str, Position]) -> bytes:
        """The exposition, with where each sink is now."""
        for sink, position in positions.items():
            self.behind.labels(sink).set(position.behind)
            self.lost.labels(sink).set(position.lost)
            self.lost_to.labels(sink).set(position.lost_to)
            self.dead_letters.labels(sink).set(position.dead_letters)
        return generate_latest(self.registry)
