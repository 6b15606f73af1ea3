"""Rooms over real sockets: who gets in, what players see of each other, how they leave and come back."""

import asyncio
import json
import socket
import sys
import time
from contextlib import suppress

import httpx
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from dedicated_server_stub import players
from dedicated_server_stub.rooms.commands import Called
from dedicated_server_stub.rooms.limits import MESSAGES_PER_SECOND
from dedicated_server_stub.rooms.messages import Tagged
from dedicated_server_stub.rooms.room import Room, RoomSettings
from tests.stub.room_stub import FAST, SESSION_ID, Pool, Stub, play


def test_two_players_see_each_others_moves() -> None:
    async def scenario(stub: Stub) -> None:
        async with stub.join("ann") as ann, stub.join("bob") as bob:
            assert await ann.hear("player_joined") == {"type": "player_joined", "player_id": "bob", "rejoining": False}
            welcome = bob.heard[0]
            assert [player["player_id"] for player in welcome["players"]] == ["ann", "bob"]
            place = welcome["players"][0]
            moved = {"seq": 1, "x": place["x"] + 0.123, "y": place["y"], "z": 0.0, "yaw": 1.5}
            await ann.say("move", **moved)
            for client in (ann, bob):
                seen = await client.hear_move("ann", 1)
                assert seen == {"player_id": "ann", "seq": 1, "x": pytest.approx(moved["x"]), "yaw": 1.5}

    play(scenario)


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"x": 40.0}, "too_fast"), ({"x": 51.0}, "out_of_bounds"), ({"z": -1.0}, "out_of_bounds")],
)
def test_a_cheat_is_rejected_and_told_where_it_is(change: dict[str, float], reason: str) -> None:
    async def scenario(stub: Stub) -> None:
        async with stub.join("ann") as ann, stub.join("bob") as bob:
            place = {name: ann.heard[0]["players"][0][name] for name in ("x", "y", "z", "yaw")}
            await ann.say("move", seq=1, **{**place, **change})
            assert await ann.hear("rejected") == {"type": "rejected", "seq": 1, "reason": reason, **place}
            await ann.say("move", seq=1, **place)
            assert await bob.hear_move("ann", 1) == {"player_id": "ann", "seq": 1}

    play(scenario)


def test_a_tag_scores_is_told_to_all_and_repeated_until_it_is_acknowledged() -> None:
    async def scenario(stub: Stub) -> None:
        async with stub.join("ann") as ann, stub.join("bob") as bob:
            await ann.say("tag", seq=1, player_id="bob")
            tagged = await bob.hear("tagged")
            assert tagged == {
                "type": "tagged", "id": 1, "by": "ann", "player_id": "bob", "scores": {"ann": 1, "bob": 0}
            }  # fmt: skip
            assert await ann.hear("tagged") == tagged
            await ann.say("ack", id=1)
            assert await bob.hear("tagged") == tagged
            await ann.say("tag", seq=2, player_id="bob")
            assert (await ann.hear("rejected"))["reason"] == "cooldown"
            assert [frame["type"] for frame in ann.heard].count("tagged") == 1

    play(scenario)


def test_the_chat_is_heard_by_all_and_by_who_comes_later() -> None:
    async def scenario(stub: Stub) -> None:
        async with stub.join("ann") as ann:
            for number in range(5):
                await ann.say("chat", text=f"line {number}")
                await ann.hear("chat", player_id="ann", text=f"line {number}")
            await ann.say("chat", text="one too many")
            assert (await ann.hear("error"))["code"] == "rate_limited"
            async with stub.join("bob") as bob:
                assert [said["text"] for said in bob.heard[0]["chat"]] == [f"line {number}" for number in range(5)]

    play(scenario)


def test_a_lost_player_comes_back_to_its_place() -> None:
    async def scenario(stub: Stub) -> None:
        async with stub.join("bob") as bob:
            async with stub.join("ann") as ann:
                place = ann.heard[0]["players"][1]
                await ann.say("move", seq=1, x=place["x"] + 0.1, y=place["y"], z=0, yaw=0)
                await ann.hear_move("ann", 1)
                ann.link.transport.abort()
            assert await bob.hear("player_left") == {"type": "player_left", "player_id": "ann", "rejoining": True}
            async with stub.join("ann") as ann:
                assert (await bob.hear("player_joined"))["rejoining"]
                (again,) = (player for player in ann.heard[0]["players"] if player["player_id"] == "ann")
                assert again == {**place, "x": pytest.approx(place["x"] + 0.1), "seq": 1}

    play(scenario)


