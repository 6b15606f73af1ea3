"""The room's tick, without sockets: the test reads what waits for each connection."""

import json
import random
from typing import Any

from dedicated_server_stub.metrics import RoomMetrics
from dedicated_server_stub.rooms.acknowledged import PER_TICK
from dedicated_server_stub.rooms.commands import Joined, Lost, Received
from dedicated_server_stub.rooms.connection import Connection
from dedicated_server_stub.rooms.frames import JSON
from dedicated_server_stub.rooms.messages import Chat, Move, Snapshot, Tagged
from dedicated_server_stub.rooms.room import Room, RoomSettings


def taken(connection: Connection) -> list[dict[str, Any]]:
    """Take what waits for a client, as its socket would."""
    frames = [json.loads(frame) for frame in connection.waiting]
    connection.waiting.clear()
    return frames


def room_of(*players: str) -> tuple[Room, list[Connection]]:
    room = Room("s-1", RoomSettings(), on_over=lambda _: None, metrics=RoomMetrics(), clock=lambda: 0.0)
    connections = [Connection(player, team=None, form=JSON) for player in players]
    for connection in connections:
        room.submit(Joined(connection))
    room.tick()
    room.tick()
    for connection in connections:
        taken(connection)
    return room, connections


def move(room: Room, connection: Connection, *, seq: int, x: float = 0.0) -> None:
    player = room.members[connection.player_id].player
    place = Move(seq, player.x / 1000 + x, player.y / 1000, 0.0, 0.0)
    room.submit(Received(connection, place))


def test_a_line_of_chat_does_not_hold_up_the_state() -> None:
    room, (ann, bob) = room_of("ann", "bob")
    room.submit(Received(ann, Chat("hello")))
    move(room, ann, seq=1)
    room.tick()
    assert [frame["type"] for frame in taken(bob)] == ["chat", "state"]


def test_a_client_that_is_behind_skips_states_and_gets_them_in_one() -> None:
    room, (ann, bob) = room_of("ann", "bob")
    move(room, ann, seq=1, x=0.1)
    room.tick()
    for seq in (2, 3):
        move(room, ann, seq=seq)
        room.tick()  # bob has not taken the first state yet
    (first,) = taken(bob)
    move(room, ann, seq=4, x=0.1)
    room.tick()
    (newest,) = taken(bob)
    assert first["players"][0]["seq"] == 1
    assert newest["players"][0]["seq"] == 4


def test_a_client_that_is_behind_is_not_sent_the_same_again() -> None:
    room, (_, bob) = room_of("ann", "bob")
    for number in range(200):
        room.members["bob"].acknowledged.add(Tagged(number, by="ann", player_id="bob", scores={}), -1.0)
    for _ in range(50):
        room.tick()  # bob takes nothing
    assert [frame["id"] for frame in taken(bob)] == list(range(PER_TICK))
    assert bob.close_code is None
    room.tick()
    assert [frame["id"] for frame in taken(bob)] == list(range(PER_TICK, 2 * PER_TICK))


def test_who_has_seen_the_same_is_sent_the_same_bytes() -> None:
    room, connections = room_of("ann", "bob", "cid")
    move(room, connections[0], seq=1)
    room.tick()
    first, *others = (connection.waiting[0] for connection in connections)
    assert all(frame is first for frame in others)


def test_nothing_is_sent_where_nothing_has_changed() -> None:
    room, connections = room_of("ann", "bob")
    room.tick()
    assert [taken(connection) for connection in connections] == [[], []]


def test_what_happens_in_the_tick_of_a_welcome_is_not_missed() -> None:
    """Found by the page's client: of two who joined in one tick, the first never heard of the second."""
    room = Room("s-1", RoomSettings(), on_over=lambda _: None, metrics=RoomMetrics(), clock=lambda: 0.0)
    ann, bob = (Connection(player, team=None, form=JSON) for player in ("ann", "bob"))
    for connection in (ann, bob):
        room.submit(Joined(connection))
    room.tick()
    assert "bob" in {player["player_id"] for player in taken(ann)[-1]["players"]}


def test_what_happens_in_the_tick_of_a_snapshot_is_not_missed() -> None:
    room, (ann, bob) = room_of("ann", "bob")
    room.submit(Received(ann, Snapshot()))
    move(room, bob, seq=1, x=0.1)
    room.tick()
    assert [player["seq"] for player in taken(ann)[-1]["players"]] == [1]


def learn(seen: dict[str, dict[str, Any]], frames: list[dict[str, Any]]) -> None:
    """What a client knows of the players, after some frames."""
    for frame in frames:
        if frame["type"] == "welcome" or frame.get("full"):
            seen.clear()
        if frame["type"] in {"welcome", "state"}:
            for change in frame["players"]:
                seen.setdefault(change["player_id"], {}).update(change)


def test_who_rejoins_sees_the_same_world_as_those_who_stayed_in_every_tick() -> None:
    chance = random.Random(7)  # noqa: S311 - repeatable by design
    room, connections = room_of("ann", "bob", "cid")
    known: list[dict[str, dict[str, Any]]] = [{} for _ in connections]
    rejoined = 0

    def tick_and_read() -> None:
        room.tick()
        for seen, connection in zip(known, connections, strict=True):
            learn(seen, taken(connection))

    for connection in connections:
        room.submit(Received(connection, Snapshot()))
    for tick in range(500):
        for number, connection in enumerate(connections):
            if number and chance.random() < 0.05:  # ann stays
                room.submit(Lost(connection, left=False))
                if chance.random() < 0.5:
                    tick_and_read()  # the others go on meanwhile
                connections[number] = Connection(connection.player_id, team=None, form=JSON)
                room.submit(Joined(connections[number]))
                rejoined += 1
            elif chance.random() < 0.5:
                move(room, connection, seq=tick + 1, x=chance.choice([0.1, -0.1, 40]))
        tick_and_read()
        assert known[0] == known[1] == known[2]
    assert rejoined > 20
    world = {player.player_id: player.seq for player in room.world.players.values()}
    assert {name: seen["seq"] for name, seen in known[0].items()} == world
