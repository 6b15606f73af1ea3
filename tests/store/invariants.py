"""What must hold in a pool at every instant (the numbers are those of docs/reliability.md), read in one atomic look."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tests.store.contents import Contents
from tests.store.pool import SIZES
from tests.store.raw_pool import Frame

_STATE_AFTER: dict[str, set[str | None]] = {
    "queued": {"queued"},
    "start_loading": {"loading", "allocating"},
    "match_found": {"matched"},
    "dequeued": {None},
}
_NEXT: dict[str | None, set[str]] = {
    None: {"queued"},
    "queued": {"start_loading", "dequeued"},
    "start_loading": {"match_cancelled", "match_found", "dequeued"},
    "match_cancelled": {"queued"},
    "match_found": {"queued"},
    "dequeued": {"queued"},
}


class Told:
    """What one player has been told. Its frames tell a story without gaps: that is half of the conservation."""

    def __init__(self) -> None:
        self.last: Frame | None = None
        self.seq = 0

    def hear(self, frame: Frame) -> None:
        """Invariant 9: after `dequeued` no match until the player enqueues again. Invariant 1: one match for each."""
        last = self.last["type"] if self.last else None
        assert frame["type"] in _NEXT[last], f"{frame} after {self.last}"
        if frame["type"] == "queued":
            assert frame["requeued"] == (last == "match_cancelled"), f"{frame} after {self.last}"
        if frame["type"] in {"match_found", "match_cancelled"}:
            assert self.last is not None
            assert frame["loading_session_id"] == self.last["loading_session_id"]
        if frame["type"] in {"match_found", "start_loading"}:
            assert len(set(frame["players"])) == len(frame["players"]) == SIZES[frame["game_mode"]]
        self.last = frame
        self.seq = frame["seq"]

    def hear_put_back(self, frames: Sequence[Frame]) -> None:
        """Redis has lost the player; a session whose client knows that it is queued keeps the number alone."""
        if self.state == "queued":
            assert [frame["type"] for frame in frames] == ["queued"]
            assert frames[0]["seq"] > self.seq
            self.seq = frames[0]["seq"]
            return
        for frame in frames:
            self.hear(frame)

    @property
    def state(self) -> str:
        """What a session would say of it to `reassert`; empty when it would not ask."""
        return {"queued": "queued", "start_loading": "loading"}.get(self.last["type"] if self.last else "", "")

    @property
    def session(self) -> str:
        return str(self.last.get("loading_session_id", "")) if self.last else ""

    def agrees_with(self, record: dict[str, str] | None) -> bool:
        if self.last is None:
            return record is None
        return (record["state"] if record else None) in _STATE_AFTER[self.last["type"]]


def check(contents: Contents) -> None:
    """Every structure agrees with every other."""
    records = {key.removeprefix("player:"): value for key, value in contents.items() if key.startswith("player:")}
    sessions = {key.removeprefix("loading:"): value for key, value in contents.items() if key.startswith("loading:")}
    for player, record in records.items():
        _check_player(player, record, contents)
    _check_queues(records, contents)
    for session_id, session in sessions.items():
        _check_session(session_id, session, records, contents)
    _check_indexes(sessions, contents)
    _check_servers(contents)


def _queue(contents: Contents, mode: str) -> Counter[str]:
    return Counter(list(contents.get(f"queue:{mode}", ())) + list(contents.get(f"queue:{mode}:front", ())))


def _check_player(player: str, record: dict[str, str], contents: Contents) -> None:
    """Invariants 1 and 4: a player is in exactly one place, and its record names it."""
    state, mode, connected = record["state"], record["game_mode"], record["connection"] != ""
    held = player in contents.get("held", {})
    in_sessions = [key for key, value in contents.items() if key.startswith("loading:") and player in value]
    if state == "queued":
        assert _queue(contents, mode)[player] == int(connected), "in its queue once, or held"
        assert in_sessions == []
    elif state in {"loading", "allocating"}:
        assert in_sessions == [f"loading:{record['loading_session_id']}"]
        assert contents[in_sessions[0]]["#state"] == state
    else:
        assert state == "matched"
        assert in_sessions == []
        assert f"match:{record['loading_session_id']}" in contents
    if state in {"queued", "loading"}:
        assert held != connected
    assert not (held and connected)
    assert not (held and state == "matched")
    indexed = player in contents.get(f"node_players:{record['node']}", ())
    assert indexed == (connected and state != "matched")


def _check_queues(records: dict[str, dict[str, str]], contents: Contents) -> None:
    """Nobody waits who is not queued, and everybody queued is counted with the original time."""
    for mode in SIZES:
        queued = {p: r for p, r in records.items() if r["state"] == "queued" and r["game_mode"] == mode}
        waiting = contents.get(f"waiting:{mode}", {})
        assert {player: int(float(score)) for player, score in waiting.items()} == {
            player: int(record["enqueued_at"]) for player, record in queued.items()
        }
        assert _queue(contents, mode).keys() <= queued.keys()
    assert contents.get("held", {}).keys() <= records.keys()
    for key, players in contents.items():
        if key.startswith("node_players:"):
            assert set(players) <= records.keys()


def _check_session(session_id: str, session: dict[str, str], records: dict[str, Any], contents: Contents) -> None:
    """Invariant 2: exactly the mode's number of distinct players, who all know this session as theirs."""
    players = json.loads(session["#players"])
    fields = {field: value for field, value in session.items() if not field.startswith("#")}
    assert len(players) == len(set(players)) == SIZES[session["#game_mode"]]
    assert fields.keys() == set(players)
    assert {records[player]["loading_session_id"] for player in players} == {session_id}
    assert int(session["#missing"]) == list(fields.values()).count("loading")
    mode, stage = session["#game_mode"], session["#state"]
    assert session_id in contents[f"sessions:{stage}:{mode}"]
    unplaced = session_id in contents.get(f"sessions:unplaced:{mode}", {})
    assert unplaced == (stage == "allocating" and session["#server"] == "")


def _check_indexes(sessions: dict[str, Any], contents: Contents) -> None:
    for stage in ("loading", "allocating", "unplaced"):
        for mode in SIZES:
            assert contents.get(f"sessions:{stage}:{mode}", {}).keys() <= sessions.keys()


def _check_servers(contents: Contents) -> None:
    """Invariant 7, the registry's half: no more slots are taken than there are, and what is offered is what is left."""
    for server_id in contents.get("servers", {}):
        server = contents[f"server:{server_id}"]
        active, reserved = contents.get(f"active:{server_id}", {}), contents.get(f"reserved:{server_id}", {})
        free = int(server["capacity"]) - len(active) - len(reserved)
        assert free >= 0
        offered = contents.get("servers:open", {}).get(server_id)
        assert offered is None or 0 < int(offered.split()[0]) <= free
        if server["state"] == "live" and not {"full", "quarantined_until"} & server.keys():
            assert (int(offered.split()[0]) if offered else 0) == free
    assert contents.get("servers:open", {}).keys() <= contents.get("servers", {}).keys()
    for member in contents.get("session_deadlines", {}):
        server_id, session_id = member.split()
        assert session_id in contents.get(f"active:{server_id}", {})
