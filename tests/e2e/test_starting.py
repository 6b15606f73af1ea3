"""How a node starts: before its Redis, beyond loopback, with an embedded Redis, from files, with which log."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from tests.shared.fake_server import FakeServer
from tests.shared.node import Node, Process, eventually, run
from tests.shared.player import MODE, match_all, player_on, players_on, queue_all
from tests.shared.redis_server import RedisServer


def test_a_node_that_starts_before_its_redis_is_ready_once_that_is_there(tmp_path: Path, redis_url: str) -> None:
    socket_path = tmp_path / "late.sock"
    with Node(tmp_path, f"unix://{socket_path}") as node:
        assert node.http.get("/healthz").status_code == 200
        answer = node.http.get("/readyz")
        assert answer.status_code == 503
        assert "redis" in answer.text.lower()

        async def journey() -> None:
            async with FakeServer(node), players_on(node, "ann", "bob") as players:
                await queue_all(players)
                await match_all(players)

        with RedisServer() as redis_process:
            socket_path.symlink_to(redis_process.url.removeprefix("unix://"))
            node.wait_for_output("ready on ")
            eventually(lambda: node.http.get("/readyz").status_code == 200)
            asyncio.run(journey())
            assert node.stop() == 0
        where = f"on {node.ws} and {node.base} (Redis: unix://{socket_path})"
        assert node.output.splitlines() == [
            f"match-server listening {where}: not ready, Redis does not answer yet",
            f"match-server ready {where}",
        ]


def test_workers_that_start_before_their_redis_are_ready_once_that_is_there(tmp_path: Path) -> None:
    socket_path = tmp_path / "late.sock"
    with Process(tmp_path, "match_server", "--workers", "2", port=0, redis_url=f"unix://{socket_path}") as parent:
        where = parent.wait_for_output(r"^match-server listening (on \S+ and \S+ \(Redis: \S+\)): not ready, Redis")[1]
        with RedisServer() as redis_process:
            socket_path.symlink_to(redis_process.url.removeprefix("unix://"))
            parent.wait_for_output("ready on ")
            assert parent.stop() == 0
        assert parent.output.splitlines()[1:] == [f"match-server ready {where}"]


def test_beyond_loopback_it_refuses_to_start_without_a_server_key(tmp_path: Path, redis_url: str) -> None:
    for host in ("0.0.0.0", "::"):
        told = run("match_server", folder=tmp_path, host=host, port=0, redis_url=redis_url)
        assert told.returncode == 2
        assert "MATCH_SERVER_KEY" in told.stdout + told.stderr
        assert "Traceback" not in told.stderr


def test_beyond_loopback_it_starts_with_a_server_key(tmp_path: Path, redis_url: str, prefix: str) -> None:
    with Node(tmp_path, redis_url, prefix, host="0.0.0.0", server_key="k" * 32, admin_key="a" * 32) as node:
        assert httpx.get(f"http://127.0.0.1:{node.port}/healthz", trust_env=False).status_code == 200


def test_on_every_address_it_prints_one_to_call_and_says_what_is_open(
    tmp_path: Path, redis_url: str, prefix: str
) -> None:
    keys: dict[str, Any] = {"server_key": "k" * 32, "admin_key": "a" * 32}
    with Node(tmp_path, redis_url, prefix, host="0.0.0.0", **keys) as node:
        assert node.http.get("/healthz").status_code == 200
        assert ", on all of its addresses" in node.output
        assert "players_unauthenticated" in node.log
    with Node(tmp_path, redis_url, prefix, host="0.0.0.0", player_key="p" * 32, **keys) as node:
        assert "players_unauthenticated" not in node.log


def test_the_embedded_redis_ends_with_its_node(tmp_path: Path) -> None:
    with Node(tmp_path, "embedded://") as node:
        pid = int(node.redis.info()["process_id"])
        assert Path(f"/proc/{pid}").exists()
        assert node.stop() == 0
        assert not Path(f"/proc/{pid}").exists()


def test_an_embedded_path_keeps_its_data_over_a_restart(tmp_path: Path) -> None:
    store = tmp_path / "data"

    async def first(node: Node) -> tuple[str, str]:
        async with player_on(node, "stays") as player:
            token = (await player.queue())["resume_token"]
            node.http.post("/queues/Other/pause")
            node.send_signal(signal.SIGTERM)
            assert await player.closed() == 1012
            assert await asyncio.to_thread(node.wait) == 0
            return player.player_id, token

    async def second(node: Node, player_id: str, token: str) -> None:
        assert node.get("/queues/Other")["paused"] is True
        async with FakeServer(node), player_on(node, player_id) as back, players_on(node, "new") as (new,):
            await back.resume(token)
            await back.expect("resumed", state="queued")
            await back.expect("queued")
            await new.queue()
            await match_all([back, new])

    modes = f"{MODE}:2,Other:2"
    with Node(tmp_path, f"embedded://{store}", game_modes=modes) as node:
        assert f"(Redis: embedded://{store})" in node.output
        kept = asyncio.run(first(node))
    with Node(tmp_path, f"embedded://{store}", game_modes=modes) as node:
        asyncio.run(second(node, *kept))


def test_a_second_node_on_the_same_embedded_path_is_told_so(tmp_path: Path) -> None:
    url = f"embedded://{tmp_path / 'data'}"
    with Node(tmp_path, url):
        told = run("match_server", folder=tmp_path, port=0, redis_url=url)
        assert told.returncode == 2
        assert "MATCH_REDIS_URL" in told.stdout + told.stderr
        assert "Traceback" not in told.stderr


def test_settings_come_from_a_dotenv_file_and_from_toml(tmp_path: Path, redis_url: str, prefix: str) -> None:
    (tmp_path / ".env").write_text("MATCH_LOADING_TIMEOUT_SECONDS=17\n")
    (tmp_path / "match.toml").write_text("[game_modes]\nDuel = 2\n")
    with Node(tmp_path, redis_url, prefix, config=tmp_path / "match.toml") as node:

        async def journey() -> None:
            async with FakeServer(node), players_on(node, "ann", "bob") as (ann, bob):
                await ann.queue("Duel")
                await bob.queue("Duel")
                assert 16 < (await ann.expect("start_loading"))["timeout_seconds"] <= 17

        assert [row["game_mode"] for row in node.get("/queues")["queues"]] == ["Duel"]
        asyncio.run(journey())


def test_the_log_is_json_when_asked(tmp_path: Path, redis_url: str, prefix: str) -> None:
    command = ("match_server", "--log-format", "json", "--log-level", "info")
    settings: dict[str, Any] = {"port": 0, "redis_url": redis_url, "key_prefix": prefix}
    with Process(tmp_path, *command, **settings) as process:
        process.wait_for_log("node_ready")
        assert process.stop() == 0
        lines = [json.loads(line) for line in process.log.splitlines()]
        assert lines
        assert all("event" in line for line in lines)


def test_no_secret_stands_in_the_log_at_any_level(tmp_path: Path, redis_url: str, prefix: str) -> None:
    secrets = {name: f"{name.replace('_', '-')}-{'s3cret' * 6}" for name in ("server_key", "admin_key", "player_key")}
    command = ("match_server", "--log-level", "debug")
    settings: dict[str, Any] = {"port": 0, "redis_url": redis_url, "key_prefix": prefix, **secrets}
    with Process(tmp_path, *command, **settings) as process:
        ready = process.wait_for_output(r"and (http://\S+)")
        for key in secrets.values():
            for path in ("/servers", f"/servers?key={key}", f"/ws/?token={key}"):
                httpx.get(ready[1] + path, headers={"Authorization": f"Bearer {key}"}, trust_env=False)
        assert process.stop() == 0
        for key in secrets.values():
            assert key not in process.log + process.output


@pytest.mark.parametrize("options", [[], ["--workers", "2"]], ids=["one", "workers"])
def test_the_password_of_redis_is_not_printed(tmp_path: Path, options: list[str]) -> None:
    with RedisServer() as redis_process:
        with Redis.from_url(redis_process.url) as client:
            client.config_set("requirepass", "hunter2-secret")
        url = redis_process.url.replace("unix://", "unix://:hunter2-secret@")
        with Process(tmp_path, "match_server", *options, port=0, redis_url=url) as process:
            assert process.wait_for_output(r"ready on .*\(Redis: (\S+)\)")[1].startswith("unix://:***@/")
            assert process.stop() == 0
            assert "hunter2-secret" not in process.output + process.log