def test_an_open_message_reaches_a_player_who_comes_back() -> None:
    async def scenario(stub: Stub) -> None:
        async with stub.join("bob") as bob:
            async with stub.join("ann") as ann:
                ann.link.transport.abort()
            await bob.hear("player_left")
            await bob.say("tag", seq=1, player_id="ann")
            tagged = await bob.hear("tagged")
            async with stub.join("ann") as ann:
                assert await ann.hear("tagged") == tagged

    play(scenario)


def test_hundreds_of_open_messages_reach_a_player_who_comes_back() -> None:
    """More than wait for a connection, and more than a client may say at once."""
    ids = range(1, 601)

    async def scenario(stub: Stub) -> None:
        async with stub.join("bob") as bob:
            async with stub.join("ann") as ann:
                ann.link.transport.abort()
            await bob.hear("player_left")
            room = stub.rooms.get(SESSION_ID)
            assert room is not None
            for number in ids:
                room.members["ann"].acknowledged.add(Tagged(number, by="bob", player_id="ann", scores={}), 0.0)
            async with stub.join("ann") as ann:
                for number in ids:
                    await ann.hear("tagged", id=number)
                    await ann.say("ack", id=number)
                await ann.say("snapshot")
                await ann.hear("state", full=True)
                assert not len(room.members["ann"].acknowledged)
                assert "error" not in {frame["type"] for frame in ann.heard}

    play(scenario, lambda: Stub(FAST, messages_per_second=MESSAGES_PER_SECOND))


