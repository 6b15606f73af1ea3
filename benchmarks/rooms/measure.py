"""One server with its rooms full of players, for some seconds: what it cost, and what its players saw when."""

import json
import re
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.load.cores import Layout, pinned
from benchmarks.load.figures import Figures
from benchmarks.load.measure import spent
from benchmarks.load.processes import START_SECONDS, BenchmarkError, Child, python
from benchmarks.rooms.node_packages import lay_out
from match_server.signing import SigningKeys, new_key

Variant = Literal["protobuf", "json", "colyseus"]

_SCHEMA = Path(__file__).parents[2] / "dedicated_server_stub" / "room.proto"
_ADDRESS = re.compile(r"http://[\d.]+:\d+")
_SERVER_ID = "rooms"
_PER_CALL = 64  # sessions
_CONNECT_SECONDS, _READ_SECONDS = 60.0, 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is played.

    Attributes:
        rooms: how many, with `players` each.
        tick_hz: ticks a second of the server, and states that it sends.
        move_hz: moves a second of each player.
        seconds: how long it is measured, after `warm_up_seconds`.
    """

    name: str
    rooms: int
    players: int
    move_hz: float
    tick_hz: float = 20.0
    seconds: float = 8.0
    warm_up_seconds: float = 3.0

    @property
    def everybody(self) -> int:
        """The players of all rooms."""
        return self.rooms * self.players


def measure(case: Case, variant: Variant, layout: Layout, modules: Path) -> Figures:
    """Play on a server that is started for it, and stopped.

    Raises:
        BenchmarkError: it could not be measured, or the players did not all see each other's last move.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name, ExitStack() as exits:
        folder = Path(name)
        lay_out(folder, modules)
        exits.enter_context(pinned(layout.load))
        host = _Host(exits, folder, layout)
        server = host.colyseus(case) if variant == "colyseus" else host.ours(case)
        load = host.child("load", ["node", "load.mjs"], layout.load)
        load.write_line(json.dumps(_plan(case) | {"kind": variant} | server.plan))
        _expect(load, "connected", _CONNECT_SECONDS)
        load.write_line("{}")
        _expect(load, "began", case.warm_up_seconds + START_SECONDS)
        pids = {"server": server.process.pid, "load": load.pid}
        before, ticks_before = spent(pids), _ticks(server)
        _expect(load, "ended", case.seconds + START_SECONDS)
        used, ticks = spent(pids).since(before), _ticks(server) - ticks_before
        seen = json.loads(load.read_line(_READ_SECONDS))
    for trouble in ("rejected", "unseen", "broken"):
        if seen[trouble]:
            raise BenchmarkError(f"{case.name} on {variant}: {seen[trouble]} {trouble}: {json.dumps(seen)}")
    return figures(case, used, seen) | _late(ticks)


def figures(case: Case, used: Mapping[str, float], seen: Mapping[str, float]) -> Figures:
    """What a run came to.

    Args:
        case: what was played.
        used: CPU seconds of `server` and `load`.
        seen: what the players say, load.mjs' last answer.
    """
    seconds, everybody = seen["seconds"], case.everybody
    return {
        "server_cpu_us_per_player_and_tick": 1e6 * used["server"] / (everybody * seconds * case.tick_hz),
        "bytes_per_player_and_second": seen["bytes"] / (everybody * seconds),
        "bytes_per_frame": seen["bytes"] / seen["frames"],  # of a server that was kept from its core, too
        **{f"update_{end}_ms": seen[f"update_{end}_ms"] for end in ("p50", "p99", "max")},
        "frames_per_player_and_second": seen["frames"] / (everybody * seconds),
        "server_cpu_percent": 100 * used["server"] / seconds,
        "load_cpu_percent": 100 * used["load"] / seconds,
    }


@dataclass(frozen=True, slots=True)
class _Server:
    """One that runs.

    Attributes:
        process: its process.
        plan: where the players go.
        metrics: its page for Prometheus; None: it has none.
    """

    process: Child
    plan: dict[str, Any]
    metrics: str | None = None


