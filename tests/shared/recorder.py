"""A port of events that keeps what is recorded, in place of metrics and the log."""

from match_server.events.node import E, Events, NodeEvent


class Recorder(Events):
    """Takes each event to its listeners too, if it has any."""

    def __init__(self) -> None:
        super().__init__()
        self.recorded: list[NodeEvent] = []

    def record(self, event: NodeEvent) -> None:
        """Keep an event."""
        self.recorded.append(event)
        super().record(event)

    def of(self, kind: type[E]) -> list[E]:
        """Those of a type, in order."""
        return [event for event in self.recorded if isinstance(event, kind)]
