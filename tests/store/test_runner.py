"""How scripts are run: lost scripts, lost replies, poisonous items, a Redis that is gone or full."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from match_server.errors import ScriptError, StoreUnavailable
from match_server.events.node import ScriptsRan
from match_server.store import scripts as scripts_module
from match_server.store.client import connect
from match_server.store.journey import Answer, Confirm, Confirmed, Enqueue, Leave, Step
from match_server.store.scripts import Call, ItemFailed, ScriptRunner
from tests.shared.proxy import RedisProxy
from tests.shared.recorder import Recorder
from tests.shared.redis_server import RedisServer
from tests.store.pool import ADDRESS, JUST_NOW, LEASE_SECONDS, Pool, kinds, scripts


@pytest.fixture
def full_redis() -> Iterator[str]:
    """A second server, which a test may fill up."""
    with RedisServer() as redis:
        yield redis.url


def enqueues(*players: str) -> list[Enqueue]:
    return [Enqueue(player, f"{player}/1", 1, f"token-of-{player}", JUST_NOW) for player in players]


def poison(pool: Pool, player: str) -> None:
    """Make this player's record a key that no script can use."""
    pool.redis("SET", f"{pool.prefix}player:{player}", "rubbish")


# --- scripts that Redis has forgotten ---


def test_scripts_that_redis_forgot_are_loaded_again(pool: Pool) -> None:
    pool.register("s1")
    for work in (lambda: pool.enqueue("ann", "bob"), pool.match, pool.sweep):
        pool.redis("SCRIPT", "FLUSH")
        work()

    assert pool.record("ann")["state"] == "loading"


def test_a_step_whose_scripts_were_forgotten_has_one_effect(pool: Pool) -> None:
    pool.register("s1")
    pool.redis("SCRIPT", "FLUSH")

    result = pool.step("duel", Step(enqueues=enqueues("ann", "bob"), match=True))

    assert result.matched.formed == 1
    assert kinds(pool.frames("ann")) == ["queued", "start_loading"]


# --- poisonous items ---


def test_a_poisonous_item_fails_alone_and_the_others_take_their_effect(pool: Pool) -> None:
    pool.register("s1", capacity=9)
    poison(pool, "bad")

    result = pool.step("duel", Step(enqueues=enqueues("ann", "bad", "bob")))

    assert [type(answer) for answer in result.enqueues] == [Answer, ItemFailed, Answer]
    assert "WRONGTYPE" in str(result.enqueues[1])
    assert pool.members("queue:duel") == ["ann", "bob"], "those before it and those behind it"
    assert pool.members("waiting:duel") == ["ann", "bob"]
    assert kinds(pool.frames("ann")) == kinds(pool.frames("bob")) == ["queued"]
    assert pool.match().formed == 1


def test_an_item_whose_answer_lacks_a_field_fails_alone(pool: Pool) -> None:
    pool.enqueue("bad")
    pool.redis("HDEL", f"{pool.prefix}player:bad", "enqueued_at")

    result = pool.step("duel", Step(enqueues=enqueues("ann", "bad", "bob")))

    assert [type(answer) for answer in result.enqueues] == [Answer, ItemFailed, Answer]
    assert pool.members("queue:duel") == ["ann", "bad", "bob"]


def test_a_poisonous_item_does_not_touch_the_other_calls_of_its_step(pool: Pool) -> None:
    pool.enqueue("leaver")
    poison(pool, "bad")
    leave = Leave("leaver", "leaver/1", 2, "requested")

    result = pool.step("duel", Step(enqueues=enqueues("bad", "ann"), leaves=[leave]))

    assert [left.code for left in result.leaves if isinstance(left, Answer)] == ["ok"]
    assert [type(answer) for answer in result.enqueues] == [ItemFailed, Answer]


def test_a_poisonous_confirmation_fails_alone(pool: Pool) -> None:
    pool.register("s1", capacity=2)
    orders = [pool.allocating("ann", "bob"), pool.allocating("cid", "dan")]
    pool.redis("SET", f"{pool.prefix}match:{orders[0].loading_session_id}", "rubbish")
    pool.redis("DEL", f"{pool.prefix}loading:{orders[0].loading_session_id}")
    pool.redis("SET", f"{pool.prefix}loading:{orders[0].loading_session_id}", "rubbish")
    items = [Confirm(order.loading_session_id, 1, "x", ADDRESS) for order in orders]

    answers = pool.do(pool.journey().confirm(items))

    assert [type(answer) for answer in answers] == [ItemFailed, Confirmed]


def test_a_poisonous_item_may_be_the_only_one(pool: Pool) -> None:
    poison(pool, "bad")

    (answer,) = pool.step("duel", Step(enqueues=enqueues("bad"))).enqueues

    assert isinstance(answer, ItemFailed)


