from typing import Any

import pytest

from tests.store.pool import Pool


def test_servers_are_listed_by_their_ids(pool: Pool) -> None:
    pool.register("s2")
    pool.register("s1")
    pool.register("s3")
    pool.heartbeat("s1")

    assert list(pool.servers()) == ["s1", "s2", "s3"]


def test_each_server_is_listed_with_its_slots(pool: Pool) -> None:
    pool.register("s1", capacity=5)
    pool.found("ann", "bob")
    pool.found("cid", "dan")
    pool.allocating("eve", "fay")

    server = pool.servers()["s1"]

    assert (server.active, server.reserved, server.free) == (2, 1, 2)
    assert server.record["capacity"] == "5"


def test_a_lease_that_ran_out_has_no_time_left(pool: Pool) -> None:
    pool.register("s1")
    pool.move_clock(100)

    assert pool.servers()["s1"].lease_seconds_left == 0


def test_more_servers_than_one_page_are_all_listed_once(pool: Pool) -> None:
    names = [f"s{number}" for number in range(205)]
    for name in names:
        pool.register(name)

    assert sorted(pool.servers()) == sorted(names)


def between_pages(pool: Pool, monkeypatch: pytest.MonkeyPatch, happens: Any) -> None:
    """Have something happen after each piece of a reading of the servers."""
    read = pool.runner.one

    async def one(script: str, *arguments: Any, items: Any = ()) -> Any:
        reply = await read(script, *arguments, items=items)
        if script == "servers":
            await happens()
        return reply

    monkeypatch.setattr(pool.runner, "one", one)


def test_heartbeats_between_two_pages_hide_no_server_and_repeat_none(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"s{number:03}" for number in range(105)]
    for name in names:
        pool.register(name)

    async def the_first_are_heard() -> None:
        for name in names[:50]:
            await pool.registry.heartbeat(name, draining=False, active_sessions=None)

    between_pages(pool, monkeypatch, the_first_are_heard)

    assert [status.server_id for status in pool.do(pool.registry.servers())] == names


def test_a_server_that_goes_between_two_pages_is_left_out(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"s{number:03}" for number in range(105)]
    for name in names:
        pool.register(name)
    between_pages(pool, monkeypatch, lambda: pool.registry.remove("s104"))

    assert [status.server_id for status in pool.do(pool.registry.servers())] == names[:-1]


def test_looking_changes_nothing(pool: Pool) -> None:
    assert pool.servers() == {}
    pool.register("s1")

    with pool.nothing_changes():
        pool.servers()


def test_one_server_is_looked_at_by_its_id(pool: Pool) -> None:
    pool.register("s1", capacity=5)
    pool.register("s2")

    found = pool.do(pool.registry.server("s1"))

    assert found is not None
    assert (found.server_id, found.free) == ("s1", 5)
    assert pool.do(pool.registry.server("s3")) is None


def test_a_server_says_when_it_is_asked_again(pool: Pool) -> None:
    pool.register("s1")
    assert pool.servers()["s1"].retry_seconds is None

    pool.fail(pool.allocating("ann", "bob"), "full")
    retry_seconds = pool.servers()["s1"].retry_seconds
    assert retry_seconds is not None
    assert 4 < retry_seconds <= 5

    pool.heartbeat("s1")
    assert pool.servers()["s1"].retry_seconds is None
