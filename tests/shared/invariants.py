"""What must hold in Redis at every instant: all its structures agree. Numbers are docs/reliability.md's."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping

from tests.shared.look import Hash, Look, Mode, Server

# The keys that the pool itself owns. All others have an owner, a player, node or server, or an end of their own.
OF_THE_POOL = {
    "clock",
    "events",
    "events:lost",
    "feeds",
    "modes",
    "modes:pending",
    "modes:ticked",
    "modes:waiting",
    "nodes",
    "nodes:info",
    "rules",
    "secret",
    "signing_keys",
}
_NEVER = "9000000000000000"


def contradictions(look: Look, sizes: Mapping[str, int]) -> Iterator[str]:
    """One line for each thing that contradicts another.

    `sizes` are the players of each game mode's matches, 0 where rules decide.
    """
    modes = {name: look.mode(name) for name in sizes}
    in_sessions: dict[str, list[str]] = {}
    for session_id, session in look.sessions.items():
        for player in json.loads(session.get("#players", "[]")):
            in_sessions.setdefault(player, []).append(session_id)
    for player, record in look.players.items():
        yield from _player(player, record, look, modes[record["game_mode"]], in_sessions.get(player, []))
    for name, mode in modes.items():
        yield from _queue(name, mode, look.players)
        yield from _indexes(name, mode, look)
    for session_id, session in look.sessions.items():
        yield from _session(session_id, session, look, modes, sizes)
    for ticket_id, ticket in look.tickets.items():
        yield from _ticket(ticket_id, ticket, look, modes)
    yield from _ticket_indexes(look, modes)
    for player in look.held:
        if player not in look.players:
            yield f"held, without a record: {player}"
    yield from _nodes(look)
    for server_id, server in look.servers.items():
        yield from _server(server_id, server)
    yield from _index_of_slots(look)
    yield from _regions(look)
    yield from _session_deadlines(look)


def _player(player: str, record: Hash, look: Look, mode: Mode, sessions: list[str]) -> Iterator[str]:
    """1 and 4: a player is in exactly one place, and its record names it."""
    state, connected, held = record["state"], record["connection"] != "", player in look.held
    queued = mode.queue.count(player) + (player in mode.front)
    ticket_id = record.get("ticket")
    expected = 1 if state == "queued" and connected and not ticket_id else 0
    if ticket_id and state != "matched" and ticket_id not in look.tickets:
        yield f"{player}: {state}, without its ticket {ticket_id}"
    if state == "gathering" and not ticket_id:
        yield f"{player}: gathering, without a ticket"
    if queued != expected:
        yield f"{player}: {state}, {'connected' if connected else 'not connected'}, {queued} times in its queue"
    own = [record["loading_session_id"]] if state in {"loading", "allocating"} else []
    if sessions != own:
        yield f"{player}: {state} in {own}, and in the sessions {sessions}"
    if state == "matched" and f"match:{record['loading_session_id']}" not in look.contents:
        yield f"{player}: matched, without its match"
    if held and (connected or state == "matched"):
        yield f"{player}: held while {state} and {'connected' if connected else 'not connected'}"
    if state in {"gathering", "queued", "loading"} and not connected and not held:
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


def _ticket(ticket_id: str, ticket: Hash, look: Look, modes: Mapping[str, Mode]) -> Iterator[str]:
    """15: a ticket's members are in the same state and the same match; it can be proposed while all can be reached."""
    players, size = json.loads(ticket["#players"]), int(ticket["#size"])
    if json.loads(ticket["#attributes"]).keys() != set(players) or not 0 < len(players) <= size:
        yield f"ticket {ticket_id}: {players} of {size}, with attributes {ticket['#attributes']}"
    records = [look.players.get(player, {}) for player in players]
    if any(record.get("ticket") != ticket_id or record["state"] == "matched" for record in records):
        yield f"ticket {ticket_id}: not all of {players} have it: {records}"
        return
    if (
        len(
            {
                (record["state"], record["loading_session_id"]) if record.get("loading_session_id") else record["state"]
                for record in records
            }
        )
        != 1
    ):
        yield f"ticket {ticket_id}: its members are not in the same state: {records}"
    gathering = len(players) < size
    if (records[0]["state"] == "gathering") != gathering or (ticket_id in look.gathering) != gathering:
        yield f"ticket {ticket_id}: {len(players)} of {size} are there, and it is {records[0]['state']}"
    within_reach = all(record["state"] == "queued" and record["connection"] for record in records)
    if (ticket_id in modes[ticket["#game_mode"]].tickets) != within_reach:
        yield f"ticket {ticket_id}: {'not' if within_reach else 'wrongly'} within reach of the proposer"
    if ticket["#party"] and look.parties.get(ticket["#party"]) != ticket_id:
        yield f"ticket {ticket_id}: its party {ticket['#party']} has the ticket {look.parties.get(ticket['#party'])}"


