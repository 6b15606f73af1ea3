"""The commands as a user of a shell meets them."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from redis import Redis
from websockets.asyncio.client import connect
from websockets.typing import Origin

import match_server
from tests.shared.fake_server import FakeServer
from tests.shared.node import Node, Process, environment, eventually, run
from tests.shared.player import MODE, Player, fresh_id, match_all, player_on, players_on, queue_all
from tests.shared.redis_server import RedisServer

INSTALLED = Path(sys.executable).with_name("match-server")
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


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_h_is_help(tmp_path: Path, command: tuple[str, ...]) -> None:
    assert run(*command, "-h", folder=tmp_path).stdout == run(*command, "--help", folder=tmp_path).stdout


@pytest.mark.parametrize(("option", "value"), [("--match-server", "ftp://a"), ("--game-mode", "no such mode!")])
def test_the_same_wrong_option_is_refused_in_the_same_words(tmp_path: Path, option: str, value: str) -> None:
    told = {
        run(command, option, value, folder=tmp_path).stderr.partition(": ")[2]
        for command in ("dedicated_server_stub", "test_client")
    }
    assert len(told) == 1, told


def test_a_run_without_a_node_says_so_in_one_line(tmp_path: Path) -> None:
    told = run("test_client", "--match-server", "127.0.0.1:9", "--deadline-seconds", "0.5", folder=tmp_path)
    assert told.returncode == 1
    (line,) = (told.stdout + told.stderr).splitlines()
    assert line.startswith("test-client: no player came in: ws://127.0.0.1:9/ws/: ")
    assert "refused" in line


def test_both_programs_say_what_the_node_said(tmp_path: Path, redis_url: str, prefix: str) -> None:
    keys: dict[str, Any] = {"player_key": "p" * 32, "server_key": "s" * 32}
    with Node(tmp_path, redis_url, prefix, **keys) as node:
        client = run("test_client", "--match-server", node.base, player_key="q" * 32, folder=tmp_path)
        (line,) = (client.stdout + client.stderr).splitlines()
        assert line == "test-client: no player came in: the token's signature is wrong"
        assert client.returncode == 1
        stub = run("dedicated_server_stub", "--match-server", node.ws, folder=tmp_path)
        assert stub.stderr.endswith("refused, 401: Authorization: expected Bearer and MATCH_SERVER_KEY\n")
        mode = run("test_client", "--match-server", node.base, "--game-mode", "Nope", folder=tmp_path, **keys)
        assert "game_mode: expected one of Normal_1v1" in mode.stdout + mode.stderr


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


def test_a_broken_line_of_the_env_file_is_one_line_that_names_both(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MATCH_TICK_SECONDS=0.2\n# a comment\nthis is broken\nMATCH_PORT 8080\n")
    told = run("match_server", folder=tmp_path, port=0)
    assert told.returncode == 2
    assert told.stderr.splitlines() == [f".env, line {line}: expected NAME=value" for line in (3, 4)]


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


@pytest.mark.parametrize(
    ("command", "option", "said"),
    [
        ("demo", "--game-modes=Zed:2", "--game-modes: demo takes no such option"),
        ("dev", "--game-modes=Zed:2", "--game-modes: expected after the command"),
        ("dev", "--redis-url=redis://r", "--redis-url: dev takes no such option"),
    ],
)
def test_an_option_before_the_command_is_not_ignored(tmp_path: Path, command: str, option: str, said: str) -> None:
    told = run("match_server", option, command, folder=tmp_path)
    assert told.returncode == 2
    (line,) = (told.stdout + told.stderr).splitlines()
    assert line.startswith(said)
    assert f"match-server {command} --help" in line
    version = run("match_server", "--version", command, folder=tmp_path)
    assert (version.returncode, version.stdout) == (0, f"match-server {match_server.__version__}\n")


@pytest.mark.parametrize(
    ("command", "name"),
    [([], "MATCH_ADMIN_PORT"), (["--workers", "2"], "MATCH_ADMIN_PORT"), (["platform"], "MATCH_PLATFORM_PORT")],
)
def test_another_port_in_use_is_named_as_such(tmp_path: Path, redis_url: str, command: list[str], name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = {"redis_url": redis_url, "port": 0, "admin_port": port, "platform_port": port}
        told = run("match_server", *command, folder=tmp_path, **settings)
    assert (told.returncode, told.stderr.splitlines()[-1:]) == (
        2,
        [f"{name}: cannot listen on 127.0.0.1:{port}: Address already in use"],
    )


def test_a_token_by_a_short_key_comes_with_one_line_of_ours(tmp_path: Path) -> None:
    told = run("match_server", "token", "ada", folder=tmp_path, player_key="short")
    assert (told.returncode, told.stdout.count(".")) == (0, 2)
    assert told.stderr == "MATCH_PLAYER_KEY: has fewer than 32 bytes, and may be guessed\n"


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
    told = run("match_server", "--host", host, folder=tmp_path, port=0, server_key="k" * 32, admin_key="a" * 32)
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
            page = "http://localhost:3000"  # of a game in development
            async with (
                connect(websocket, proxy=None, origin=Origin(page)) as one,
                connect(websocket, proxy=None) as two,
            ):
                ann, bob = Player(one, fresh_id()), Player(two, fresh_id())
                await ann.queue()
                await bob.queue()
                await match_all([ann, bob])

        asyncio.run(journey())
        rows = httpx.get(f"{base}/servers", trust_env=False).json()["servers"]
        assert len(rows) == 2
        assert dev.stop(signal.SIGINT) == 0
        assert "Traceback" not in dev.log


def in_a_shell(command: str, folder: Path, settings: dict[str, Any]) -> "subprocess.CompletedProcess[str]":
    """Run a printed command as it is, with nothing of ours on PATH."""
    variables = environment(settings) | {"PATH": os.defpath}
    return subprocess.run(
        ["/bin/sh", "-c", command], cwd=folder, env=variables, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize(
    ("program", "key"),
    [((str(INSTALLED),), ""), ((str(INSTALLED),), ".env"), ((sys.executable, "-m", "match_server"), "environment")],
    ids=["file", "file and .env", "module and key"],
)
def test_the_commands_that_dev_prints_work_as_printed(tmp_path: Path, program: tuple[str, ...], key: str) -> None:
    settings: dict[str, Any] = {"game_modes": "Trio:3", "port": 0}
    if key == "environment":
        settings["player_key"] = "k" * 32
    elif key:
        (tmp_path / key).write_text(f"MATCH_PLAYER_KEY={'k' * 32}\n")
    dev = Process(tmp_path, "match_server", **settings)
    dev.command = (*program, "dev", "--servers", "1")
    with dev:
        printed = dev.wait_for_output(r"(?s).*\ntry +([^\n]+)\n")
        tried = in_a_shell(printed[1], tmp_path, settings)
        assert tried.returncode == 0, tried.stdout + tried.stderr
        token = re.search(r"tokens +(.+) PLAYER_ID", printed[0])
        assert bool(token) == bool(key)
        if token:
            made = in_a_shell(f"{token[1]} ada", tmp_path, settings)
            assert jwt.decode(made.stdout.strip(), "k" * 32, algorithms=["HS256"])["sub"] == "ada"


def test_the_command_that_demo_ends_with_works_as_printed(tmp_path: Path) -> None:
    ended = in_a_shell(f"{INSTALLED} demo --players 2", tmp_path, {})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    dev = Process(tmp_path, "match_server", port=0)
    dev.command = ended.stdout.splitlines()[-1].partition(": ")[2].split()
    with dev:
        dev.wait_for_output("players  ")
        assert dev.stop() == 0


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


def sockets_listening_on(port: int) -> int:
    """How many sockets the kernel spreads the connections to this port over."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the workers in /proc")