class _Host:
    """Starts what a measurement needs."""

    def __init__(self, exits: ExitStack, folder: Path, layout: Layout) -> None:
        self._exits = exits
        self._folder = folder
        self._layout = layout

    def child(self, name: str, command: list[str], cores: frozenset[int]) -> Child:
        """A process that ends with the measurement."""
        environment = {"NODE_ENV": "production"}
        child = Child(name, command, folder=self._folder, cores=cores, environment=environment)
        return self._exits.enter_context(child)

    def colyseus(self, case: Case) -> _Server:
        """Colyseus' server, and a seat for each player."""
        process, address = self._serving("server", ["node", "server.mjs", str(case.tick_hz)], self._layout.node(0))
        seats = [{"room": room} for room in range(case.rooms) for _ in range(case.players)]
        return _Server(process, {"address": address, "roomPlayers": case.players, "players": seats})

    def ours(self, case: Case) -> _Server:
        """A dedicated server that has registered, with its sessions and a token for each player."""
        key = new_key()
        signing = SigningKeys()
        signing.learn([key])
        _, front = self._serving("front", python("benchmarks.rooms.front", key), self._layout.load)
        options = [
            *("--match-server", front, "--server-id", _SERVER_ID, "--capacity", str(case.rooms)),
            *("--session-seconds", "0", "--drain-seconds", "0", "--tick-hz", str(case.tick_hz)),
            *("--log-level", "warning"),
        ]
        process, address = self._serving("server", python("dedicated_server_stub", *options), self._layout.node(0))
        names = [[f"player-{room}-{number}" for number in range(case.players)] for room in range(case.rooms)]
        seats = []
        for room, (where, members) in enumerate(zip(_create(address, names), names, strict=True)):
            tokens = signing.join_tokens(members, session_id=f"room-{room}", server_id=_SERVER_ID, settled={})
            seats += [
                {"room": room, "address": where, "player": player, "token": token}
                for player, token in zip(members, tokens, strict=True)
            ]
        return _Server(process, {"schema": str(_SCHEMA), "players": seats}, metrics=f"{address}/metrics")

    def _serving(self, name: str, command: list[str], cores: frozenset[int]) -> tuple[Child, str]:
        process = self.child(name, command, cores)
        found = _ADDRESS.search(line := process.read_line(START_SECONDS))
        if found is None:
            raise BenchmarkError(f"{name} said no address: {line}")
        return process, found[0]


def _plan(case: Case) -> dict[str, float]:
    return {"moveHz": case.move_hz, "warmUpSeconds": case.warm_up_seconds, "seconds": case.seconds}


def _create(address: str, names: Sequence[Sequence[str]]) -> list[str]:
    """Create a session for each list of players; return where they play."""
    entries = [
        {"session_id": f"room-{room}", "idempotency_key": f"room-{room}", "game_mode": "rooms", "players": members}
        for room, members in enumerate(names)
    ]
    addresses: list[str] = []
    for first in range(0, len(entries), _PER_CALL):
        body = {"sessions": entries[first : first + _PER_CALL]}
        answer = httpx.post(f"{address}/sessions/create", json=body, timeout=START_SECONDS, trust_env=False)
        addresses += [session["server_address"] for session in answer.raise_for_status().json()["sessions"]]
    return addresses


def _expect(load: Child, word: str, seconds: float) -> None:
    answer = load.read_line(seconds)
    if word not in json.loads(answer):
        raise BenchmarkError(f"load: expected {word}: {answer}")


def _ticks(server: _Server) -> Counter[str]:
    """How many ticks have begun in all (`+Inf`), and how many by how late they were at most, in seconds."""
    if server.metrics is None:
        return Counter()
    text = httpx.get(server.metrics, timeout=START_SECONDS, trust_env=False).raise_for_status().text
    return Counter(
        {
            sample.labels["le"]: int(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "room_tick_lag_seconds_bucket"
        }
    )


def _late(ticks: Counter[str]) -> Figures:
    """The share of ticks that began more than 10 ms late."""
    if not ticks["+Inf"]:
        return {}
    return {"ticks_over_10_ms_late_percent": 100 * (1 - ticks["0.01"] / ticks["+Inf"])}
