"""`match-server platform` as a process: HTTP, commands, a stop, and `kill -9` at any moment."""

import base64
import json
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from match_server.store.journey import Enqueue, Step
from match_server.web.openapi import platform_document
from tests.shared.hook import Hook
from tests.shared.node import Process
from tests.shared.openapi import schemathesis
from tests.shared.platform import PlatformProcess
from tests.store.pool import JUST_NOW, Pool


@pytest.fixture
def start(pool: Pool, redis_url: str, tmp_path: Path) -> Iterator[Callable[..., PlatformProcess]]:
    started: list[PlatformProcess] = []

    def start(*arguments: str, **settings: object) -> PlatformProcess:
        process = PlatformProcess(tmp_path, redis_url, pool.prefix, *arguments, **settings)
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()


Start = Callable[..., PlatformProcess]


def cursor(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def test_the_calls_of_operators(pool: Pool, start: Start) -> None:
    platform = start()
    pool.register("s1")
    order = pool.found("ann", "bob")
    pool.end("s1", order.loading_session_id, result='{"winner":"ann"}')
    platform.wait_until_all_is_stored()

    match = platform.get(f"/matches/{order.loading_session_id}")
    assert (match["state"], match["result"]) == ("ended", {"winner": "ann"})
    fields = {"match_id", "session_id", "game_mode", "state", "reason", "formed_at", "found_at", "ended_at"}
    assert match.keys() == fields | {"server_id", "region", "rules_version", "players", "result"}
    assert match["players"][0].keys() == {"player_id", "party_id", "team", "role", "waited_seconds"}
    day = {"since": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00+02:00"}
    assert platform.get("/matches", player_id="ann", game_mode="duel", limit=5, **day) == {
        "matches": [match],
        "next": None,
    }
    types = [event["type"] for event in platform.get("/players/ann/history")["events"]]
    assert types == ["match.found", "match.formed", "player.queued"]
    (hour,) = platform.get("/stats")["stats"]
    assert (hour["matches"], hour["players"], hour["abandoned"], hour["cancelled"]) == (1, 2, 0, 0)
    assert platform.get("/stats", until="2020-01-01T00:00:00Z") == {"stats": []}
    assert "match.found" in platform.get("/events/schemas")
    assert platform.get("/healthz") == {"status": "ok"}
    assert platform.get("/readyz")["status"] == "ready"
    with platform.http as http:
        for path, status in {
            "/matches/nobody": 404,
            "/nowhere": 404,
            "/matches?since=yesterday": 422,
            "/matches?since=2026-01-01T00:00:00": 422,
            "/matches?limit=0": 422,
            "/matches?cursor=x": 422,
            "/matches?cursor=WzEsMl0": 422,
            f"/matches?cursor={cursor(2**63, 'x')}": 422,
            f"/players/ann/history?cursor={cursor(1, '9' * 30)}": 422,
            "/matches?player_id=a%20b": 422,
            "/players/a%20b/history": 422,
            "/players/ann/history?cursor=WzEsIngiXQ": 422,
            "/matches?gamemode=x": 422,
            "/players/ann/history?since=x": 422,
            "/stats?from=x": 422,
            "/events?types=x": 422,
            "/events/schemas?type=x": 422,
        }.items():
            answer = http.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), path
    assert platform.stop() == 0
    assert "Traceback" not in platform.log


@pytest.mark.timeout(180)
def test_nothing_that_a_machine_makes_of_openapi_finds_the_platform_different(
    pool: Pool, start: Start, tmp_path: Path
) -> None:
    """But for `GET /events`, which does not end."""
    options = ("--exclude-path", "/events", "--phases", "coverage,fuzzing")
    platform = start()
    pool.register("s1")
    pool.found("ann", "bob")
    platform.wait_until_all_is_stored()
    assert platform.get("/openapi.json") == json.loads(json.dumps(platform_document()))
    with platform.http as http:
        ended = schemathesis(f"{http.base_url}/openapi.json", *options, folder=tmp_path)
    assert ended.returncode == 0, ended.stdout
    assert "Traceback" not in platform.log


def test_a_key_is_needed_where_one_is_set(start: Start) -> None:
    platform = start(admin_key="k" * 16, admin_keys="look:rrrrrrrrrrrrrrrr:read")
    with platform.http as http:
        for path in ("/matches", "/matches/x", "/players/ann/history", "/stats", "/events", "/events/schemas"):
            assert http.get(path).status_code == 401
            if path != "/events":
                assert http.get(path, headers={"Authorization": "Bearer rrrrrrrrrrrrrrrr"}).status_code in {
                    200,
                    404,
                    503,
                }
        for path in ("/healthz", "/readyz", "/metrics"):
            assert http.get(path).status_code == 200


def test_the_log_is_json_when_asked_and_has_no_password(start: Start, redis_url: str) -> None:
    database = "postgresql+asyncpg://match:the-password@127.0.0.1:1/match"
    platform = start("--log-format", "json", database_url=database, admin_key="the-key-of-operators")
    platform.wait_for_log("platform_started")
    assert platform.stop() == 0
    lines = [json.loads(line) for line in platform.log.splitlines()]
    (started,) = [line for line in lines if line["event"] == "platform_started"]
    assert started["sinks"] == ["history"]
    assert platform.output == ""
    assert "the-password" not in platform.log
    assert "the-key-of-operators" not in platform.log


def test_beyond_loopback_it_refuses_to_start_without_a_key(start: Start) -> None:
    platform = start(admin_host="0.0.0.0")
    assert platform.wait() == 2
    assert "MATCH_ADMIN_KEY: must be set to listen on 0.0.0.0" in platform.log


def test_without_the_redis_of_nodes_it_says_so(start: Start) -> None:
    platform = start(redis_url="embedded://")
    assert platform.wait() == 2
    assert "MATCH_REDIS_URL: expected the Redis of running nodes" in platform.log


def test_a_redis_that_refuses_it_ends_the_start_with_one_line(start: Start, redis_url: str) -> None:
    platform = start(redis_url=redis_url + ("&" if "?" in redis_url else "?") + "username=nobody&password=wrong")
    assert platform.wait() == 2
    assert platform.log.splitlines()[-1].startswith("MATCH_REDIS_URL: Redis refuses the user or the password")


def test_a_driver_that_is_missing_is_named_with_its_extra(start: Start, tmp_path: Path) -> None:
    missing = "raise ModuleNotFoundError(name='asyncmy')"
    (tmp_path / "asyncmy.py").write_text(missing)  # found before the one that is installed
    platform = start(database_url="mysql+asyncmy://u:p@127.0.0.1/x")
    assert platform.wait() == 2
    assert "pip install 'match-server[mysql]'" in platform.log


def test_events_as_they_come_and_from_where_a_reader_was(pool: Pool, start: Start) -> None:
    platform = start()
    pool.enqueue("ann")
    ((before, _),) = pool.entries()
    messages: list[dict[str, str]] = []

    def follow(wanted: int, headers: dict[str, str] | None = None, **query: Any) -> None:
        messages.clear()
        with platform.http as http, http.stream("GET", "/events", params=query, headers=headers or {}) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            fields: dict[str, str] = {}
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                if line == ": the events from here on":
                    pool.enqueue("bob", "cid")
                    pool.leave("bob")
                elif line:
                    fields[name] = value
                elif "id" in fields:
                    messages.append(fields)
                    fields = {}
                    if len(messages) == wanted:
                        return

    follow(3)
    assert [(each["event"], json.loads(each["data"])["subject"]) for each in messages] == [
        ("player.queued", "bob"),
        ("player.queued", "cid"),
        ("player.dequeued", "bob"),
    ]
    second = messages[1]["id"]
    assert all(json.loads(each["data"])["id"] == each["id"] for each in messages)

    follow(1, {"Last-Event-ID": second}, subject="bob")
    assert [each["event"] for each in messages] == ["player.dequeued"]
    follow(2, {"Last-Event-ID": before}, type="player.queued")
    assert messages[1]["id"] == second
    with platform.http as http:
        assert http.get("/events", headers={"Last-Event-ID": "x"}).status_code == 422


def test_dead_letters_are_listed_shown_retried_and_dropped(pool: Pool, start: Start) -> None:
    platform = start()
    key = f"{pool.prefix}events"
    pool.redis("XADD", key, "5-1", "e", "player.vanished\tann")
    pool.redis("XADD", key, "6-1", "e", "player.vanished\tbob")
    platform.wait_until_all_is_stored()

    def letters(*arguments: str) -> PlatformProcess:
        command = start("dead-letters", *arguments)
        command.wait(within_seconds=30)
        return command

    listed = letters("list", "history").output.splitlines()
    assert len(listed) == 2
    first, second = (line.split()[0] for line in listed)
    assert "player.vanished\tann" in letters("show", "history", first).output
    refused = letters("retry", "history", first)
    assert (refused.process.returncode, "no such type of event" in refused.log) == (1, True)

    pool.redis("XDEL", f"{key}:dead:history", first)
    fields = ("entry", "7-1", "e", "queue.paused\tduel\t", "reason", "a bug that is fixed by now")
    mended = pool.redis("XADD", f"{key}:dead:history", "*", *fields)
    assert letters("retry", "history", mended).output == f"{mended}: stored\n"
    assert letters("drop", "history", second).output == f"{second}: dropped\n"
    assert letters("list", "history").output == ""
    assert letters("drop", "history", second).process.returncode == 2
    assert "configured are history" in letters("list", "nothing").log


class Crowd:
    """Players who come all the time: some leave their match while it loads, the others find theirs and end it."""

    def __init__(self, pool: Pool) -> None:
        self.found: dict[str, set[str]] = {}
        self.cancelled: set[str] = set()
        self._pool = pool
        self._number = 0
        pool.register("s1", capacity=20_000)

    def come(self) -> None:
        names = [f"p{self._number + index}" for index in range(32)]
        self._number += len(names)
        items = [Enqueue(name, f"{name}/1", 1, f"token-of-{name}", JUST_NOW) for name in names]
        self._pool.step("duel", Step(enqueues=items, match=True))
        for name in names[:4]:
            if match := self._loading(name):
                self.cancelled.add(match)
                self._pool.leave(name)
        for name in names:
            order = self._pool.ready(name).order if self._loading(name) else None
            if order:
                self._pool.confirm(order)
                self.found[order.loading_session_id] = set(order.players)
                self._pool.end("s1", order.loading_session_id, result=json.dumps(order.attempt))

    def _loading(self, name: str) -> str:
        record = self._pool.record(name)
        return record["loading_session_id"] if record.get("state") == "loading" else ""


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook("match.cancelled") as hook:
        hook.manner = "seventh"
        yield hook


@pytest.mark.timeout(180)
def test_after_kills_at_any_moment_history_and_webhooks_tell_what_the_players_saw(
    pool: Pool, start: Start, hook: Hook, tmp_path: Path
) -> None:
    chance = random.Random(1)  # noqa: S311 - repeatable
    crowd = Crowd(pool)
    webhooks = hook.file(tmp_path)
    platform = start(webhooks=webhooks)
    for _ in range(6):
        until = time.monotonic() + chance.uniform(0.3, 1.5)
        while time.monotonic() < until:
            crowd.come()
        platform.send_signal(signal.SIGKILL)
        platform.wait()
        platform = start(webhooks=webhooks)
    for sink in ("history", "webhook-hook"):
        platform.wait_until_all_is_stored(sink)
    assert len(crowd.found) > 50

    matches = platform.all_matches()
    assert len({match["match_id"] for match in matches}) == len(matches)
    ended = {match["match_id"]: match for match in matches if match["state"] == "ended"}
    players = {match_id: {player["player_id"] for player in match["players"]} for match_id, match in ended.items()}
    assert players == crowd.found
    assert all(match["result"] == 1 for match in ended.values())
    cancelled = [match["match_id"] for match in matches if match["state"] == "cancelled"]
    assert sorted(cancelled) == sorted(crowd.cancelled)
    assert hook.told.subjects["match.cancelled"] == crowd.cancelled, "each at least once"
    assert hook.told.out_of_order == []
    with platform.http as http:
        assert 'match_platform_events_lost{sink="history"} 0.0' in http.get("/metrics").text
    assert platform.stop() == 0


def test_the_node_does_without_the_libraries_of_the_platform(tmp_path: Path) -> None:
    program = "import sys, match_server.cli; print(sorted({'sqlalchemy', 'alembic', 'aiosqlite'} & sys.modules.keys()))"
    process = Process(tmp_path, "nothing")
    process.command = [process.command[0], "-c", program]
    with process:
        assert process.wait() == 0
        assert process.output == "[]\n"
