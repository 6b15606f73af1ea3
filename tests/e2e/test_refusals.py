"""Every other row of the table of `error.code` that needs no outage: provoked, harmless, and leaving no key behind."""

import asyncio
import json
import uuid

from tests.shared.fake_server import FakeServer, hang
from tests.shared.node import Node
from tests.shared.player import MODE, match_all, player_on, players_on, queue_all

SETTINGS = {"messages_per_second": 1000, "allocation_timeout_seconds": 0.5}


def test_a_connection_speaks_for_one_player_while_its_journey_runs(node: Node) -> None:
    async def journey() -> None:
        async with players_on(node, "ann", "eve") as (ann, eve):
            token = (await ann.queue())["resume_token"]
            await eve.queue()
            await eve.send("dequeue")
            await eve.expect("dequeued")
            for message in (
                {"type": "enqueue", "player_id": "somebody-else", "game_mode": MODE},
                {"type": "dequeue", "player_id": "somebody-else"},
                {"type": "dequeue", "player_id": "somebody-else", "game_mode": MODE},
                {"type": "resume", "player_id": "somebody-else", "resume_token": token},
            ):
                await ann.link.send(json.dumps(message))
                await ann.refused("invalid_message")
            assert node.redis.smembers(node.key(f"queue:{MODE}")) == {ann.player_id}
            assert not node.keys("*somebody-else*")

            await eve.send("enqueue", player_id="somebody-new", game_mode=MODE)  # its journey had ended
            await eve.expect("queued")

    asyncio.run(journey())


def test_a_dequeue_for_another_mode_takes_nobody_out(node: Node) -> None:
    async def journey() -> None:
        async with player_on(node) as player:
            await player.queue()
            await player.send("dequeue", game_mode="Another_mode")
            assert (await player.expect("error"))["code"] in {"invalid_message", "invalid_game_mode", "not_in_queue"}
            assert node.state_of(player.player_id) == "queued"

    asyncio.run(journey())


def test_an_unknown_mode_is_refused_and_leaves_no_key(node: Node) -> None:
    async def journey() -> None:
        before = node.keys()
        async with player_on(node) as player:
            for name in ("Normal_1v2", "normal_1v1", MODE + ".", "." * 64, "front"):
                await player.enqueue(name)
                await player.refused("invalid_game_mode")
            assert node.keys() <= before
            await player.queue()

    asyncio.run(journey())


def test_a_second_enqueue_is_refused_in_every_state_but_matched(node: Node) -> None:
    async def journey() -> None:
        async with FakeServer(node, answer=hang) as server, players_on(node, "ann", "bob") as (ann, bob):
            await ann.queue()
            await ann.enqueue()
            await ann.refused("already_in_queue")
            await bob.queue()
            start = await ann.expect("start_loading")
            await ann.enqueue()
            await ann.refused("already_in_queue")
            await bob.load()
            await ann.loaded(start["loading_session_id"])
            await server.called(1)
            await ann.enqueue()
            await ann.refused("already_in_queue")
            assert node.state_of(ann.player_id) == "allocating"
            server.answer = server.accept  # the same key is asked once more after the timeout
            await ann.expect("match_found")
            await bob.expect("match_found")

    asyncio.run(journey())


def test_a_second_connection_without_the_token_gets_no_frame_of_the_player(node: Node) -> None:
    async def journey() -> None:
        async with FakeServer(node), players_on(node, "ann", "bob") as (ann, bob):
            await ann.queue()
            async with player_on(node, ann.player_id) as thief:
                await thief.enqueue()
                refusal = await thief.refused("already_in_queue")
                assert "resume_token" not in refusal
                await bob.queue()
                await match_all([ann, bob])
                await thief.nothing()
                assert [frame["type"] for frame in thief.frames] == ["error"]
                assert [frame["type"] for frame in ann.frames] == ["queued", "start_loading", "match_found"]

    asyncio.run(journey())


def test_the_end_of_a_refused_second_connection_does_not_take_the_player_out(node: Node) -> None:
    async def journey() -> None:
        async with FakeServer(node), players_on(node, "ann", "bob") as (ann, bob):
            await ann.queue()
            async with player_on(node, ann.player_id) as thief:
                await thief.enqueue()
                await thief.refused("already_in_queue")
                await thief.send("dequeue")
                await thief.refused("not_in_queue")
            await ann.nothing()
            await bob.queue()
            await match_all([ann, bob])

    asyncio.run(journey())


def test_there_is_nothing_to_leave_and_nothing_to_load_without_a_journey(node: Node) -> None:
    async def journey() -> None:
        before = node.keys()
        async with player_on(node) as player:
            await player.send("dequeue")
            await player.refused("not_in_queue")
            await player.send("dequeue", player_id=player.player_id, game_mode=MODE)
            await player.refused("not_in_queue")
            await player.loaded(str(uuid.uuid4()))
            await player.refused("not_in_queue")
            assert node.keys() <= before
            await player.queue()
            await player.send("dequeue")
            await player.expect("dequeued", reason="requested")
            await player.send("dequeue")
            await player.refused("not_in_queue")

    asyncio.run(journey())


