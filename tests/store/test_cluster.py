"""Scripts in a cluster, while the slot of their keys moves."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from match_server.errors import StoreUnavailable
from match_server.store import scripts
from match_server.store.cluster import Owner, owners
from match_server.store.open_redis import open_redis
from match_server.store.primary import Address
from match_server.store.scripts import ScriptRunner, load_scripts
from tests.shared.redis_cluster import PREFIX, SLOT, RedisCluster


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RedisCluster]:
    with RedisCluster(tmp_path) as running:
        yield running


async def enqueue(runner: ScriptRunner, player_id: str) -> Any:
    item = (player_id, f"connection-of-{player_id}", 1, "token", 0)
    return await runner.one("enqueue", "duel", "node-1", items=[item])


@pytest.mark.parametrize("first", ["player:ann", "clock"])
def test_a_script_does_nothing_while_some_of_its_keys_have_moved(
    cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """Where it ran, it would take ann for somebody new, and give her a second record."""
    monkeypatch.setattr(scripts, "_GIVE_UP_SECONDS", 0.2)
    monkeypatch.setattr(scripts, "_CLOSED_SECONDS", 0.0)

    async def story() -> None:
        async with AsyncExitStack() as stack:
            redis, primary = await open_redis(stack, cluster.url, prefix=PREFIX)
            assert primary
            runner = ScriptRunner(redis, prefix=PREFIX, scripts=load_scripts(publish="SPUBLISH"), clustered=True)
            await enqueue(runner, "ann")
            cluster.do("HSET", f"{PREFIX}clock", "stopped_us", 0)
            move = cluster.begin_to_move()
            move.take(PREFIX + first)
            for player_id in ("ann", "bob"):
                with pytest.raises(StoreUnavailable, match=r"Redis cannot work now: (TRYAGAIN|ASK) "):
                    await enqueue(runner, player_id)
            here, there = (set(server.do("CLUSTER", "GETKEYSINSLOT", SLOT, 100)) for server in move)
            assert here & there == set()
            assert not any("bob" in key for key in here | there)
            move.take(*here)
            move.end()
            await primary.look()
            assert await enqueue(runner, "bob")
            assert move.new.do("SCARD", f"{PREFIX}queue:duel") == 2

    asyncio.run(story())


NODES = """\
a1 10.0.0.1:7000@17000 myself,master - 0 0 3 connected 0-5460 [93->-b2] 7000
b2 10.0.0.2:7000@17000,two.example,shard-id=x master,fail - 0 0 4 connected 5461 5463-6999 7001-10922
c3 :7000@17000 master - 0 0 5 connected 10923-16383 [93-<-a1]
d4 10.0.0.4:7000@17000 slave a1 0 0 3 connected
e5 ::1:7001@17001 master - 0 0 6 connected 5462
"""


@pytest.mark.parametrize(
    ("slot", "tls", "found"),
    [
        (93, False, Owner(3, Address("10.0.0.1", 7000))),
        (7000, False, Owner(3, Address("10.0.0.1", 7000))),
        (5461, False, Owner(4, Address("10.0.0.2", 7000))),
        (5461, True, Owner(4, Address("two.example", 7000))),
        (16383, False, Owner(5, Address("asked.example", 7000))),
        (5462, False, Owner(6, Address("::1", 7001))),
    ],
)
def test_the_owner_of_a_slot_is_read(slot: int, tls: bool, found: Owner) -> None:
    claims = owners(NODES, slot, asked="asked.example", tls=tls)
    assert max(claims) == found


def test_a_slot_may_have_no_owner() -> None:
    assert list(owners(NODES.replace("0-5460", ""), 93, asked="h", tls=False)) == []