def test_a_worker_that_cannot_be_replaced_leaves_the_others_alone(tmp_path: Path) -> None:
    flag = tmp_path / "no-python-starts"
    (tmp_path / "sitecustomize.py").write_text(
        f"import os, pathlib\nif pathlib.Path({str(flag)!r}).exists(): os._exit(3)\n"
    )
    variables = {"PYTHONPATH": str(tmp_path)}
    with Process(tmp_path, "match_server", "--workers", "2", port=0, variables=variables) as parent:
        port = int(parent.wait_for_output(r"and http://\S+:(\d+)")[1])
        killed, kept = sorted(workers_of(parent))
        flag.touch()
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: parent.log.count("worker_not_started") == 2)
        assert workers_of(parent) == {kept}
        assert sockets_listening_on(port) == 1, "the one that is left takes every connection"

        flag.unlink()
        eventually(lambda: sockets_listening_on(port) == 2)
        assert parent.stop() == 0
        assert "Traceback" not in parent.log


@pytest.mark.parametrize("options", [("--workers", "2"), ("dev", "--servers", "1")], ids=["workers", "dev"])
def test_children_run_no_file_of_the_folder_where_they_are_started(tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "queue.py").write_text("import pathlib\npathlib.Path('was-run').touch()\n")
    process = Process(tmp_path, "match_server", port=0)
    process.command = (str(INSTALLED), *options)  # `python -m` itself would run it
    with process:
        process.wait_for_output("ready on|players  ")
        assert process.stop() == 0
    assert not (tmp_path / "was-run").exists()


def test_the_demo_plays_a_mode_by_its_rules(tmp_path: Path) -> None:
    told = run("match_server", "demo", "--mode", "ranked_5v5", "--players", "40", folder=tmp_path, seconds=60)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "matches, by the mode's rules" in told.stdout


def test_the_demo_names_its_modes(tmp_path: Path) -> None:
    told = run("match_server", "demo", "--mode", "Zed", folder=tmp_path)
    assert told.returncode == 2
    assert "--mode: expected Normal_1v1 or ranked_5v5 or ranked_duel" in told.stderr


def test_the_demo_gives_every_player_its_match_and_five_seconds_of_play(tmp_path: Path) -> None:
    started = time.monotonic()
    told = run("match_server", "demo", folder=tmp_path, seconds=40)
    assert told.returncode == 0, told.stdout + told.stderr
    assert 5 < time.monotonic() - started < 30
    assert "Traceback" not in told.stderr
    assert "200" in told.stdout
    assert "rooms: players 200" in told.stdout
