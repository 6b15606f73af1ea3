"""docs/troubleshooting.md: each command is run where its trouble is, and gets the answer that the page names."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from match_server.config import Settings, variable
from match_server.errors import CloseCode
from tests.docs.curl import ask, calls
from tests.docs.markdown import read
from tests.docs.test_operations_doc import events_logged
from tests.shared.fake_server import FakeServer, answering, register
from tests.shared.fake_server import Reply as Refusal
from tests.shared.node import Node, eventually
from tests.shared.player import MODE, player_on, players_on, queue_all
from tests.shared.redis_server import RedisServer

PAGE = "docs/troubleshooting.md"


@pytest.fixture
def node(tmp_path: Path, redis_url: str, prefix: str) -> Iterator[Node]:
    with Node(tmp_path, redis_url, prefix) as node:
        yield node


def answer(node: Node, marker: str) -> Any:
    (command,) = calls(PAGE, marker, node)
    return ask(command).json


def test_players_stay_queued(node: Node) -> None:
    async def wait() -> None:
        async with players_on(node, "ann", "bob") as (ann, bob):
            await ann.queue()
            assert answer(node, "command: queued")["blocked_by"] == "too_few_players"
            await bob.queue()
            assert answer(node, "command: queued")["blocked_by"] == "no_server_for_mode"
            register(node, capacity=1, active_sessions=["busy"])
            assert answer(node, "command: queued")["blocked_by"] == "no_free_slot"
            node.http.post(f"/queues/{MODE}/pause")
            assert answer(node, "command: queued")["blocked_by"] == "paused"

    asyncio.run(wait())


def test_who_has_lost_its_link_is_listed(node: Node) -> None:
    async def lose() -> None:
        async with player_on(node, "ada") as ada:
            await ada.queue()
            await ada.drop()
            eventually(lambda: [each["player_id"] for each in answer(node, "command: held")["players"]] == ["ada"])

    asyncio.run(lose())


def test_one_player_is_asked_about(node: Node) -> None:
    record, explanation = calls(PAGE, "command: one player", node)
    assert ask(record).status == 404

    async def wait() -> None:
        async with player_on(node, "ada") as ada:
            await ada.queue()
            assert ask(record).json["state"] == "queued"
            assert ask(explanation).json["stage"] == "waiting"
            await ada.drop()
            eventually(lambda: ask(record).json["held"])

    asyncio.run(wait())


def test_a_server_is_registered_and_gets_nothing(tmp_path: Path, redis_url: str, prefix: str) -> None:
    async def refuse(node: Node) -> None:
        full = answering(Refusal(503, {}))
        async with FakeServer(node, name="eu-1", answer=full), players_on(node, "ann", "bob") as players:
            await queue_all(players)
            for player in players:
                await player.load()
            await asyncio.to_thread(eventually, lambda: answer(node, "command: one server")["state"] == "full")
            assert "503" in answer(node, "command: one server")["last_error"]

    with Node(tmp_path, redis_url, prefix, server_lease_seconds=2) as node:
        (command,) = calls(PAGE, "command: one server", node)
        assert ask(command).status == 404
        asyncio.run(refuse(node))
        register(node, server_id="eu-1", control_url="http://127.0.0.1:9")
        unreachable = eventually(lambda: ask(command).json.get("last_error"))
        assert "nothing answers" in unreachable
        eventually(lambda: ask(command).status == 404)
        assert "server_lost" in node.log


def test_a_server_cannot_register(node: Node) -> None:
    (command,) = calls(PAGE, "command: refused registration", node)
    refused = ask(command)
    assert refused.status == 422
    assert "MATCH_SERVER_NETWORKS" in refused.json["detail"]
    assert "registration_refused" in node.log


def test_players_are_refused(node: Node) -> None:
    (command,) = calls(PAGE, "command: refused player", node)
    refused = ask(command)
    assert refused.status == 403
    assert "MATCH_ALLOWED_ORIGINS" in refused.json["detail"]
    assert "origin_refused" in node.log


def test_not_ready(tmp_path: Path) -> None:
    with RedisServer() as redis, Node(tmp_path, redis.url) as node:
        (command,) = calls(PAGE, "command: not ready", node)
        assert ask(command).json["warnings"] == []
        redis.kill()
        gone = eventually(lambda: (told := ask(command)).status == 503 and told)
        assert "Redis" in gone.json["detail"]
        node.stop()


def test_matches_are_cancelled(tmp_path: Path, redis_url: str, prefix: str) -> None:
    async def load_too_slowly(node: Node) -> None:
        async with FakeServer(node), players_on(node, "ann", "bob") as (ann, bob):
            await queue_all([ann, bob])
            await ann.load()
            await ann.expect("match_cancelled", reason="loading_timeout")
            await bob.expect("start_loading")
            await bob.expect("dequeued", reason="loading_timeout")

    with Node(tmp_path, redis_url, prefix, loading_timeout_seconds=0.3) as node:
        asyncio.run(load_too_slowly(node))
        (command,) = calls(PAGE, "command: cancelled", node)
        eventually(lambda: 'match_cancelled_total{reason="loading_timeout"} 1.0' in ask(command).text)
        assert "match_cancelled" in node.log


def test_a_restart_loses_everything(tmp_path: Path) -> None:
    with Node(tmp_path, "embedded://") as node:
        assert len(answer(node, "command: lost")["nodes"]) == 1
        assert "redis_url=embedded://" in node.log


def test_what_the_page_names_exists() -> None:
    text = read(PAGE)
    named = set(re.findall(r"`([a-z_]+)` in (?:the log|`node_started`)", text)) | {
        "queue_blocked",
        "session_not_created",
    }
    assert named - {"redis_url"} <= events_logged()
    assert set(re.findall(r"\bMATCH_[A-Z_]+\b", text)) <= {variable(name) for name in Settings.model_fields}
    assert {int(code) for code in re.findall(r"close code (\d+)", text)} <= {int(code) for code in CloseCode}