def test_a_room_that_crashes_closes_its_clients_and_ends_its_session(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(_room: Room) -> None:
        raise ZeroDivisionError

    async def scenario(stub: Stub) -> None:
        async with stub.join("ann") as ann, stub.join("bob") as bob:
            monkeypatch.setattr(Room, "_send_states", crash)
            assert (await ann.closed(), await bob.closed()) == (1011, 1011)
            assert await stub.ended.get() == (SESSION_ID, None)
            token = json.dumps({"type": "join", "join_token": stub.pool.token("ann")})
            assert await stub.refusal(token) == 4410

    play(scenario)


def test_a_player_who_is_not_back_in_time_has_left() -> None:
    async def scenario(stub: Stub) -> None:
        async with stub.join("bob") as bob:
            token = stub.pool.token("ann")
            async with stub.join("ann", token=token) as ann:
                ann.link.transport.abort()
            assert (await bob.hear("player_left"))["rejoining"]
            assert not (await bob.hear("player_left"))["rejoining"]
            assert await stub.refusal(json.dumps({"type": "join", "join_token": token})) == 4410

    play(scenario, lambda: Stub(RoomSettings(tick_hz=100, rejoin_seconds=0.05)))


@pytest.mark.parametrize("how", ["leave", "close"])
def test_who_leaves_stays_away_and_the_last_one_ends_the_session(how: str) -> None:
    async def scenario(stub: Stub) -> None:
        async with stub.join("bob") as bob:
            async with stub.join("ann") as ann:
                if how == "leave":
                    await ann.say("leave")
                    assert await ann.closed() == 1000
            assert await bob.hear("player_left") == {"type": "player_left", "player_id": "ann", "rejoining": False}
            again = json.dumps({"type": "join", "join_token": stub.pool.token("ann")})
            assert await stub.refusal(again) == 4410
            assert stub.ended.empty()
        session_id, result = await stub.ended.get()
        assert (session_id, result) == ("s-1", {"scores": {"bob": 0, "ann": 0}, "winner": None})

    play(scenario)


def test_a_second_connection_takes_over() -> None:
    async def scenario(stub: Stub) -> None:
        async with stub.join("bob") as bob, stub.join("ann") as older, stub.join("ann") as newer:
            assert await older.closed() == 4000
            await newer.say("chat", text="still here")
            await bob.hear("chat", text="still here")
            kinds = [frame["type"] for frame in bob.heard]
            assert kinds.count("player_joined") == 1
            assert "player_left" not in kinds

    play(scenario)


def test_the_end_is_acknowledged_then_closes() -> None:
    async def scenario(stub: Stub) -> None:
        async with stub.join("ann") as ann, stub.join("bob"):
            await ann.say("tag", seq=1, player_id="bob")
            tagged = await ann.hear("tagged")
            await ann.say("ack", id=tagged["id"])
            stub.host.end("s-1")
            ended = await ann.hear("ended")
            assert ended["result"] == {"scores": {"ann": 1, "bob": 0}, "winner": "ann"}
            assert await stub.ended.get() == ("s-1", ended["result"])
            await ann.say("ack", id=ended["id"])

    play(scenario)


def test_every_client_that_has_acknowledged_the_end_is_closed() -> None:
    async def scenario(stub: Stub) -> None:
        async with stub.join("ann") as ann:
            stub.host.end("s-1")
            await ann.say("ack", id=(await ann.hear("ended"))["id"])
            assert await ann.closed() == 1000

    play(scenario)


def test_a_client_that_acknowledges_nothing_is_dropped() -> None:
    async def scenario(stub: Stub) -> None:
        async with stub.join("ann") as ann, stub.join("bob") as bob:
            await ann.say("tag", seq=1, player_id="bob")
            await ann.say("ack", id=(await ann.hear("tagged"))["id"])
            assert await bob.closed() == 4410
            assert not (await ann.hear("player_left"))["rejoining"]
            again = json.dumps({"type": "join", "join_token": stub.pool.token("bob")})
            assert await stub.refusal(again) == 4410

    play(scenario, lambda: Stub(RoomSettings(tick_hz=100, ack_attempts=1)))


def test_a_snapshot_shows_everybody() -> None:
    async def scenario(stub: Stub) -> None:
        async with stub.join("ann") as ann, stub.join("bob"):
            await ann.hear("player_joined")
            await ann.say("snapshot")
            snapshot = await ann.hear("state", full=True)
            assert [player["player_id"] for player in snapshot["players"]] == ["ann", "bob"]
            await ann.say("ping")
            await ann.hear("pong")

    play(scenario)


@pytest.mark.parametrize(
    "frame",
    [
        "not JSON {",
        "[]",
        '{"type":"fly"}',
        '{"type":"move","seq":1,"x":1}',
        '{"type":"move","seq":0,"x":0,"y":0,"z":0,"yaw":0}',
        '{"type":"move","seq":1,"x":NaN,"y":0,"z":0,"yaw":0}',
        '{"type":"move","seq":1,"x":1e300,"y":0,"z":0,"yaw":0}',
        '{"type":"move","seq":"1","x":0,"y":0,"z":0,"yaw":0}',
        json.dumps({"type": "chat", "text": "x" * 201}),
        '{"type":"ack","id":true}',
        b"\xff\xff",
        "[" * 10_000,
    ],
)
def test_what_is_not_of_the_protocol_is_answered_and_changes_nothing(frame: str | bytes) -> None:
    async def scenario(stub: Stub) -> None:
        async with stub.join("ann") as ann:
            await ann.link.send(frame)
            assert (await ann.hear("error"))["code"] == "invalid_message"
            await ann.say("snapshot")
            (player,) = (await ann.hear("state", full=True))["players"]
            assert player["seq"] == 0

    play(scenario)


def test_a_flood_is_refused_then_closed_and_the_others_play_on() -> None:
    async def scenario(stub: Stub) -> None:
        async with stub.join("bob") as bob, stub.join("ann") as ann:
            for number in range(500):
                await ann.say("move", seq=number + 1, x=0, y=0, z=0, yaw=0)
            assert await ann.closed() == 1008
            assert "rate_limited" in {frame.get("code") for frame in ann.heard}
            await bob.hear("player_left", player_id="ann")

    play(scenario, lambda: Stub(FAST, messages_per_second=20))


def test_a_message_of_a_megabyte_closes_its_connection_alone() -> None:
    async def scenario(stub: Stub) -> None:
        async with stub.join("bob") as bob, stub.join("ann") as ann:
            with suppress(ConnectionClosed):
                await ann.link.send("x" * 2**20)
            assert await ann.closed() == 1009
            await bob.hear("player_left", player_id="ann", rejoining=True)

    play(scenario)


def test_a_client_that_reads_nothing_is_cut_off_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(players, "SLOW_SECONDS", 0.3)
    monkeypatch.setattr(players, "CLOSE_SECONDS", 0.1)
    # A frame for everybody that fills the buffers in a few ticks, as a large room's states do in a few seconds.
    long = "x" * 200

    async def scenario(stub: Stub) -> None:
        async with stub.join("bob") as bob, stub.join("ann", max_queue=1, close_timeout=0.1) as ann:
            ann.link.transport.pause_reading()
            room = stub.rooms.get("s-1")
            assert room is not None
            connection = room.members["ann"].connection
            assert connection is not None
            while connection.close_code is None:
                for _ in range(200):
                    if connection.keeps_up or len(connection.waiting) < 200:
                        connection.send_frame(long * 50)
                await bob.say("ping")
                await bob.hear("pong")
                await asyncio.sleep(0.01)  # or bob floods
            assert connection.close_code == 1013
            await bob.hear("player_left", player_id="ann", rejoining=True)

    play(scenario)


def test_strangers_are_turned_away_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(players, "JOIN_SECONDS", 0.2)

    async def scenario(stub: Stub) -> None:
        def join(token: str) -> str:
            return json.dumps({"type": "join", "join_token": token})

        pool = stub.pool
        hour_ago = Pool(now=lambda: 1.0)
        hour_ago.signing = pool.signing.__class__(now=lambda: 1.0)
        hour_ago.signing.learn([pool.signing.proposed])
        refused = [
            (None, 4401),
            ("hello", 4401),
            ('{"type":"ping"}', 4401),
            (join("no.token.atall"), 4401),
            (join(Pool().token("ann")), 4401),
            (join(hour_ago.token("ann")), 4401),
            (join(pool.token("ann", session_id="s-2")), 4403),
            (join(pool.token("ann", server_id="stub-2")), 4403),
            (join(pool.token("eve")), 4403),
        ]
        for first, code in refused:
            assert await stub.refusal(first) == code, first
        assert await stub.refusal(join(pool.token("ann")), session_id="s-2") == 4410
        assert stub.rooms.get("s-1") is None

    play(scenario)


def test_an_expired_token_brings_back_who_is_in_the_room() -> None:
    async def scenario(stub: Stub) -> None:
        old = Pool(now=lambda: 1.0)
        old.signing.learn([stub.pool.signing.proposed])
        async with stub.join("bob") as bob, stub.join("ann") as ann:
            ann.link.transport.abort()
            await bob.hear("player_left")
            async with stub.join("ann", token=old.token("ann")):
                assert (await bob.hear("player_joined"))["rejoining"]

    play(scenario)


def test_every_client_sees_the_same_world_in_the_end() -> None:
    """One who dropped and came back, and one who stayed: the same players in the same places."""

    async def scenario(stub: Stub) -> None:
        async with stub.join("ann") as ann, stub.join("bob") as bob:
            place = bob.heard[0]["players"][0]
            for seq in range(1, 21):
                await ann.say("move", seq=seq, x=place["x"] + seq / 100, y=place["y"], z=0, yaw=seq / 10)
                if seq == 10:
                    bob.link.transport.abort()
                await asyncio.sleep(0.01)
            async with stub.join("bob") as again:
                await ann.say("snapshot")
                snapshot = await ann.hear("state", full=True)
                assert {frame["player_id"]: frame for frame in again.heard[0]["players"]} == {
                    frame["player_id"]: frame for frame in snapshot["players"]
                }

    play(scenario)


def data_segments(link: ClientConnection) -> int:
    """How many TCP segments with data a client has got: `tcpi_data_segs_in` of the kernel's `tcp_info`."""
    info = link.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160)
    return int.from_bytes(info[152:156], sys.byteorder)