def test_a_script_without_items_that_fails_is_a_bug(pool: Pool) -> None:
    pool.redis("SET", f"{pool.prefix}modes:pending", "rubbish")

    with pytest.raises(ScriptError, match="adopt: WRONGTYPE"):
        pool.adopt()


def test_a_command_that_fails_on_a_key_of_another_type_is_no_answer(pool: Pool) -> None:
    pool.redis("SET", f"{pool.prefix}servers", "rubbish")

    with pytest.raises(StoreUnavailable, match="WRONGTYPE"):
        pool.servers()


# --- replies that are lost ---


class Lossy:
    """The pool's runner behind a proxy that loses replies."""

    def __init__(self, pool: Pool, redis_url: str) -> None:
        self.pool = pool
        self.proxy = RedisProxy(redis_url.removeprefix("unix://"))
        pool.do(self.proxy.__aenter__())
        self.client = connect(self.proxy.url)
        self.direct = pool.runner
        pool.runner = ScriptRunner(self.client, prefix=pool.prefix, scripts=scripts())

    def close(self) -> None:
        self.pool.runner = self.direct
        self.pool.do(self.client.aclose())
        self.pool.do(self.proxy.__aexit__(None, None, None))


@pytest.fixture
def lossy(pool: Pool, redis_url: str) -> Iterator[RedisProxy]:
    lossy = Lossy(pool, redis_url)
    try:
        yield lossy.proxy
    finally:
        lossy.close()


def test_a_lost_reply_is_asked_for_again_and_the_call_has_one_effect(pool: Pool, lossy: RedisProxy) -> None:
    lossy.lose_next(1)

    assert pool.enqueue("ann") == ["queued"]

    assert lossy.lost == 1
    assert kinds(pool.frames("ann")) == ["queued"]
    assert pool.members("queue:duel") == ["ann"]


def test_scripts_that_redis_forgets_again_and_again_do_their_work(pool: Pool, lossy: RedisProxy) -> None:
    """Whatever was loaded is forgotten before it is called; what is sent whole cannot be (docs/races.md, 26)."""

    async def forget(request: bytes) -> None:
        if b"EVALSHA" in request:
            pool.redis("SCRIPT", "FLUSH")

    lossy.before_request = forget

    assert pool.enqueue("ann", "bob") == ["queued", "queued"]


def test_a_whole_journey_with_every_first_reply_lost(pool: Pool, lossy: RedisProxy) -> None:
    pool.register("s1")

    def losing(count: int = 1) -> None:
        lossy.lose_next(count)

    losing()
    assert pool.enqueue("ann", "bob", "cid", "dan") == ["queued"] * 4
    losing()
    pool.match()
    losing(2)
    ready = {
        player: pool.ready(player).order
        for player in ("ann", "bob", "cid", "dan")
        if pool.record(player)["state"] == "loading"
    }
    (order,) = [order for order in ready.values() if order]
    losing()
    assert pool.confirm(order).code == "matched"
    waiting = next(player for player in ("ann", "bob", "cid", "dan") if player not in order.players)
    losing()
    assert pool.leave(waiting).code == "ok"

    assert lossy.lost == 6
    for player in order.players:
        assert kinds(pool.frames(player)) == ["queued", "start_loading", "match_found"]
    assert kinds(pool.frames(waiting)) == ["queued", "dequeued"]
    assert pool.hash("active:s1") == {order.loading_session_id: "0"}


def test_a_match_whose_reply_was_lost_never_shares_its_id_with_the_next(pool: Pool, lossy: RedisProxy) -> None:
    pool.register("s1", capacity=300)
    players = [f"p{number}" for number in range(60)]
    pool.enqueue(*players)
    lossy.lose_next(1)

    pool.match()

    sessions = [pool.session_of(player) for player in players]
    assert len(set(sessions)) == 30, "one call forms at most 16 of them, and it ran twice"
    assert "" not in sessions


def test_a_hold_whose_reply_was_lost_is_still_held(pool: Pool, lossy: RedisProxy) -> None:
    pool.enqueue("ann")
    lossy.lose_next(1)

    assert pool.hold("ann") == "held"


def test_without_any_reply_the_caller_is_told_so(
    pool: Pool, lossy: RedisProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripts_module, "_GIVE_UP_SECONDS", 0.1)
    lossy.lose_next(1000)

    with pytest.raises(StoreUnavailable):
        pool.enqueue("ann")

    assert kinds(pool.frames("ann")) == ["queued"], "it may have taken effect, but only once"


# --- a Redis that is out of reach ---


