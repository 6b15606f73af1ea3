"""Interest management: what is out of sight is not sent, and comes whole when it is in sight again."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dedicated_server_stub.metrics import RoomMetrics
from dedicated_server_stub.rooms.commands import Joined
from dedicated_server_stub.rooms.connection import Connection
from dedicated_server_stub.rooms.frames import JSON
from dedicated_server_stub.rooms.room import Room, RoomSettings
from tests.stub.test_room import taken

RADIUS = 10

Known = dict[str, dict[str, Any]]  # what a client knows of each player

# Where each of three players stands at a tick, in tenths of the side of a cell; and whether each of them reads.
steps = st.lists(st.tuples(st.tuples(*[st.integers(-49, 49)] * 3), st.tuples(*[st.booleans()] * 3)), max_size=12)


def learn(seen: Known, frame: dict[str, Any]) -> None:
    if frame["type"] == "welcome" or frame.get("full"):
        seen.clear()
    for change in frame.get("players", ()):
        seen.setdefault(change["player_id"], {}).update(change)
    for player_id in frame.get("out_of_sight", ()):
        del seen[player_id]


@given(steps)
@settings(deadline=None)
def test_a_client_knows_exactly_who_is_in_sight(history: list[tuple[tuple[int, ...], tuple[bool, ...]]]) -> None:
    room = Room(
        "s-1", RoomSettings(view_radius=RADIUS), on_over=lambda _: None, metrics=RoomMetrics(), clock=lambda: 0.0
    )
    connections = [Connection(player, team=None, form=JSON) for player in ("ann", "bob", "cid")]
    known: dict[str, Known] = {connection.player_id: {} for connection in connections}
    for connection in connections:
        room.submit(Joined(connection))
    for places, reads in [*history, *[((0, 0, 0), (True, True, True))] * 2]:
        for player, x in zip(room.world.players.values(), places, strict=False):
            player.set(room.world.tick + 1, x=x * 1000, y=0)
        room.tick()
        for connection, reading in zip(connections, reads, strict=True):
            for frame in taken(connection) if reading else ():
                learn(known[connection.player_id], frame)
    for seen in known.values():
        assert {player_id: state["x"] for player_id, state in seen.items()} == {"ann": 0, "bob": 0, "cid": 0}


def test_who_is_far_away_is_not_sent() -> None:
    settings = RoomSettings(view_radius=RADIUS)
    room = Room("s-1", settings, on_over=lambda _: None, metrics=RoomMetrics(), clock=lambda: 0.0)
    ann, bob = (Connection(player, team=None, form=JSON) for player in ("ann", "bob"))
    room.submit(Joined(ann))
    room.submit(Joined(bob))
    room.tick()
    room.world.players["bob"].set(room.world.tick + 1, x=45_000)
    room.tick()  # both have not read: no state yet
    taken(ann), taken(bob)
    room.tick()
    (frame,) = taken(ann)
    assert [player["player_id"] for player in frame["players"]] == ["ann"]
    room.world.players["bob"].set(room.world.tick + 1, x=40_000)
    room.tick()
    assert taken(ann) == []
    room.world.players["bob"].set(room.world.tick + 1, x=9_000)
    room.tick()
    (frame,) = taken(ann)
    assert "score" in next(player for player in frame["players"] if player["player_id"] == "bob")
    room.world.players["bob"].set(room.world.tick + 1, x=45_000)
    room.tick()
    (frame,) = taken(ann)
    assert frame["out_of_sight"] == ["bob"]
