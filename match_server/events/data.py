"""What each type of event says. Events, their schemas and docs/events.md are made from these models.

`read` takes the fields of a line that a script has noted (lua/lib/events.lua), behind its type.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field


class EventData(BaseModel):
    """The `data` of an event."""

    model_config = ConfigDict(frozen=True)

    type: ClassVar[str]
    about: ClassVar[str]  # the field that is the event's subject

    @classmethod
    def read(cls, fields: Sequence[str]) -> Self:
        """From the fields of a line: those of the model, in their order; an empty one is left out."""
        named = zip(cls.model_fields, fields, strict=True)
        return cls.model_validate({name: value for name, value in named if value})

    @property
    def subject(self) -> str:
        """The player, match, session, server, queue or node that it is about."""
        return str(getattr(self, self.about))


class PlayerQueued(EventData):
    """A player waits in a queue."""

    type = "player.queued"
    about = "player_id"

    player_id: str
    game_mode: str
    requeued: bool = Field(description="It waits again, with its old time: its match was cancelled, or data was lost")
    ticket_id: str | None = Field(None, description="Of a mode whose matches are formed by rules")


class PlayerDequeued(EventData):
    """A player left its queue or its match for good."""

    type = "player.dequeued"
    about = "player_id"

    player_id: str
    game_mode: str | None = None
    reason: str = Field(description="As in its `dequeued` message")
    match_id: str | None = Field(None, description="The match that it left")
    left_by: str | None = Field(None, description="The member of its party that left, where that is why")
    by: str | None = Field(None, description="The label of the operator's key that took it out")


class PlayerHeld(EventData):
    """A player's link broke; its place is kept for the grace time."""

    type = "player.held"
    about = "player_id"

    player_id: str
    game_mode: str
    state: str = Field(description="`gathering`, `queued`, `loading` or `allocating`")
    match_id: str | None = None


class PlayerResumed(EventData):
    """A held player is back."""

    type = "player.resumed"
    about = "player_id"

    player_id: str
    game_mode: str
    state: str
    match_id: str | None = None


class MatchPlayer(BaseModel):
    """A player of a match."""

    model_config = ConfigDict(frozen=True)

    player_id: str
    party_id: str | None = None
    team: str | None = None
    role: str | None = None
    waited_seconds: float


class MatchFormed(EventData):
    """Players are matched, and load."""

    type = "match.formed"
    about = "match_id"

    match_id: str = Field(description="The loading session's id")
    game_mode: str
    players: list[MatchPlayer]
    teams: dict[str, list[str]] | None = Field(None, description="Player ids by team")
    differences: dict[str, float] | None = Field(None, description="How far players and teams are apart, by the rules")
    region: str | None = None
    properties: dict[str, Any] | None = Field(None, description="What the rules have settled")
    rules_version: str | None = None

    @classmethod
    def read(cls, fields: Sequence[str]) -> Self:
        """See `EventData.read`. `details` are further JSON fields, each with a comma before it."""
        match_id, game_mode, players, now_us, since_us, parties, details, differences = fields
        settled: dict[str, Any] = json.loads("{" + details[1:] + "}")
        teams: Mapping[str, Sequence[str]] = settled.get("teams", {})
        team_of = {player: team for team, members in teams.items() for player in members}
        names = json.loads(players)
        return cls(
            match_id=match_id,
            game_mode=game_mode,
            players=[
                MatchPlayer(
                    player_id=player,
                    party_id=None if party == "-" else party,
                    team=team_of.get(player),
                    role=settled.get("roles", {}).get(player),
                    waited_seconds=max(0, int(now_us) - int(since)) / 1_000_000,
                )
                for player, since, party in zip(
                    names, since_us.split(), parties.split() or ["-"] * len(names), strict=True
                )
            ],
            teams={team: list(members) for team, members in teams.items()} or None,
            differences=json.loads(differences) if differences else None,
            region=settled.get("region"),
            properties=settled.get("properties"),
            rules_version=settled.get("rules_version"),
        )


