"""The commands as a user of a shell meets them."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis
from websockets.asyncio.client import connect

import match_server
from tests.e2e.fake_server import FakeServer
from tests.e2e.node import Node, Process, eventually, run
from tests.e2e.player import MODE, Player, fresh_id, match_all, player_on, players_on, queue_all
from tests.redis_process import RedisProcess

COMMANDS = [
    ("match_server",),
    ("match_server", "demo"),
    ("match_server", "dev"),
    ("dedicated_server_stub",),
    ("test_client",),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(tmp_path: Path, command: tuple[str, ...]) -> None:
    told = run(*command, "--help", folder=tmp_path)
    assert told.returncode == 0
    for option in ("--help", "--version", "--log-format", "--log-level"):
        assert option in told.stdout
    version = run(*command, "--version", folder=tmp_path)
    assert version.returncode == 0
    assert match_server.__version__ in version.stdout


@pytest.mark.parametrize("name", ["match-server", "dedicated-server-stub", "test-client"])
def test_every_command_is_installed_by_its_name(name: str) -> None:
    assert shutil.which(name, path=str(Path(sys.executable).parent)), f"{name} is not beside {sys.executable}"


def test_the_settings_stand_in_the_help(tmp_path: Path) -> None:
    told = run("match_server", "--help", folder=tmp_path).stdout
    contract = """
        HOST PORT REDIS_URL KEY_PREFIX GAME_MODES CONFIG TICK_SECONDS MATCH_ON_ENQUEUE QUEUE_TIMEOUT_SECONDS
        LOADING_TIMEOUT_SECONDS RECONNECT_GRACE_SECONDS PING_INTERVAL_SECONDS PING_TIMEOUT_SECONDS NODE_LEASE_SECONDS
        SERVER_LEASE_SECONDS ALLOCATION_TIMEOUT_SECONDS ALLOCATION_ATTEMPTS ALLOCATION_WAIT_SECONDS SERVER_NETWORKS
        SERVER_KEY ADMIN_KEY PLAYER_KEY ALLOWED_ORIGINS TRUSTED_PROXIES MAX_CONNECTIONS MAX_CONNECTIONS_PER_ADDRESS
        MESSAGES_PER_SECOND STOP_SECONDS
    """
    assert [name for name in contract.split() if f"MATCH_{name}" not in told] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "x"),
        ("port", "65536"),
        ("host", ""),
        ("redis_url", "mysql://x"),
        ("redis_url", "redis://127.0.0.1:99999"),
        ("game_modes", ""),
        ("game_modes", "Normal_1v1:1"),
        ("game_modes", "Royale:101"),
        ("game_modes", "One:2,One:3"),
        ("game_modes", "a b:2"),
        ("tick_seconds", "nan"),
        ("match_on_enqueue", "maybe"),
        ("loading_timeout_seconds", "0"),
        ("ping_timeout_seconds", "soon"),
        ("allocation_attempts", "1.5"),
        ("server_networks", "127.0.0.1/99"),
        ("allowed_origins", "not an origin"),
        ("trusted_proxies", "x"),
        ("messages_per_second", "0"),
        ("stop_seconds", "-1"),
        ("config", "/no/such/file.toml"),
    ],
)
def test_a_wrong_setting_ends_the_start_with_one_line_that_names_it(tmp_path: Path, name: str, value: str) -> None:
    told = run("match_server", folder=tmp_path, seconds=8, **({"port": 0} | {name: value}))
    assert told.returncode == 2, told
    lines = [line for line in (told.stdout + told.stderr).splitlines() if line.strip()]
    assert len(lines) == 1, lines
    assert f"MATCH_{name.upper()}" in lines[0]


def test_two_wrong_settings_are_both_named(tmp_path: Path) -> None:
    told = run("match_server", folder=tmp_path, port="x", tick_seconds="y")
    assert told.returncode == 2
    assert "MATCH_PORT" in told.stderr + told.stdout
    assert "MATCH_TICK_SECONDS" in told.stderr + told.stdout
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("command", ["", "demo", "dev"])
def test_a_setting_that_is_misspelt_ends_the_start_with_one_line(tmp_path: Path, command: str) -> None:
    told = run("match_server", *([command] if command else []), folder=tmp_path, seconds=8, sever_key="hunter2")
    assert told.returncode == 2, told
    assert told.stdout + told.stderr == "MATCH_SEVER_KEY: no such setting; did you mean MATCH_SERVER_KEY?\n"


def test_a_wrong_secret_is_not_repeated(tmp_path: Path) -> None:
    url = "redis://:hunter2-secret@127.0.0.1:x/0"
    told = run("match_server", folder=tmp_path, port=0, redis_url=url)
    assert told.returncode == 2
    assert "MATCH_REDIS_URL" in told.stderr + told.stdout
    assert "hunter2-secret" not in told.stderr + told.stdout


@pytest.mark.parametrize(
    "command",
    [("dedicated_server_stub", "--capacity", "0"), ("test_client", "--players", "x"), ("match_server", "--x")],
)
def test_a_wrong_option_ends_the_start_with_status_2(tmp_path: Path, command: tuple[str, ...]) -> None:
    told = run(*command, folder=tmp_path)
    assert told.returncode == 2
    assert "Traceback" not in told.stderr
    assert command[1] in told.stderr


@pytest.mark.parametrize("command", ["demo", "dev"])
def test_an_option_before_the_command_is_not_ignored(tmp_path: Path, command: str) -> None:
    told = run("match_server", "--port", "0", "--game-modes", "Zed:2", command, folder=tmp_path)
    assert told.returncode == 2
    (line,) = (told.stdout + told.stderr).splitlines()
    assert line.startswith("--port, --game-modes: expected after the command")
    assert f"match-server {command} --help" in line
    version = run("match_server", "--version", command, folder=tmp_path)
    assert (version.returncode, version.stdout) == (0, f"match-server {match_server.__version__}\n")


@pytest.mark.parametrize("options", [[], ["--workers", "2"]], ids=["one", "workers"])
def test_a_port_in_use_is_said_in_one_line_before_anything_is_started(tmp_path: Path, options: list[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        told = run("match_server", *options, folder=tmp_path, port=taken.getsockname()[1], redis_url="embedded://")
    assert told.returncode == 2, told
    lines = [line for line in (told.stdout + told.stderr).splitlines() if line.strip()]
    assert "MATCH_PORT" in "".join(lines)
    assert len(lines) == 1, lines


@pytest.mark.parametrize("host", ["no.such.invalid", "ü" * 70, "192.0.2.1"], ids=["unknown", "long", "elsewhere"])
def test_an_address_that_cannot_be_listened_on_is_the_hosts_fault(tmp_path: Path, host: str) -> None:
    told = run("match_server", "--host", host, folder=tmp_path, port=0, server_key="k" * 32)
    assert told.returncode == 2, told
    lines = (told.stdout + told.stderr).splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("MATCH_HOST: cannot listen on ")


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="there is no IPv6 here")
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_ipv6_address_comes_with_brackets_or_without(tmp_path: Path, redis_url: str, prefix: str, host: str) -> None:
    with Node(tmp_path, redis_url, prefix, host=host) as node:
        assert node.ws == f"ws://[::1]:{node.port}/ws/"
        assert node.http.get("/healthz").status_code == 200
        told = run("match_server", folder=tmp_path, host=host, port=node.port)
        assert told.stderr.startswith(f"MATCH_PORT: cannot listen on [::1]:{node.port}: ")


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

        with RedisProcess() as redis_process:
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
        with RedisProcess() as redis_process:
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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_by_signal_ends_with_status_0(
    tmp_path: Path, redis_url: str, prefix: str, number: signal.Signals
) -> None:
    with Node(tmp_path, redis_url, prefix) as node:
        assert node.stop(number) == 0
        assert "Traceback" not in node.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", ["", "--workers 2", "dev --port 0"])
def test_a_stop_during_the_start_leaves_nothing_behind(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, command: str, number: signal.Signals
) -> None:
    temporary = tmp_path_factory.mktemp("tmp")  # not in the test's own: a socket's path has to be short
    variables = {"TMPDIR": str(temporary)}
    with Process(tmp_path, "match_server", *command.split(), variables=variables, port=0) as process:
        eventually(lambda: list(temporary.glob("match-server-*")))  # the embedded Redis is about to start
        assert process.stop(number) == 0, process.log
        assert process.output == "", "it says of nothing that it is ready"
        assert "Traceback" not in process.log
        assert list(temporary.iterdir()) == []


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
        process.wait_for_output("ready on")
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
    with RedisProcess() as redis_process:
        with Redis.from_url(redis_process.url) as client:
            client.config_set("requirepass", "hunter2-secret")
        url = redis_process.url.replace("unix://", "unix://:hunter2-secret@")
        with Process(tmp_path, "match_server", *options, port=0, redis_url=url) as process:
            assert process.wait_for_output(r"ready on .*\(Redis: (\S+)\)")[1].startswith("unix://:***@/")
            assert process.stop() == 0
            assert "hunter2-secret" not in process.output + process.log


def test_the_stub_registers_serves_a_match_and_drains_on_sigterm(tmp_path: Path, redis_url: str, prefix: str) -> None:
    with (
        Node(tmp_path, redis_url, prefix) as node,
        Process(
            tmp_path,
            "dedicated_server_stub",
            "--match-server",
            node.base,
            "--session-seconds",
            "0.2",
            "--server-id",
            "s",
        ) as stub,
    ):

        async def journey() -> None:
            async with players_on(node, "ann", "bob") as (ann, bob):
                for player in (ann, bob):
                    await player.queue()
                found, _ = await match_all([ann, bob])
                assert found["server_address"].startswith("ws://127.0.0.1:")

        asyncio.run(journey())
        assert stub.stop() == 0
        assert "Traceback" not in stub.log
        assert node.get("/servers") == {"servers": []}, "it took leave"


def test_dev_prints_its_addresses_and_stops_on_ctrl_c(tmp_path: Path) -> None:
    with Process(tmp_path, "match_server", "dev", "--port", "0", "--servers", "2") as dev:
        websocket = dev.wait_for_output(r"(ws://127\.0\.0\.1:\d+/ws/)")[1]
        base = re.sub(r"^ws(.*)/ws/$", r"http\1", websocket)

        async def journey() -> None:
            async with connect(websocket, proxy=None) as one, connect(websocket, proxy=None) as two:
                ann, bob = Player(one, fresh_id()), Player(two, fresh_id())
                await ann.queue()
                await bob.queue()
                await match_all([ann, bob])

        asyncio.run(journey())
        rows = httpx.get(f"{base}/servers", trust_env=False).json()["servers"]
        assert len(rows) == 2
        assert dev.stop(signal.SIGINT) == 0
        assert "Traceback" not in dev.log


def workers_of(parent: Process) -> set[int]:
    """The processes that serve the port of `--workers`; its Redis is a child, too."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            is_child = f"\nPPid:\t{parent.process.pid}\n" in (process / "status").read_text()
            if is_child and b"--listen-fd" in (process / "cmdline").read_bytes():
                found.add(int(process.name))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the workers in /proc")
def test_workers_are_replaced_and_stop_together_also_while_one_is_being_replaced(tmp_path: Path) -> None:
    with Process(tmp_path, "match_server", "--workers", "2", port=0) as parent:
        parent.wait_for_output("ready on")
        first = workers_of(parent)
        assert len(first) == 2

        os.kill(min(first), signal.SIGKILL)
        eventually(lambda: len(workers_of(parent) - {min(first)}) == 2)
        assert "worker_died" in parent.log
        last = workers_of(parent)
        assert last > first - {min(first)}, "the other one was left alone"

        assert parent.stop() == 0  # the new one has hardly begun
        assert "Traceback" not in parent.log
        assert [pid for pid in last if Path(f"/proc/{pid}").exists()] == []


def test_the_demo_gives_every_player_its_match_in_ten_seconds(tmp_path: Path) -> None:
    started = time.monotonic()
    told = run("match_server", "demo", folder=tmp_path)
    assert told.returncode == 0, told.stdout + told.stderr
    assert time.monotonic() - started < 10
    assert "Traceback" not in told.stderr
    assert "200" in told.stdout
