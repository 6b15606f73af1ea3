"""One atomic look at a pool (look.lua): every key with what it holds, and what that says of players and servers."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

LOOK = (Path(__file__).parent / "look.lua").read_text(encoding="utf-8")

# By the key's name without the prefix: a dict, a sorted list, a text, or the length of a stream.
Contents = dict[str, Any]
Hash = dict[str, str]
Scores = dict[str, float]

STAGES = ("loading", "allocating", "unplaced")


def read_contents(text: str | bytes) -> Contents:
    """Read the keys that look.lua found. Scores stay as text."""
    return {key: _value(kind, value) for key, (kind, value) in json.loads(text).items()}


def _value(kind: str, value: Any) -> Any:
    if kind in {"hash", "zset"}:
        return dict(zip(value[::2], value[1::2], strict=True))
    return sorted(value) if kind == "set" else value


@dataclass(frozen=True, slots=True)
class Mode:
    """The queue of one game mode, and its loading sessions by stage."""

    queue: tuple[str, ...]
    front: Scores
    waiting: Scores
    tickets: Scores
    stages: dict[str, Scores]


@dataclass(frozen=True, slots=True)
class Server:
    """A dedicated server in the registry. `record` is empty for one that is not there."""

    record: Hash
    reserved: Hash
    active: Hash

    @property
    def offered(self) -> int:
        """The slots that it offers."""
        return int(self.record.get("offered", 0))

    @property
    def server_class(self) -> str:
        """The servers that take the same game modes in the same region."""
        return f"{self.record['game_modes'] or '*'} {self.record['region']}"


class Look:
    """The pool at one instant."""

    def __init__(self, contents: Contents) -> None:
        self.contents = contents

    @cached_property
    def players(self) -> dict[str, Hash]:
        """The record of each player."""
        return self._named("player:")

    @cached_property
    def sessions(self) -> dict[str, Hash]:
        """Each loading session."""
        return self._named("loading:")

    @cached_property
    def tickets(self) -> dict[str, Hash]:
        """Each ticket of the modes whose matches are formed by rules."""
        return self._named("ticket:")

    @cached_property
    def parties(self) -> dict[str, str]:
        """The ticket of each party."""
        return self._named("party:")

    @cached_property
    def gathering(self) -> Scores:
        """Tickets whose parties are incomplete, by deadline."""
        return self._scores("gathering")

    @cached_property
    def nodes(self) -> dict[str, set[str]]:
        """The players on each node."""
        return {node: set(players) for node, players in self._named("node_players:").items()}

    @cached_property
    def held(self) -> Scores:
        """Players whose link is lost, by the end of their grace."""
        return self._scores("held")

    @cached_property
    def leases(self) -> frozenset[str]:
        """Nodes that have a lease."""
        return frozenset(node for node, until in self._scores("nodes").items() if until > 0)

    @cached_property
    def servers(self) -> dict[str, Server]:
        """Every dedicated server that is registered or has left slots behind."""
        names = {name for kind in ("server:", "reserved:", "active:") for name in self._named(kind)}
        return {name: self.server(name) for name in sorted(names)}

    @cached_property
    def deadlines(self) -> dict[str, Scores]:
        """By server, the sessions that end at a time at the latest."""
        return {name: self._scores(f"session_deadlines:{name}") for name in self._named("session_deadlines:")}

    @cached_property
    def earliest_deadlines(self) -> Scores:
        """By server, the time at which its deadlines are looked at next."""
        return self._scores("session_deadlines")

    @cached_property
    def bound(self) -> dict[str, set[str]]:
        """By game mode and region, the sessions that can take no slot but one of that region."""
        return {wanted: set(sessions) for wanted, sessions in self._named("sessions:bound:").items()}

    @cached_property
    def free(self) -> dict[str, int]:
        """The slots that each class of servers offers."""
        return {name: int(free) for name, free in self.contents.get("servers:free", {}).items()}

    @cached_property
    def open(self) -> dict[str, Scores]:
        """By class, the servers that offer slots, with the share that each has free."""
        return {name: self._scores(f"servers:open:{name}") for name in self._named("servers:open:")}

    def server(self, server_id: str) -> Server:
        """One dedicated server, also where there is none of that name."""
        return Server(
            record=self.contents.get(f"server:{server_id}", {}),
            reserved=self.contents.get(f"reserved:{server_id}", {}),
            active=self.contents.get(f"active:{server_id}", {}),
        )

    def mode(self, name: str) -> Mode:
        """One game mode, also where nothing of it is there."""
        return Mode(
            queue=tuple(self.contents.get(f"queue:{name}", ())),
            front=self._scores(f"queue:{name}:front"),
            waiting=self._scores(f"waiting:{name}"),
            tickets=self._scores(f"tickets:{name}"),
            stages={stage: self._scores(f"sessions:{stage}:{name}") for stage in STAGES},
        )

    def _named(self, kind: str) -> dict[str, Any]:
        return {key.removeprefix(kind): value for key, value in self.contents.items() if key.startswith(kind)}

    def _scores(self, key: str) -> Scores:
        return {member: float(score) for member, score in self.contents.get(key, {}).items()}
