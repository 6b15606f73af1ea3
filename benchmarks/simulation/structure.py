"""What must hold in Redis at every instant: all its structures agree. Numbers are docs/reliability.md's."""

import json
from collections.abc import Iterator, Mapping

from benchmarks.simulation.pool_look import Hash, Look, Mode, Server


def contradictions(look: Look, sizes: Mapping[str, int]) -> Iterator[str]:
    """One line for each thing that contradicts another."""
    in_sessions: dict[str, list[str]] = {}
    for session_id, session in look.sessions.items():
        for player in json.loads(session.get("#players", "[]")):
            in_sessions.setdefault(player, []).append(session_id)
    for player, record in look.players.items():
        yield from _player(player, record, look, in_sessions.get(player, []))
    for name, mode in look.modes.items():
        yield from _queue(name, mode, look.players)
        yield from _indexes(name, mode, look.sessions)
    for session_id, session in look.sessions.items():
        yield from _session(session_id, session, look, sizes)
    for player in look.held:
        if player not in look.players:
            yield f"held, without a record: {player}"
    yield from _nodes(look)
    for server_id, server in look.servers.items():
        yield from _server(server_id, server)


def _player(player: str, record: Hash, look: Look, sessions: list[str]) -> Iterator[str]:
    """1 and 4: a player is in exactly one place, and its record names it."""
    state, connected, held = record["state"], record["connection"] != "", player in look.held
    mode = look.modes[record["game_mode"]]
    queued = mode.queue.count(player) + (player in mode.front)
    expected = 1 if state == "queued" and connected else 0
    if queued != expected:
        yield f"{player}: {state}, {'connected' if connected else 'not connected'}, {queued} times in its queue"
    own = [record["loading_session_id"]] if state in {"loading", "allocating"} else []
    if sessions != own:
        yield f"{player}: {state} in {own}, and in the sessions {sessions}"
    if held and (connected or state == "matched"):
        yield f"{player}: held while {state} and {'connected' if connected else 'not connected'}"
    if state in {"queued", "loading"} and not connected and not held:
        yield f"{player}: {state}, with nobody connected and no end of its grace"
    if (player in look.nodes.get(record["node"], ())) != (connected and state != "matched"):
        yield f"{player}: {state}, connection {record['connection']!r}, and wrongly on or off the list of its node"


def _queue(name: str, mode: Mode, players: Mapping[str, Hash]) -> Iterator[str]:
    """4: nobody waits who is not queued, and everybody queued is counted with the original time."""
    queued = {
        player: float(record["enqueued_at"])
        for player, record in players.items()
        if record["state"] == "queued" and record["game_mode"] == name
    }
    if mode.waiting != queued:
        yield f"{name}: waiting {mode.waiting}, but queued are {queued}"
    for player in {*mode.queue, *mode.front} - queued.keys():
        yield f"{name}: a ghost in the queue: {player}"


def _indexes(name: str, mode: Mode, sessions: Mapping[str, Hash]) -> Iterator[str]:
    for stage, index in mode.stages.items():
        for session_id in index:
            if not sessions.get(session_id):
                yield f"{name}: {stage} lists a session that is not there: {session_id}"


def _nodes(look: Look) -> Iterator[str]:
    for node, players in look.nodes.items():
        for player in players:
            if look.players.get(player, {}).get("node") != node:
                yield f"on the list of {node}, and not its player: {player}"


def _session(session_id: str, session: Hash, look: Look, sizes: Mapping[str, int]) -> Iterator[str]:
    """2: exactly the mode's number of distinct players, who all know this session as theirs."""
    if not session:
        return
    players, mode_name = json.loads(session["#players"]), session["#game_mode"]
    if len(set(players)) != sizes[mode_name] or len(players) != sizes[mode_name]:
        yield f"session {session_id}: {len(players)} players {players}, not {sizes[mode_name]}"
    for player in players:
        if look.players.get(player, {}).get("loading_session_id") != session_id:
            yield f"session {session_id}: {player} is not in it by its own record"
    missing = [session.get(player) for player in players].count("loading")
    if int(session["#missing"]) != missing:
        yield f"session {session_id}: {session['#missing']} missing, but {missing} load"
    stages, state = look.modes[mode_name].stages, session["#state"]
    unplaced = state == "allocating" and session["#server"] == ""
    expected = {"loading": state == "loading", "allocating": state == "allocating", "unplaced": unplaced}
    found = {stage: session_id in index for stage, index in stages.items()}
    if found != expected:
        yield f"session {session_id}: {state} on server {session['#server']!r}, listed as {found}"


def _server(server_id: str, server: Server) -> Iterator[str]:
    """7, the registry's half: what is offered is what is left."""
    if not server.record:
        if server.reserved or server.active or server.open:
            yield f"{server_id}: slots without a server: {server}"
        return
    free = int(server.record["capacity"]) - len(server.active) - len(server.reserved)
    offered = int(server.open.split()[0]) if server.open else 0
    undisturbed = server.record["state"] == "live" and not {"full", "quarantined_until"} & server.record.keys()
    if offered > max(0, free) or (undisturbed and offered < free):
        yield f"{server_id}: offers {offered} slots, and has {free}"
