"""What the stream of events says must be what Redis holds: each transition has one event, each event one transition."""

from collections.abc import Iterator, Sequence

from match_server.events.cloudevents import CloudEvent, read_entry
from match_server.events.data import (
    MatchCancelled,
    MatchFormed,
    MatchFound,
    PlayerDequeued,
    PlayerHeld,
    PlayerQueued,
    PlayerResumed,
    QueuePaused,
    QueueResumed,
    ServerLeft,
    ServerLost,
    ServerRegistered,
    SessionEnded,
)
from tests.shared.look import Look

_QUEUED = "queued"


class EventJournal:
    """The pool as its events tell it, from the beginning."""

    def __init__(self) -> None:
        self._number = 0  # of the last event
        self.forget()

    def forget(self) -> None:
        """Redis has lost everything."""
        self._places: dict[str, str] = {}  # of players: `queued`, or the id of their match
        self._held: set[str] = set()
        self._matches: dict[str, set[str]] = {}  # players of those that are not found yet
        self._sessions: set[tuple[str, str]] = set()  # by server, found and not ended
        self._servers: set[str] = set()
        self._paused: set[str] = set()
        self._numbers_known = False

    def hear(self, entries: Sequence[tuple[str, str]]) -> Iterator[str]:
        """Entries of the stream, as `(id, text)`. A line for each thing that does not follow from those before."""
        for entry_id, text in entries:
            for event in read_entry(entry_id, text, source="test"):
                if self._numbers_known and event.number != self._number + 1:
                    yield f"event {event.id} follows {self._number}"
                if event.number <= self._number:
                    yield f"event {event.id} has a number that was given before, {self._number} is the last"
                self._number, self._numbers_known = event.number, True
                yield from self._event(event)

    def _event(self, event: CloudEvent) -> Iterator[str]:
        if event.type.startswith("player."):
            yield from self._of_player(event)
        elif event.type.startswith(("match.", "session.")):
            yield from self._of_match(event)
        else:
            yield from self._of_pool(event)

    def _of_player(self, event: CloudEvent) -> Iterator[str]:
        match event.data:
            case PlayerQueued(player_id=player, requeued=requeued):
                if player in self._places and not requeued:
                    yield f"{player}: queued while {self._places[player]}"
                self._places[player] = _QUEUED
            case PlayerDequeued(player_id=player):
                self._leave(player)
            case PlayerHeld(player_id=player):
                self._held.add(player)
            case PlayerResumed(player_id=player):
                self._held.discard(player)

    def _of_match(self, event: CloudEvent) -> Iterator[str]:
        match event.data:
            case MatchFormed(match_id=match_id):
                players = {player.player_id for player in event.data.players}
                if not all(self._places.get(player) == _QUEUED for player in players) or players & self._held:
                    yield f"match {match_id} formed of {players}, who are {self._places}, held {self._held}"
                self._places |= dict.fromkeys(players, match_id)
                self._matches[match_id] = players
            case MatchCancelled(match_id=match_id):
                yield from self._close(match_id, "cancelled")
            case MatchFound(match_id=match_id):
                yield from self._close(match_id, "found")
                self._sessions.add((event.data.server_id, event.data.session_id))
            case SessionEnded(server_id=server, session_id=session_id):
                self._sessions.discard((server, session_id))

    def _of_pool(self, event: CloudEvent) -> Iterator[str]:
        match event.data:
            case ServerRegistered(server_id=server, how=how):
                if (server in self._servers) != (how == "replaced"):
                    yield f"{server}: {how}, known are {self._servers}"
                self._lose_sessions(server)
                self._servers.add(server)
            case ServerLost(server_id=server) | ServerLeft(server_id=server):
                if server not in self._servers:
                    yield f"{server}: {event.type}, known are {self._servers}"
                self._lose_sessions(server)
                self._servers.discard(server)
            case QueuePaused(game_mode=mode):
                self._paused.add(mode)
            case QueueResumed(game_mode=mode):
                self._paused.discard(mode)

    def contradictions(self, look: Look) -> Iterator[str]:
        """A line for each thing that Redis holds and the events do not tell, or the other way round."""
        places = {}
        for player, record in look.players.items():
            if record["state"] == _QUEUED:
                places[player] = _QUEUED
            elif record["state"] in {"loading", "allocating"}:
                places[player] = record["loading_session_id"]
        if places != self._places:
            yield f"by the events players are {self._places}, by their records {places}"
        if self._matches.keys() != look.sessions.keys():
            yield f"by the events these matches are open: {self._matches.keys()}, in Redis {look.sessions.keys()}"
        if unheard := look.held.keys() - self._held:
            yield f"held, and no event says so: {unheard}"
        if back := {player for player in self._held & places.keys() - look.held.keys() if places[player] == _QUEUED}:
            yield f"not held any more, and no event says so: {back}"
        yield from self._of_pool_contradicted(look)

    def _of_pool_contradicted(self, look: Look) -> Iterator[str]:
        servers = {server_id for server_id, server in look.servers.items() if server.record}
        if servers != self._servers:
            yield f"by the events these servers are there: {self._servers}, in Redis {servers}"
        for server_id, session_id in self._sessions:
            if session_id not in look.server(server_id).active:
                yield f"{server_id}: session {session_id} is over, and no event says so"
        if self._paused != set(look.contents.get("paused", ())):
            yield f"by the events {self._paused} are paused, in Redis {look.contents.get('paused')}"

    def _close(self, match_id: str, how: str) -> Iterator[str]:
        if match_id not in self._matches:
            yield f"match {match_id}: {how}, and not open"
        for player in self._matches.pop(match_id, set()):
            if self._places.get(player) == match_id:
                self._leave(player)

    def _leave(self, player: str) -> None:
        self._places.pop(player, None)
        self._held.discard(player)

    def _lose_sessions(self, server: str) -> None:
        self._sessions = {(server_id, session) for server_id, session in self._sessions if server_id != server}