class MatchCancelled(EventData):
    """A match ended before it was found."""

    type = "match.cancelled"
    about = "match_id"

    match_id: str
    game_mode: str
    reason: Literal["player_left", "loading_timeout", "allocation_failed", "state_lost"]
    requeued: int = Field(description="How many of its players wait again")
    at_fault: list[str] = Field([], description="The players who left it, or did not load in time")

    @classmethod
    def read(cls, fields: Sequence[str]) -> Self:
        """See `EventData.read`."""
        *others, at_fault = fields
        named = dict(zip(cls.model_fields, others, strict=False))
        return cls.model_validate({**named, "at_fault": at_fault.split()})


class MatchFound(EventData):
    """A dedicated server has made the session, and the players were told where."""

    type = "match.found"
    about = "match_id"

    match_id: str
    game_mode: str
    session_id: str = Field(description="The session's id on its server; usually the match's")
    server_id: str
    region: str | None = None
    players: list[str]
    server_address: str

    @classmethod
    def read(cls, fields: Sequence[str]) -> Self:
        """See `EventData.read`. Players and address are JSON."""
        *others, players, address = fields
        named = {name: value for name, value in zip(cls.model_fields, others, strict=False) if value}
        return cls.model_validate({**named, "players": json.loads(players), "server_address": json.loads(address)})


class SessionEnded(EventData):
    """A session on a dedicated server is over."""

    type = "session.ended"
    about = "session_id"

    session_id: str
    server_id: str
    reason: Literal["reported", "missing", "overdue"] = Field(
        description="Its server said so, two heartbeats left it out, or its time was up"
    )
    result: Any = Field(None, description="What the server reported with its end, as it is")

    @classmethod
    def read(cls, fields: Sequence[str]) -> Self:
        """See `EventData.read`. The result is JSON."""
        session_id, server_id, reason, result = fields
        return cls.model_validate(
            {
                "session_id": session_id,
                "server_id": server_id,
                "reason": reason,
                "result": json.loads(result) if result else None,
            }
        )


class ServerRegistered(EventData):
    """A dedicated server registered, for the first time or as another process."""

    type = "server.registered"
    about = "server_id"

    server_id: str
    how: Literal["created", "replaced"] = Field(description="`replaced`: another process had its id")
    sessions_lost: int = Field(description="Of the process that it replaced")
    control_url: str
    address: str
    capacity: int
    game_modes: list[str] = Field([], description="Empty: any")
    region: str | None = None

    @classmethod
    def read(cls, fields: Sequence[str]) -> Self:
        """See `EventData.read`."""
        named = {name: value for name, value in zip(cls.model_fields, fields, strict=True) if value}
        return cls.model_validate(
            {**named, "game_modes": [mode for mode in named.get("game_modes", "").split(",") if mode]}
        )


class ServerDraining(EventData):
    """A dedicated server takes no new sessions any more."""

    type = "server.draining"
    about = "server_id"

    server_id: str
    by: str | None = Field(
        None, description="The label of the operator's key, where the server did not ask for it itself"
    )


class ServerLost(EventData):
    """A dedicated server missed its heartbeats for too long."""

    type = "server.lost"
    about = "server_id"

    server_id: str
    sessions_lost: int


class ServerLeft(EventData):
    """A dedicated server left."""

    type = "server.left"
    about = "server_id"

    server_id: str
    sessions_lost: int


class QueuePaused(EventData):
    """An operator paused a game mode."""

    type = "queue.paused"
    about = "game_mode"

    game_mode: str
    by: str | None = Field(None, description="The label of the operator's key")


class QueueResumed(EventData):
    """An operator ended the pause of a game mode."""

    type = "queue.resumed"
    about = "game_mode"

    game_mode: str
    by: str | None = Field(None, description="The label of the operator's key")


class NodeLost(EventData):
    """A node's lease ran out."""

    type = "node.lost"
    about = "node"

    node: str


EVENTS: tuple[type[EventData], ...] = (
    PlayerQueued,
    PlayerDequeued,
    PlayerHeld,
    PlayerResumed,
    MatchFormed,
    MatchCancelled,
    MatchFound,
    SessionEnded,
    ServerRegistered,
    ServerDraining,
    ServerLost,
    ServerLeft,
    QueuePaused,
    QueueResumed,
    NodeLost,
)
