"""One connection, against the fake matchmaker on a real socket."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from random import Random

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from match_server.protocol import (
    Dequeued,
    Enqueue,
    Error,
    MatchFound,
    Ping,
    Pong,
    Queued,
    Resumed,
    StartLoading,
    encode,
)
from test_client.client import CannotConnect, LinkLost, PlayerClient, seconds_until_return
from test_client.journey import Journey
from test_client.states import State
from tests.client.fake_matchmaker import MODE, FakeMatchmaker

Handler = Callable[[ServerConnection], Awaitable[None]]


def client(player_id: str, *urls: str, token: str | None = None) -> PlayerClient:
    return PlayerClient(Journey(player_id, MODE), urls, token=token)


def test_two_players_are_matched() -> None:
    async def play(player: PlayerClient) -> MatchFound:
        await player.open()
        await player.wait_for(StartLoading)
        await player.send(player.journey.loading_complete())
        return await player.wait_for(MatchFound)

    async def scenario() -> None:
        async with FakeMatchmaker().running() as fake, client("a", fake.url) as a, client("b", fake.url) as b:
            one, two = await asyncio.gather(play(a), play(b))
            assert one.session_id == two.session_id
            assert a.journey.violations == b.journey.violations == []

    asyncio.run(scenario())


def test_a_dropped_link_is_resumed_and_goes_to_another_node() -> None:
    async def scenario() -> None:
        fake = FakeMatchmaker()
        async with fake.running(), fake.running():
            first, second = fake.urls
            async with client("a", first, second) as player:
                await player.open()
                await player.wait_for(Queued)
                player.drop_link()
                assert not player.connected
                with pytest.raises(LinkLost):
                    await player.receive()
                await player.open()
                assert (await player.wait_for(Resumed)).state == "queued"
                await player.wait_for(Queued)
                ports = [int(handshake.headers["Host"].rpartition(":")[2]) for handshake in fake.handshakes]
                assert ports == [int(url.split(":")[2].split("/")[0]) for url in (first, second)]
                assert player.journey.violations == []

    asyncio.run(scenario())


def test_the_players_of_a_node_that_is_gone_spread_over_all_the_others() -> None:
    async def scenario() -> None:
        fake = FakeMatchmaker()
        async with fake.running(), fake.running(), fake.running():
            ports = [url.split(":")[2].split("/")[0] for url in fake.urls]
            players = [client(f"p-{number}", *fake.urls) for number in range(20)]
            for player in players:
                await player.connect()
                player.drop_link()
                await player.connect()
            went_to = Counter(handshake.headers["Host"].rpartition(":")[2] for handshake in fake.handshakes)
            assert went_to[ports[0]] == 20, "at first"
            assert went_to[ports[1]] + went_to[ports[2]] == 20
            assert min(went_to[ports[1]], went_to[ports[2]]) >= 5
            for player in players:
                player.drop_link()

    asyncio.run(scenario())


def test_leaving_and_pinging() -> None:
    async def scenario() -> None:
        async with FakeMatchmaker().running() as fake, client("a", fake.url) as player:
            await player.open()
            await player.send(Ping())
            await player.wait_for(Pong)
            await player.leave()
            assert (await player.wait_for(Dequeued)).reason == "requested"
            assert player.journey.state is State.LEFT

    asyncio.run(scenario())


def test_the_token_is_sent() -> None:
    async def scenario() -> None:
        async with FakeMatchmaker().running() as fake, client("a", fake.url, token="t") as player:
            await player.open()
            await player.wait_for(Queued)
            assert fake.handshakes[0].headers["Authorization"] == "Bearer t"

    asyncio.run(scenario())


def against(handler: Handler, scenario: Callable[[PlayerClient], Awaitable[None]]) -> None:
    async def run() -> None:
        async with serve(handler, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            async with client("a", f"ws://127.0.0.1:{port}/ws/") as player:
                await scenario(player)

    asyncio.run(run())


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1012, 1013, 4000, 4401])
def test_a_close_by_the_service_is_a_lost_link_with_its_code(code: int) -> None:
    async def close(link: ServerConnection) -> None:
        await link.close(code)

    async def scenario(player: PlayerClient) -> None:
        await player.connect()
        with pytest.raises(LinkLost) as lost:
            await player.receive()
        assert lost.value.code == code
        with pytest.raises(LinkLost):
            await player.send(Enqueue(player_id="a", game_mode=MODE))

    against(close, scenario)


def test_a_reset_is_a_lost_link() -> None:
    async def reset(link: ServerConnection) -> None:
        link.transport.abort()

    async def scenario(player: PlayerClient) -> None:
        await player.connect()
        with pytest.raises(LinkLost) as lost:
            await player.receive()
        assert lost.value.code == 1006
        assert player.journey.links_lost == 1

    against(reset, scenario)


def test_closing_looks_through_what_was_still_on_its_way() -> None:
    async def speak_first(link: ServerConnection) -> None:
        await link.send(encode(Queued(seq=1)))
        await link.wait_closed()

    async def scenario(player: PlayerClient) -> None:
        await player.open()
        await player.close()
        await player.close()  # harmless
        assert player.journey.state is State.QUEUED
        assert player.journey.links_lost == 0

    against(speak_first, scenario)


def test_what_is_not_of_the_protocol_is_a_violation() -> None:
    async def babble(link: ServerConnection) -> None:
        await link.send("hello")
        await link.send('{"type": "error", "code": "not_in_queue", "message": "no"}')
        await link.wait_closed()

    async def scenario(player: PlayerClient) -> None:
        await player.connect()
        await player.wait_for(Error)
        assert len(player.journey.violations) == 1

    against(babble, scenario)


@pytest.mark.parametrize(
    ("status", "final"), [(HTTPStatus.UNAUTHORIZED, True), (HTTPStatus.SERVICE_UNAVAILABLE, False)]
)
def test_a_refused_handshake_says_whether_to_try_again(status: HTTPStatus, final: bool) -> None:
    def refuse(link: ServerConnection, _request: Request) -> Response:
        return link.respond(status, "no")

    async def unused(_link: ServerConnection) -> None:
        raise AssertionError

    async def scenario() -> None:
        async with serve(unused, "127.0.0.1", 0, process_request=refuse) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            with pytest.raises(CannotConnect, match=f"http_{status.value}") as failure:
                await client("a", f"ws://127.0.0.1:{port}/").connect()
            assert failure.value.final is final

    asyncio.run(scenario())


def test_nobody_there() -> None:
    async def scenario() -> None:
        async with FakeMatchmaker().running() as fake:
            url = fake.url
        with pytest.raises(CannotConnect, match="unreachable") as failure:
            await client("a", url).connect()
        assert not failure.value.final

    asyncio.run(scenario())


@pytest.mark.parametrize("code", [1002, 1007, 1008, 1009, 4000, 4401])
def test_does_not_come_back_after(code: int) -> None:
    assert seconds_until_return(code, Random(1)) is None  # noqa: S311 - chance, not secrets


@pytest.mark.parametrize(("code", "most"), [(1012, 2.0), (1001, 0.2), (1006, 0.2), (1011, 0.2), (1013, 0.2)])
def test_comes_back_after_a_random_moment(code: int, most: float) -> None:
    moments = [seconds_until_return(code, Random(seed)) for seed in range(50)]  # noqa: S311 - chance, not secrets
    assert all(moment is not None and 0 <= moment <= most for moment in moments)
    assert len(set(moments)) > 40