def test_leaving_is_too_late_once_the_session_is_placed_or_found(node: Node) -> None:
    async def journey() -> None:
        async with FakeServer(node, answer=hang) as server, players_on(node, "ann", "bob") as (ann, bob):
            await queue_all([ann, bob])
            start = await ann.load()
            await bob.load()
            [call] = await server.called(1)
            await ann.send("dequeue")
            refusal = await ann.refused("too_late")
            assert refusal["state"] == "allocating"
            assert refusal["loading_session_id"] == start["loading_session_id"] == call.key
            server.answer = server.accept  # the same key is asked once more after the timeout
            await ann.expect("match_found")
            await ann.send("dequeue")
            refusal = await ann.refused("too_late")
            assert refusal["state"] == "matched"
            assert refusal["loading_session_id"] == start["loading_session_id"]
            await bob.expect("match_found")

    asyncio.run(journey())


def test_loading_complete_counts_for_the_own_session_only_and_once(node: Node) -> None:
    async def journey() -> None:
        async with FakeServer(node) as server, players_on(node, "ann", "bob") as (ann, bob):
            await queue_all([ann, bob])
            start = await ann.expect("start_loading")
            own = start["loading_session_id"]
            await ann.loaded(str(uuid.uuid4()))
            await ann.refused("wrong_session_id")
            assert node.redis.hget(node.key(f"loading:{own}"), ann.player_id) == "loading"
            for _ in range(3):
                await ann.loaded(own)
            await ann.nothing()  # repeated: silently accepted, and no substitute for the other's
            assert server.calls == []
            await bob.load()
            for player in (ann, bob):
                await player.expect("match_found")
                await player.loaded(own)
                await player.nothing()
            await ann.loaded(str(uuid.uuid4()))
            await ann.refused("wrong_session_id")
            assert len(server.calls) == 1

    asyncio.run(journey())


def test_the_id_of_a_cancelled_session_is_wrong_for_who_was_put_back(node: Node) -> None:
    async def journey() -> None:
        async with FakeServer(node), players_on(node, "ann", "bob") as (ann, bob):
            await queue_all([ann, bob])
            start = await ann.expect("start_loading")
            await bob.expect("start_loading")
            await bob.send("dequeue")
            await ann.expect("match_cancelled")
            await ann.expect("queued", requeued=True)
            await ann.loaded(start["loading_session_id"])
            await ann.refused("wrong_session_id")
            assert node.state_of(ann.player_id) == "queued"

    asyncio.run(journey())


def test_only_the_players_own_token_of_this_journey_resumes(node: Node) -> None:
    async def journey() -> None:
        async with players_on(node, "ann", "eve") as (ann, eve):
            old = (await ann.queue())["resume_token"]
            await ann.send("dequeue")
            await ann.expect("dequeued")
            async with player_on(node, ann.player_id) as late:
                await late.resume(old)
                await late.refused("invalid_resume_token")  # the record is gone
            token = (await ann.queue())["resume_token"]
            assert token != old
            eves = (await eve.queue())["resume_token"]
            await eve.send("dequeue")
            await eve.expect("dequeued")
            async with player_on(node, ann.player_id) as thief:
                for wrong in (old, eves, "x", "x" * 500, token[:-1], token + "x", token.swapcase(), "~~~", "ä"):
                    await thief.resume(wrong)
                    await thief.refused("invalid_resume_token")
                await thief.nothing()
            async with player_on(node, "nobody-at-all") as nobody:
                await nobody.resume(token)
                await nobody.refused("invalid_resume_token")
            assert not node.keys("*nobody-at-all*")
            await ann.nothing()
            assert node.state_of(ann.player_id) == "queued"

    asyncio.run(journey())


def test_a_paused_mode_takes_no_enqueue_and_leaves_no_key(node: Node) -> None:
    async def journey() -> None:
        async with player_on(node) as player:
            assert node.http.post(f"/queues/{MODE}/pause").is_success
            try:
                before = node.keys()
                await player.enqueue()
                await player.refused("queue_paused")
                assert node.keys() <= before
                assert node.queue()["paused"] is True
            finally:
                assert node.http.post(f"/queues/{MODE}/resume").is_success
            await player.queue()

    asyncio.run(journey())


def test_who_waits_in_a_paused_mode_keeps_waiting_unmatched(node: Node) -> None:
    async def journey() -> None:
        async with players_on(node, "ann", "bob") as (ann, bob):
            await queue_all([ann, bob])  # no server: nothing forms
            node.http.post(f"/queues/{MODE}/pause")
            async with FakeServer(node):
                try:
                    await ann.nothing(for_seconds=0.4)  # four periods of TryMatch
                    assert node.queue()["waiting"] == 2
                finally:
                    node.http.post(f"/queues/{MODE}/resume")
                await match_all([ann, bob])

    asyncio.run(journey())
