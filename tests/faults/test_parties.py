"""Parties while Redis is emptied, nodes are killed and links break, in each state: none is split, and none is lost."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import Nodes
from tests.shared.crowd import seen
from tests.shared.fake_server import FakeServer
from tests.shared.node import Node
from tests.shared.player import Frame, Player, fresh_id, player_on
from tests.shared.redis_server import RedisServer

MODE = "teams"
MODES = f"""
[attributes]
rating = {{ type = "number", default = 1500 }}

[game_modes.{MODE}]
teams = {{ blue = 2, red = 2 }}
party_max = 2
rules = []
"""
SETTINGS: dict[str, Any] = {"node_lease_seconds": 1, "reconnect_grace_seconds": 3, "allocation_timeout_seconds": 1}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "modes.toml"
    path.write_text(MODES)
    return path


class Party:
    """Two players and the id that they share."""

    def __init__(self, members: Sequence[Player]) -> None:
        self.members = members
        self.fields = {
            "game_mode": MODE,
            "party_id": fresh_id("party"),
            "party_size": 2,
            "attributes": {"rating": 1600},
        }

    async def arrive(self, member: Player) -> None:
        await member.send("enqueue", player_id=member.player_id, **self.fields)

    async def gather(self) -> None:
        for member in self.members:
            await self.arrive(member)
        for member in self.members:
            await until(member, "queued")

    @property
    def ids(self) -> list[str]:
        return sorted(member.player_id for member in self.members)


async def until(player: Player, kind: str) -> Frame:
    """The next frame of this kind. Nobody is sent away, or refused anything, before it."""
    while (frame := await player.next(within_seconds=15))["type"] != kind:
        assert frame["type"] not in {"dequeued", "error"}, player.frames
    return frame


async def play(*parties: Party) -> None:
    """They all load and find one match, each party in one team."""
    players = [member for party in parties for member in party.members]
    starts = [await until(player, "start_loading") for player in players]
    assert len({start["loading_session_id"] for start in starts}) == 1
    teams = sorted(sorted(team) for team in starts[0]["teams"].values())
    assert teams == sorted(party.ids for party in parties)
    for player, start in zip(players, starts, strict=True):
        await player.loaded(start["loading_session_id"])
    found = [await until(player, "match_found") for player in players]
    assert len({frame["session_id"] for frame in found}) == 1


@asynccontextmanager
async def parties_on(*places: tuple[Node, Node]) -> AsyncIterator[list[Party]]:
    """A party for each pair of nodes, its first member on the first one."""
    async with AsyncExitStack() as stack:
        yield [
            Party(
                [
                    await stack.enter_async_context(player_on(node, fresh_id(name)))
                    for node, name in zip(pair, "ab", strict=True)
                ]
            )
            for pair in places
        ]


def test_redis_emptied_under_a_party_that_gathers_and_one_that_waits(
    redis: RedisServer, prefix: str, nodes: Nodes, config: Path
) -> None:
    first, second = nodes.start(2, config=config, **SETTINGS)

    async def story() -> None:
        async with parties_on((first, second), (second, first)) as (waiting, gathering):
            await waiting.gather()
            await gathering.arrive(gathering.members[0])
            await until(gathering.members[0], "party")
            redis.do("FLUSHALL")
            await seen(lambda: redis.do("ZCARD", f"{prefix}tickets:{MODE}") == 1, within_seconds=5)
            await until(gathering.members[0], "party")
            await gathering.arrive(gathering.members[1])
            async with FakeServer(first) as server:
                await play(waiting, gathering)
                (call,) = server.calls
                assert call.body["attributes"] == {key: {"rating": 1600} for key in waiting.ids + gathering.ids}

    asyncio.run(story())


def test_redis_emptied_under_parties_that_load(redis: RedisServer, nodes: Nodes, config: Path) -> None:
    (node,) = nodes.start(1, config=config, **SETTINGS)

    async def story() -> None:
        async with parties_on((node, node), (node, node)) as (one, other), FakeServer(node) as server:
            await one.gather()
            await other.gather()
            for member in (*one.members, *other.members):
                await until(member, "start_loading")
            redis.do("FLUSHALL")
            for member in (*one.members, *other.members):
                await until(member, "match_cancelled")
                await until(member, "queued")
            server.register()
            await play(one, other)

    asyncio.run(story())


def test_redis_emptied_while_the_link_of_a_member_is_lost(redis: RedisServer, nodes: Nodes, config: Path) -> None:
    (node,) = nodes.start(1, config=config, **SETTINGS)

    async def story() -> None:
        async with parties_on((node, node), (node, node)) as (one, other):
            await one.gather()
            await other.gather()
            lost, there = one.members
            token = next(frame["resume_token"] for frame in lost.frames if frame["type"] == "queued")
            await lost.drop()
            redis.do("FLUSHALL")
            await until(there, "party")
            async with player_on(node, lost.player_id) as back, FakeServer(node):
                await back.resume(token)
                await back.expect("resumed", game_mode=MODE)
                one.members = [back, there]
                await play(one, other)

    asyncio.run(story())


def test_a_node_killed_with_one_member_of_each_party(nodes: Nodes, config: Path) -> None:
    dying, staying = nodes.start(2, config=config, **SETTINGS)

    async def story() -> None:
        async with parties_on((dying, staying), (staying, dying)) as (one, other), AsyncExitStack() as stack:
            await one.gather()
            await other.gather()
            dying.kill()
            for party, lost in ((one, one.members[0]), (other, other.members[1])):
                token = next(frame["resume_token"] for frame in lost.frames if frame["type"] == "queued")
                back = await stack.enter_async_context(player_on(staying, lost.player_id))
                await back.resume(token)
                await back.expect("resumed", state="queued")
                party.members = [back if member is lost else member for member in party.members]
            async with FakeServer(staying):
                await play(one, other)

    asyncio.run(story())


def test_a_node_killed_with_a_member_that_gathers_and_stays_away(nodes: Nodes, config: Path) -> None:
    """P14."""
    dying, staying = nodes.start(2, config=config, **SETTINGS)

    async def story() -> None:
        async with parties_on((dying, staying)) as (party,):
            away, there = party.members
            await party.arrive(away)
            await until(away, "party")
            dying.kill()
            async with player_on(staying) as third:
                await third.send("enqueue", player_id=third.player_id, game_mode=MODE)
                await third.expect("queued")
            await party.arrive(there)
            await until(there, "queued")
            left = await there.next(within_seconds=15)
            assert (left["type"], left["reason"], left["player_id"]) == ("dequeued", "party_left", away.player_id)

    asyncio.run(story())