def test_a_redis_that_is_down_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripts_module, "_GIVE_UP_SECONDS", 0.0)

    async def scenario() -> None:
        client = connect(f"unix://{tmp_path}/nobody.sock")
        runner = ScriptRunner(client, prefix="x:", scripts=scripts())
        try:
            for said in ("Redis does not answer: ", "Redis is out of reach", "Redis is out of reach"):
                with pytest.raises(StoreUnavailable, match=said):
                    await runner.one("sweep", 1, "run")
        finally:
            await client.aclose()

    with capture_logs() as logs:
        asyncio.run(scenario())
    assert [entry["event"] for entry in logs] == ["redis_out_of_reach"], "once for an outage, not for every call"


def test_during_an_outage_calls_are_refused_at_once_and_one_tries_again_later(
    pool: Pool, lossy: RedisProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripts_module, "_GIVE_UP_SECONDS", 0.0)
    monkeypatch.setattr(scripts_module, "_CLOSED_SECONDS", 3600)
    lossy.lose_next(1000)
    with capture_logs() as logs:
        with pytest.raises(StoreUnavailable):
            pool.match()
        asked = lossy.lost
        with pytest.raises(StoreUnavailable, match="out of reach"):
            pool.match()
        assert lossy.lost == asked, "Redis was not asked"

        lossy.lose_next(0)
        monkeypatch.setattr(pool.runner, "_closed_until", 0.001)  # as if that time had passed
        assert pool.match().formed == 0
    assert [entry["event"] for entry in logs] == ["redis_out_of_reach", "redis_back"]


# --- a Redis that is full ---


def test_a_full_redis_takes_nobody_in_and_lets_everybody_out(full_redis: str, prefix: str) -> None:
    pool = Pool(full_redis, prefix)
    try:
        pool.register("s1", capacity=4)
        placed, waiting = pool.allocating("ann", "bob"), pool.allocating("cid", "dan")
        pool.loading("eve", "fay")
        pool.enqueue("gus", "hal")
        pool.redis("CONFIG", "SET", "maxmemory", "1")

        step = Step(enqueues=enqueues("newcomer"), leaves=[Leave("gus", "gus/1", 2, "requested")])
        result = pool.step("duel", step)
        assert [type(answer) for answer in result.enqueues] == [StoreUnavailable]
        assert [left.code for left in result.leaves if isinstance(left, Answer)] == ["ok"]
        assert pool.hold("hal") == "held"
        assert pool.confirm(placed).code == "matched"
        assert pool.fail(waiting, "error")[0] == "waiting"
        assert pool.leave("fay").code == "ok"
        assert pool.heartbeat("s1", []) == []
        assert pool.end("s1", placed.loading_session_id) == [placed.loading_session_id]
        assert pool.renew() is True
        assert pool.sweep().acted

        pool.redis("CONFIG", "SET", "maxmemory", "0")
        assert pool.enqueue("newcomer") == ["queued"]
        assert kinds(pool.frames("ann"))[-1] == "match_found"
        assert len(pool.events()) > 10, "a full Redis has room for events"
        assert "events_dropped" not in pool.hash("clock")
    finally:
        pool.redis("CONFIG", "SET", "maxmemory", "0")
        pool.close()


def test_who_is_in_a_full_redis_gets_its_match(full_redis: str, prefix: str) -> None:
    pool = Pool(full_redis, prefix)
    try:
        pool.register("s1", capacity=1)
        pool.loading("ann", "bob")
        pool.enqueue("cid", "dan")
        pool.redis("CONFIG", "SET", "maxmemory", "1")

        pool.ready("ann")
        order = pool.ready("bob").order
        assert order is not None
        pool.redis("CONFIG", "SET", "maxmemory", "0")
        pool.move_clock(LEASE_SECONDS + 1)
        pool.redis("CONFIG", "SET", "maxmemory", "1")
        assert pool.adopt(node="n2") == [order]
        assert pool.confirm(order).code == "matched"
        assert pool.hold("cid") == "held"
        assert pool.resume("cid", connection="cid/2")[0] == "ok"
        assert pool.reassert("dan", seq=1)[0] == "ok"
        assert pool.register("s2") == "created"
        assert pool.match().formed == 1
        pool.do(pool.registry.remove("s2"))
        pool.ready("cid", connection="cid/2")
        assert pool.ready("dan").order is None
        assert pool.register("s2") == "created"
        assert [placed.server_id for placed in pool.place()] == ["s2"]
    finally:
        pool.redis("CONFIG", "SET", "maxmemory", "0")
        pool.close()


def test_every_round_trip_is_recorded_by_its_first_script(redis_url: str, prefix: str) -> None:
    events = Recorder()

    async def scenario() -> None:
        client = connect(redis_url)
        runner = ScriptRunner(client, prefix=prefix, scripts=scripts(), events=events)
        await runner.run([Call("queues", (), [("duel",)]), Call("servers", (0, 10))])
        await client.aclose()

    asyncio.run(scenario())
    (ran,) = events.of(ScriptsRan)
    assert ran.first == "queues"
    assert 0 < ran.seconds < 5