def _ticket_indexes(look: Look, modes: Mapping[str, Mode]) -> Iterator[str]:
    listed = {*look.gathering, *look.parties.values(), *(ticket for mode in modes.values() for ticket in mode.tickets)}
    for ticket_id in listed - look.tickets.keys():
        yield f"listed, and not there: ticket {ticket_id}"
    for name, mode in modes.items():
        for ticket_id, score in mode.tickets.items():
            if float(look.tickets.get(ticket_id, {}).get("#enqueued_at", score)) != score:
                yield f"{name}: ticket {ticket_id} stands at another time than its own"


def _indexes(name: str, mode: Mode, look: Look) -> Iterator[str]:
    if any(mode.stages.values()) and name not in look.contents.get("modes:pending", ()):
        yield f"{name}: has sessions, and is not among modes:pending"
    for stage, index in mode.stages.items():
        for session_id in index.keys() - look.sessions.keys():
            yield f"{name}: {stage} lists a session that is not there: {session_id}"


def _nodes(look: Look) -> Iterator[str]:
    for node, players in look.nodes.items():
        for player in players:
            if look.players.get(player, {}).get("node") != node:
                yield f"on the list of {node}, and not its player: {player}"


def _session(
    session_id: str, session: Hash, look: Look, modes: Mapping[str, Mode], sizes: Mapping[str, int]
) -> Iterator[str]:
    """2: exactly the mode's number of distinct players, who all know this session as theirs."""
    players, mode_name = json.loads(session["#players"]), session["#game_mode"]
    if len(set(players)) != len(players) or sizes[mode_name] not in {0, len(players)}:
        yield f"session {session_id}: {len(players)} players {players}, not {sizes[mode_name]}"
    if {field for field in session if not field.startswith("#")} != set(players):
        yield f"session {session_id}: its fields {sorted(session)} are not of its players {players}"
    for player in players:
        if look.players.get(player, {}).get("loading_session_id") != session_id:
            yield f"session {session_id}: {player} is not in it by its own record"
    missing = [session.get(player) for player in players].count("loading")
    if int(session["#missing"]) != missing:
        yield f"session {session_id}: {session['#missing']} missing, but {missing} load"
    state = session["#state"]
    unplaced = state == "allocating" and session["#server"] == ""
    expected = {"loading": state == "loading", "allocating": state == "allocating", "unplaced": unplaced}
    found = {stage: session_id in index for stage, index in modes[mode_name].stages.items()}
    if found != expected:
        yield f"session {session_id}: {state} on server {session.get('#server')!r}, listed as {found}"


def _server(server_id: str, server: Server) -> Iterator[str]:
    """7, the registry's half: what is offered is what is left."""
    if not server.record:
        if server.reserved or server.active:
            yield f"{server_id}: slots without a server: {server}"
        return
    free = int(server.record["capacity"]) - len(server.active) - len(server.reserved)
    undisturbed = server.record["state"] == "live" and not {"full", "quarantined_until"} & server.record.keys()
    if server.offered > max(0, free) or (undisturbed and server.offered < free):
        yield f"{server_id}: offers {server.offered} slots, and has {free}"


def _index_of_slots(look: Look) -> Iterator[str]:
    """The index by which placing finds a server says what the servers offer, each and in all."""
    free: Counter[str] = Counter()
    shares: dict[str, dict[str, float]] = {}
    for server_id, server in look.servers.items():
        if server.offered:
            free[server.server_class] += server.offered
            share = server.offered / int(server.record["capacity"])
            shares.setdefault(server.server_class, {})[server_id] = share
    if look.free != free:
        yield f"the classes of servers offer {dict(free)}, and the index counts {look.free}"
    if look.open != shares:
        yield f"the servers offer these shares: {shares}, and the index has {look.open}"


def _regions(look: Look) -> Iterator[str]:
    """A session that has yet to take a slot of one region is counted there."""
    expected: dict[str, set[str]] = {}
    for session_id, session in look.sessions.items():
        given_up = session.get("#not_before") == _NEVER
        pending = not given_up and (session["#state"] == "loading" or session["#server"] == "")
        if pending and session.get("#region"):
            expected.setdefault(f"{session['#game_mode']} {session['#region']}", set()).add(session_id)
    if look.bound != expected:
        yield f"these sessions want a region: {expected}, and the sets have {look.bound}"
    for wanted in expected:
        if wanted not in look.contents.get("modes:pending", ()):
            yield f"{wanted}: wanted, and not among modes:pending"


def _session_deadlines(look: Look) -> Iterator[str]:
    for server_id, deadlines in look.deadlines.items():
        for session_id in deadlines.keys() - look.server(server_id).active.keys():
            yield f"{server_id}: a deadline of a session that is not active: {session_id}"
        earliest = look.earliest_deadlines.get(server_id)
        if earliest is None or earliest > min(deadlines.values()):
            yield f"{server_id}: its earliest deadline is {min(deadlines.values())}, and the index has {earliest}"
