"""Every close code that can be provoked from outside, and what the process does afterwards."""

import asyncio
import json
import signal
import socket
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.shared.fake_server import FakeServer
from tests.shared.node import Node, eventually
from tests.shared.player import MODE, Player, match_all, player_on, players_on

SETTINGS = {"messages_per_second": 1000}


def _frame(first: int, payload: bytes, *, masked: bool = True) -> bytes:
    """One client frame by hand (RFC 6455, 5.2), the mask being zero."""
    assert len(payload) < 126
    return bytes([first, (0x80 if masked else 0) | len(payload)]) + (bytes(4) if masked else b"") + payload


BROKEN_FRAMES = {
    "unmasked": _frame(0x81, b"{}", masked=False),
    "reserved-opcode": _frame(0x83, b""),
    "reserved-bit": _frame(0xC1, b"{}"),
    "continuation-of-nothing": _frame(0x80, b"{}"),
    "text-within-a-text": _frame(0x01, b"{") + _frame(0x81, b"}"),
    "fragmented-ping": _frame(0x09, b""),
    "close-of-one-byte": _frame(0x88, b"\x03"),
    "reserved-close-code": _frame(0x88, (1005).to_bytes(2, "big")),
    "garbage": b"GET / HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("name", BROKEN_FRAMES)
def test_what_is_no_websocket_frame_closes_with_1002_and_takes_the_player_out(node: Node, name: str) -> None:
    async def break_it() -> None:
        async with player_on(node) as player:
            await player.queue()
            player.link.transport.write(BROKEN_FRAMES[name])
            assert await player.closed() == 1002
            eventually(lambda: not node.state_of(player.player_id), within_seconds=2)

    asyncio.run(break_it())


@pytest.mark.parametrize("payload", [b"\xff", b"\xc3(", b"\xed\xa0\x80", b'{"type":"ping\xe4"}'])
def test_text_that_is_not_utf8_closes_with_1007_and_takes_the_player_out(node: Node, payload: bytes) -> None:
    async def break_it() -> None:
        async with player_on(node) as player:
            await player.queue()
            player.link.transport.write(_frame(0x81, payload))
            assert await player.closed() == 1007
            eventually(lambda: not node.state_of(player.player_id), within_seconds=2)

    asyncio.run(break_it())


def _ping_of(size: int) -> str:
    empty = json.dumps({"type": "ping", "pad": ""})
    return json.dumps({"type": "ping", "pad": "x" * (size - len(empty))})


def test_a_message_of_4_kib_is_taken_and_one_byte_more_closes_with_1009(node: Node) -> None:
    async def send_much() -> None:
        async with player_on(node) as player:
            await player.queue()
            await player.link.send(_ping_of(4096))
            await player.expect("pong")
            await player.link.send([_ping_of(4096)[:2000], _ping_of(4096)[2000:]])  # in two frames
            await player.expect("pong")
            await player.link.send(_ping_of(4097))
            assert await player.closed() == 1009
            eventually(lambda: not node.state_of(player.player_id), within_seconds=2)

    asyncio.run(send_much())


@pytest.mark.parametrize("kind", ["text", "binary", "fragments"])
def test_a_message_of_100_kib_closes_with_1009_in_any_form(node: Node, kind: str) -> None:
    async def send_much() -> None:
        big = "x" * 100_000
        message: Any = {"text": big, "binary": big.encode(), "fragments": [big[:1000]] * 100}[kind]
        codes = []
        for _ in range(10):  # a close in the middle of what we send could be lost with a reset
            async with player_on(node) as player:
                with suppress(OSError, ConnectionClosed):  # closed while we were still sending
                    await player.link.send(message)
                codes.append(await player.closed())
        assert codes == [1009] * 10

    asyncio.run(send_much())


def test_an_ordinary_close_is_answered_in_kind(node: Node) -> None:
    async def close() -> None:
        for code in (1000, 1001):
            async with player_on(node) as player:
                await player.link.close(code)
                assert player.link.close_code == code

    asyncio.run(close())


def test_sigterm_closes_with_1012_and_exits_with_0(redis_url: str, prefix: str, tmp_path: Path) -> None:
    async def stop(node: Node) -> None:
        async with FakeServer(node), players_on(node, "idle", "ann", "bob", "waits") as (idle, ann, bob, waits):
            await ann.queue()
            await bob.queue()
            await match_all([ann, bob])
            await waits.queue()
            node.send_signal(signal.SIGTERM)
            codes = await asyncio.gather(*(player.closed(within_seconds=3) for player in (idle, ann, bob, waits)))
            assert codes == [1012] * 4
            assert await asyncio.to_thread(node.wait) == 0
            assert waits.frames[1:] == [], "it keeps its place, so it is told nothing but the close"
            assert node.state_of(waits.player_id) == "queued"

    with Node(tmp_path, redis_url, prefix) as node:
        asyncio.run(stop(node))


def test_while_connections_close_the_port_is_open_and_says_that_the_node_stops(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    async def stop(node: Node) -> None:
        async with players_on(node, "ann", "mute") as (ann, mute):
            mute.link.transport.pause_reading()  # it never answers the close: its connection stands for a second
            node.send_signal(signal.SIGTERM)
            assert await ann.closed(within_seconds=3) == 1012
            async with httpx.AsyncClient(base_url=node.base, trust_env=False) as newcomer:
                answer = await newcomer.get("/readyz")
                assert (answer.status_code, answer.json()["detail"]) == (503, "this node is stopping")
                assert (await newcomer.get("/healthz")).status_code == 200
                with pytest.raises(InvalidStatus) as refused:
                    async with player_on(node):
                        pass
                assert refused.value.response.status_code == 503
                assert await asyncio.to_thread(node.wait, within_seconds=4) == 0, "a kept connection holds up nothing"
            mute.link.transport.abort()

    with Node(tmp_path, redis_url, prefix) as node:
        asyncio.run(stop(node))


def test_a_stop_with_nobody_there_takes_no_time(redis_url: str, prefix: str, tmp_path: Path) -> None:
    with Node(tmp_path, redis_url, prefix) as node:
        node.get("/healthz")  # on a connection that is kept
        begun = time.monotonic()
        assert node.stop() == 0
        assert time.monotonic() - begun < 2, "an idle connection is kept for 5 s otherwise"


def test_a_stop_does_not_wait_for_a_client_that_never_answers(redis_url: str, prefix: str, tmp_path: Path) -> None:
    async def stop(node: Node) -> None:
        with socket.create_connection(("127.0.0.1", node.port)) as half_open:
            half_open.sendall(b"GET /ws/ HTTP/1.1\r\nHost: x\r\n")
            async with player_on(node) as mute:
                mute.link.transport.pause_reading()
                node.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(node.wait, within_seconds=8) == 0
                mute.link.transport.abort()

    with Node(tmp_path, redis_url, prefix, stop_seconds=2) as node:
        asyncio.run(stop(node))


def test_taking_over_with_the_token_closes_the_older_with_4000(node: Node) -> None:
    async def take_over() -> None:
        async with FakeServer(node), players_on(node, "ann", "bob") as (ann, bob):
            token = (await ann.queue())["resume_token"]
            async with player_on(node, ann.player_id) as newer:
                await newer.resume(token)
                resumed = await newer.expect("resumed", state="queued", game_mode=MODE)
                assert resumed["resume_token"] == token
                await newer.expect("queued", resume_token=token)
                assert await ann.closed() == 4000
                assert [frame["type"] for frame in ann.frames] == ["queued"]
                await newer.nothing()
                await bob.queue()
                await match_all([newer, bob])

    asyncio.run(take_over())


def test_a_hundred_takeovers_leave_one_owner(node: Node) -> None:
    async def take_over() -> None:
        async with FakeServer(node), players_on(node, "ann", "bob") as (ann, bob):
            token = (await ann.queue())["resume_token"]
            async with asyncio.timeout(30), AsyncExitStack() as stack:
                owner: Player = ann
                for _ in range(100):
                    newer = await stack.enter_async_context(player_on(node, ann.player_id))
                    await newer.resume(token)
                    await newer.expect("resumed", state="queued")
                    await newer.expect("queued")
                    assert await owner.closed() == 4000
                    owner = newer
                await bob.queue()
                await match_all([owner, bob])
                await owner.leave()

    asyncio.run(take_over())


def test_two_resumes_at_once_leave_exactly_one_of_them(node: Node) -> None:
    async def race() -> None:
        for _ in range(10):
            async with players_on(node, "ann") as (ann,):
                token = (await ann.queue())["resume_token"]
                async with player_on(node, ann.player_id) as one, player_on(node, ann.player_id) as two:
                    await asyncio.gather(one.resume(token), two.resume(token))
                    assert await ann.closed() == 4000
                    ends = [asyncio.create_task(player.closed()) for player in (one, two)]
                    done, left = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                    assert [task.result() for task in done] == [4000]
                    for task in left:
                        task.cancel()
                    await asyncio.wait(ends)
                    owner = two if ends[0] in done else one
                    await owner.send("dequeue")
                    await owner.link.recv()
                    eventually(lambda: not node.state_of(ann.player_id))

    asyncio.run(race())


def test_abuse_is_told_to_wait_then_closed_with_1008(redis_url: str, prefix: str, tmp_path: Path) -> None:
    async def flood(node: Node) -> None:
        async with player_on(node) as polite, player_on(node) as player:
            await player.queue()
            for _ in range(9):  # a burst of twice the rate is fine
                await player.nothing()
            await player.send("ping")
            for _ in range(30):
                if (await player.next())["type"] == "error":
                    break
                await player.send("ping")
            assert player.frames[-1]["code"] == "rate_limited"
            assert 0 < player.frames[-1]["retry_after_seconds"] < 5
            assert player.frames[-1]["message"]
            assert node.state_of(player.player_id) == "queued"

            for _ in range(5000):
                try:
                    await player.send("ping")
                except (OSError, ConnectionClosed):
                    break
            assert await player.closed() == 1008
            eventually(lambda: not node.state_of(player.player_id), within_seconds=2)
            await polite.nothing()

    with Node(tmp_path, redis_url, prefix, messages_per_second=5) as node:
        asyncio.run(flood(node))


def test_the_default_rate_allows_a_burst_of_forty(redis_url: str, prefix: str, tmp_path: Path) -> None:
    async def burst(node: Node) -> None:
        async with player_on(node) as player:
            for _ in range(40):
                await player.send("ping")
            for _ in range(40):
                await player.expect("pong")

    with Node(tmp_path, redis_url, prefix) as node:
        asyncio.run(burst(node))


def _small_socket(node: Node) -> socket.socket:
    """A connection whose receive buffer is full soon."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    plain.connect(("127.0.0.1", node.port))
    plain.setblocking(False)
    return plain


FLOOD = _frame(0x81, b"{}") * 30  # each is answered with an error of some length


def test_a_client_that_reads_too_slowly_is_closed_with_1013(redis_url: str, prefix: str, tmp_path: Path) -> None:
    async def read_slowly(node: Node) -> None:
        async with player_on(node) as other, player_on(node, sock=_small_socket(node), max_queue=None) as slow:
            token = (await slow.queue())["resume_token"]
            slow.link.transport.pause_reading()
            async with asyncio.timeout(20):
                while node.redis.sismember(node.key(f"queue:{MODE}"), slow.player_id):
                    slow.link.transport.write(FLOOD)
                    await other.nothing()
            slow.link.transport.resume_reading()
            assert await slow.closed() == 1013
            async with player_on(node, slow.player_id) as back:  # reconnect and resume
                await back.resume(token)
                await back.expect("resumed", state="queued")

    with Node(tmp_path, redis_url, prefix, messages_per_second=1_000_000, max_connections=10) as node:
        asyncio.run(read_slowly(node))


def test_a_client_that_stops_reading_for_good_is_cut_off(redis_url: str, prefix: str, tmp_path: Path) -> None:
    async def stop_reading(node: Node) -> None:
        async with player_on(node) as other, player_on(node, sock=_small_socket(node)) as deaf:
            await deaf.queue()
            deaf.link.transport.pause_reading()
            async with asyncio.timeout(20):
                while node.state_of(deaf.player_id):
                    if deaf.link.transport.get_write_buffer_size() < 100_000:
                        deaf.link.transport.write(FLOOD)
                    await other.nothing()
            deaf.link.transport.abort()

    settings: dict[str, Any] = {
        "messages_per_second": 1_000_000,
        "ping_interval_seconds": 0.3,
        "ping_timeout_seconds": 0.3,
        "reconnect_grace_seconds": 0.3,
    }
    with Node(tmp_path, redis_url, prefix, **settings) as node:
        asyncio.run(stop_reading(node))