@pytest.mark.skipif(sys.platform != "linux", reason="reads tcp_info")
def test_what_a_tick_says_to_a_client_leaves_in_one_write() -> None:
    async def scenario(stub: Stub) -> None:
        async with stub.join("ann") as ann:
            await ann.say("ping")
            await ann.hear("pong")
            room = stub.rooms.get(SESSION_ID)
            assert room is not None
            before = data_segments(ann.link)
            for number in range(5):  # as they wait for the next tick, and are delivered in it
                room.submit(
                    Called(
                        call_id=str(number),
                        method="notice",
                        args={"text": "x" * 100},
                        expires_at=time.time() + 60,
                        answer=lambda _: None,
                    )
                )
            await ann.hear("notice", id=5)
            assert data_segments(ann.link) == before + 1

    play(scenario)


def test_operators_see_rooms_and_metrics() -> None:
    async def scenario(stub: Stub) -> None:
        async with stub.join("ann") as ann, stub.join("bob") as bob:
            await bob.say("tag", seq=1, player_id="nobody")
            await bob.hear("rejected")
            bob.link.transport.abort()
            await ann.hear("player_left")
            async with httpx.AsyncClient(base_url=stub.url.replace("ws", "http"), trust_env=False) as client:
                (room,) = (await client.get("/rooms")).json()["rooms"]
                page = (await client.get("/metrics")).text
        assert room.pop("tick") > 0
        assert room.pop("tick_lag_ms") >= 0
        assert room == {"session_id": "s-1", "process": "p-1", "present": ["ann"], "expected_back": ["bob"]}
        assert "room_rooms 1.0" in page
        assert "room_players 1.0" in page
        assert 'room_rejected_total{reason="no_such_player"} 1.0' in page

    play(scenario)
