"""A journey of the test client, with the service's side of it in a word for each message."""

from typing import Any

from match_server.protocol import (
    Dequeued,
    DequeueReason,
    Error,
    ErrorCode,
    JourneyState,
    MatchCancelled,
    MatchFound,
    Queued,
    Resumed,
    StartLoading,
)
from test_client.journey import Journey
from test_client.states import Step

MODE, TOKEN = "Normal_1v1", "token"
ONE, OTHER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


class Told:
    """A journey, and the service's side of it: numbers the frames."""

    def __init__(self) -> None:
        self.now = 0.0
        self.seq = 0
        self.journey = Journey("me", MODE, clock=lambda: self.now)
        self.journey.sent(self.journey.opening())

    def _next(self) -> int:
        self.seq += 1
        return self.seq

    def queued(self, *, requeued: bool = False, token: str = TOKEN) -> Step:
        return self.journey.receive(Queued(game_mode=MODE, resume_token=token, requeued=requeued, seq=self._next()))

    def start_loading(self, session: str = ONE, players: tuple[str, ...] = ("me", "you")) -> Step:
        return self.journey.receive(
            StartLoading(loading_session_id=session, players=players, timeout_seconds=5, seq=self._next())
        )

    def cancelled(self, session: str = ONE, *, requeued: bool = True) -> Step:
        return self.journey.receive(
            MatchCancelled(loading_session_id=session, reason="player_left", requeued=requeued, seq=self._next())
        )

    def found(self, session_id: str = "s", loading: str = ONE, **details: Any) -> Step:
        fields = {"server_address": "udp://a:1", "players": ("me", "you"), **details}
        return self.journey.receive(
            MatchFound(session_id=session_id, loading_session_id=loading, seq=self._next(), **fields)
        )

    def dequeued(self, reason: DequeueReason = "requested") -> Step:
        return self.journey.receive(Dequeued(reason=reason, seq=self._next()))

    def resumed(self, state: JourneyState, *, token: str = TOKEN) -> Step:
        return self.journey.receive(Resumed(state=state, game_mode=MODE, resume_token=token, seq=self._next()))

    def error(self, code: ErrorCode, **details: Any) -> Step:
        return self.journey.receive(Error(code=code, message="no", **details))

    def loads(self) -> None:
        self.journey.sent(self.journey.loading_complete())

    def comes_back(self) -> None:
        self.journey.link_lost()
        self.journey.sent(self.journey.opening())
