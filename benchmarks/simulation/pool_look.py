"""A look at the pool (look.lua), read."""

import json
from dataclasses import dataclass
from typing import Any

Hash = dict[str, str]
Scores = dict[str, float]


@dataclass(frozen=True, slots=True)
class Mode:
    """The queue of one game mode, and its sessions by stage."""

    queue: tuple[str, ...]
    front: Scores
    waiting: Scores
    stages: dict[str, Scores]


@dataclass(frozen=True, slots=True)
class Server:
    """A dedicated server in the registry."""

    record: Hash
    reserved: Hash
    active: Hash
    open: str


@dataclass(frozen=True, slots=True)
class Look:
    """Everything at one instant. Players without a record are left out."""

    players: dict[str, Hash]
    modes: dict[str, Mode]
    sessions: dict[str, Hash]
    nodes: dict[str, set[str]]
    servers: dict[str, Server]
    held: Scores
    leases: frozenset[str]  # of nodes


def read_look(text: str) -> Look:
    """Read what look.lua answered."""
    raw: dict[str, Any] = json.loads(text)
    players = {player: _hash(flat) for player, flat in raw["players"].items()}
    return Look(
        players={player: record for player, record in players.items() if record},
        modes={
            name: Mode(
                queue=tuple(mode["queue"]),
                front=_scores(mode["front"]),
                waiting=_scores(mode["waiting"]),
                stages={stage: _scores(mode[stage]) for stage in ("loading", "allocating", "unplaced")},
            )
            for name, mode in raw["modes"].items()
        },
        sessions={session: _hash(flat) for session, flat in _items(raw["sessions"])},
        nodes={node: set(players) for node, players in _items(raw["nodes"])},
        servers={
            server_id: Server(
                record=_hash(server["record"]),
                reserved=_hash(server["reserved"]),
                active=_hash(server["active"]),
                open=server["open"] or "",
            )
            for server_id, server in _items(raw["servers"])
        },
        held=_scores(raw["held"]),
        leases=frozenset(raw["leases"]),
    )


def _items(value: Any) -> Any:
    return value.items() if value else ()


def _hash(flat: Any) -> Hash:
    return dict(zip(flat[::2], flat[1::2], strict=True)) if flat else {}


def _scores(flat: Any) -> Scores:
    return dict(zip(flat[::2], map(float, flat[1::2]), strict=True)) if flat else {}
