"""Dedicated servers as the property test needs them: what they really run, whatever the registry believes."""

from dataclasses import dataclass, field

from match_server.servers.provider import Order


@dataclass
class FakeServer:
    """Refuses what it has no room for; the same key gives the same session."""

    server_id: str
    capacity: int
    incarnation: int = 0
    sessions: dict[str, None] = field(default_factory=dict)  # in the order of their beginnings
    ended: set[str] = field(default_factory=set)
    most_sessions: int = 0

    def create(self, order: Order) -> bool:
        """Whether the session runs now."""
        key = order.loading_session_id
        if key in self.ended or (key not in self.sessions and len(self.sessions) >= self.capacity):
            return False
        self.sessions[key] = None
        self.most_sessions = max(self.most_sessions, len(self.sessions))
        return True

    def end(self, session_id: str) -> None:
        self.sessions.pop(session_id, None)
        self.ended.add(session_id)

    def restart(self) -> None:
        self.incarnation += 1
        self.sessions.clear()
