"""The log at `info` answers whoever is on call: why a match was cancelled, why a player left, who changed what."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

import match_server
from tests.shared.fake_server import FakeServer, Reply, answering
from tests.shared.node import LoggingNode, Node, Process
from tests.shared.player import MODE, player_on, players_on, queue_all


@pytest.fixture
def node(tmp_path: Path, redis_url: str, prefix: str) -> Iterator[LoggingNode]:
    with LoggingNode(tmp_path, redis_url, prefix) as node:
        yield node


def test_the_first_line_says_what_was_started(tmp_path: Path, redis_url: str, prefix: str) -> None:
    (tmp_path / ".env").write_text("MATCH_LOADING_TIMEOUT_SECONDS=17\n")
    modes = tmp_path / "modes.toml"
    modes.write_text("tick_seconds = 0.2\n[game_modes]\nDuel = 2\n")
    key = "s3cret" * 6
    variables = {"MATCH_OF_THE_DAY": "1"}
    with LoggingNode(tmp_path, redis_url, prefix, config=modes, admin_key=key, variables=variables) as node:
        first = node.lines()[0]
        del first["time"]
        assert first == {
            "level": "info",
            "event": "node_started",
            "node": first["node"],
            "version": match_server.__version__,
            "address": f"127.0.0.1:{node.port}",
            "admin_address": f"127.0.0.1:{node.port}",
            "redis_url": redis_url,
            "game_modes": {"Duel": 2},
            "settings_files": [".env", str(modes)],
            "settings": {
                "port": 0,
                "key_prefix": prefix,
                "tick_seconds": 0.2,
                "loading_timeout_seconds": 17.0,
                "admin_key": "**********",
            },
        }
        assert {line["node"] for line in node.lines()} == {first["node"]}
        assert node.lines("unknown_setting")
        assert key not in node.log
        assert node.output == "", "the banner is for people"


def test_lists_look_the_same_to_people_as_in_json(tmp_path: Path, redis_url: str, prefix: str) -> None:
    async def journey(node: Node) -> None:
        async with FakeServer(node), players_on(node, "ann", "bob") as players:
            await queue_all(players)
            await players[0].expect("start_loading")
            await players[0].send("dequeue")
            await asyncio.to_thread(node.wait_for_log, f"at_fault=['{players[0].player_id}']")

    with Node(tmp_path, redis_url, prefix) as node:
        asyncio.run(journey(node))


def test_workers_log_json_alone(tmp_path: Path, redis_url: str, prefix: str) -> None:
    options = ("--workers", "2", "--log-format", "json")
    with Process(tmp_path, "match_server", *options, port=0, redis_url=redis_url, key_prefix=prefix) as parent:
        parent.wait_for_log('"event": "workers_ready"')
        assert parent.stop() == 0
        assert all(line.startswith("{") for line in parent.log.splitlines())
        assert parent.output == ""


def test_why_a_player_left_and_its_match_was_cancelled(node: LoggingNode) -> None:
    async def journey() -> str:
        async with FakeServer(node), players_on(node, "ann", "bob") as (ann, bob):
            await queue_all([ann, bob])
            session: str = (await ann.expect("start_loading"))["loading_session_id"]
            await ann.send("dequeue")
            await bob.expect("start_loading")
            await bob.expect("match_cancelled")
            left.append(ann.player_id)
            return session

    left: list[str] = []
    session = asyncio.run(journey())
    fields = {"loading_session_id": session, "game_mode": MODE}
    node.wait_for_line("player_dequeued", player_id=left[0], reason="requested", **fields)
    node.wait_for_line("match_cancelled", reason="player_left", at_fault=left, requeued=1, **fields)


def test_a_match_that_its_only_server_fails_is_not_said_to_have_found_no_slot(
    tmp_path: Path, redis_url: str, prefix: str
) -> None:
    async def journey(node: LoggingNode) -> None:
        fails = answering(Reply(500, {"detail": "the disk is full"}))
        async with FakeServer(node, answer=fails) as server, players_on(node, "ann", "bob") as players:
            await queue_all(players)
            await asyncio.gather(*(player.load() for player in players))
            line = await asyncio.to_thread(node.wait_for_line, "allocation_failed")
            assert (line["reason"], set(line["server_ids"])) == ("no_other_slot", {server.server_id})
            assert "the disk is full" in node.lines("session_not_created")[0]["error"]

    with LoggingNode(tmp_path, redis_url, prefix, allocation_wait_seconds=0.1) as node:
        asyncio.run(journey(node))


def test_a_player_whose_grace_has_ended_is_said_to_have_left(tmp_path: Path, redis_url: str, prefix: str) -> None:
    async def journey(node: Node) -> str:
        async with player_on(node, "ann") as ann:
            await ann.queue()
            await ann.drop()
            return ann.player_id

    with LoggingNode(tmp_path, redis_url, prefix, reconnect_grace_seconds=0.1) as node:
        ann = asyncio.run(journey(node))
        node.wait_for_line("player_held", player_id=ann)
        node.wait_for_line("player_dequeued", player_id=ann, reason="disconnected", loading_session_id=None)


def test_who_paused_what(node: LoggingNode) -> None:
    for call in ("pause", "resume"):
        assert node.http.post(f"/queues/{MODE}/{call}").status_code == 200
    assert node.lines("queue_paused")[0]["peer"] == "127.0.0.1"
    assert node.lines("queue_resumed")[0]["game_mode"] == MODE


def test_why_a_server_cannot_register(node: LoggingNode) -> None:
    body = {"control_url": "http://198.51.100.7:1", "address": "a", "capacity": 1}
    assert node.http.post("/servers", json=body).status_code == 422
    (line,) = node.lines("registration_refused")
    assert (line["status"], line["level"]) == (422, "warning")
    assert "MATCH_SERVER_NETWORKS" in line["reason"]


@pytest.mark.parametrize(
    ("server", "reason"),
    [({"capacity": 1, "active_sessions": ["busy"]}, "no_free_slot"), ({"game_modes": ["Other"]}, "no_server_for_mode")],
    ids=["full", "none"],
)
@pytest.mark.parametrize("mode", ["Other_1v1 = 2", "Other_1v1 = { players = 2, rules = [] }"], ids=["random", "rules"])
def test_why_nobody_gets_a_match(
    tmp_path: Path, redis_url: str, prefix: str, server: dict[str, Any], reason: str, mode: str
) -> None:
    modes = tmp_path / "modes.toml"
    modes.write_text(f"[game_modes]\nOther = 2\n{mode}\n")

    async def journey(node: LoggingNode) -> None:
        async with FakeServer(node, **server), players_on(node, "ann", "bob", "cid") as players:
            for player in players:
                await player.queue("Other_1v1")
            line = await asyncio.to_thread(node.wait_for_line, "queue_blocked")
            assert (line["game_mode"], line["blocked_by"]) == ("Other_1v1", reason)
            assert line["waiting"] >= 2

    with LoggingNode(tmp_path, redis_url, prefix, config=modes) as node:
        asyncio.run(journey(node))
        assert len(node.lines("queue_blocked")) == 1, "at once, and then each minute"


def test_why_a_player_cannot_come_in(tmp_path: Path, redis_url: str, prefix: str) -> None:
    async def journey(node: LoggingNode) -> str:
        async with player_on(node, "ann") as ann:
            await ann.enqueue("Nope")
            await ann.refused("invalid_game_mode")
            await ann.link.send(b"binary")
            await ann.refused("invalid_message")
            return ann.player_id

    with LoggingNode(tmp_path, redis_url, prefix) as node:
        ann = asyncio.run(journey(node))
        line = node.wait_for_line("player_refused", code="invalid_game_mode", player_id=ann)
        assert "Normal_1v1" in line["reason"]
        node.wait_for_line("player_refused", code="invalid_message")
        counted = node.http.get("/metrics").text
        assert 'match_refusals_total{code="invalid_game_mode",kind="message"} 1.0' in counted


def test_a_page_of_another_origin_is_told_the_setting_and_logged_once(node: LoggingNode) -> None:
    async def enter(origin: str) -> None:
        with pytest.raises(InvalidStatus) as refused:
            async with player_on(node, origin=origin):
                pass
        assert refused.value.response.status_code == 403
        assert b"MATCH_ALLOWED_ORIGINS" in refused.value.response.body

    for origin in ("http://localhost:3000", "http://localhost:3000", "https://game.example"):
        asyncio.run(enter(origin))
    assert [line["origin"] for line in node.lines("origin_refused")] == [
        "http://localhost:3000",
        "https://game.example",
    ]
    assert 'match_refusals_total{code="403",kind="handshake"} 3.0' in node.http.get("/metrics").text


def test_a_token_that_is_wrong_is_said_in_words(tmp_path: Path, redis_url: str, prefix: str) -> None:
    async def enter(node: LoggingNode) -> None:
        async with player_on(node, additional_headers={"Authorization": "Bearer nonsense"}) as player:
            await player.refused("unauthorized")

    with LoggingNode(tmp_path, redis_url, prefix, player_key="k" * 32) as node:
        asyncio.run(enter(node))
        assert node.wait_for_line("player_refused", code="unauthorized")["reason"]
        assert "nonsense" not in node.log


def test_nodes_with_different_modes_say_so(tmp_path: Path, redis_url: str, prefix: str) -> None:
    settings = {"node_lease_seconds": 1}
    with LoggingNode(tmp_path, redis_url, prefix, **settings) as one:
        with LoggingNode(tmp_path, redis_url, prefix, game_modes=f"{MODE}:10", **settings) as two:
            other = two.lines("node_started")[0]["node"]
            one.wait_for_line("modes_differ", nodes=[other])
            two.wait_for_line("modes_differ", nodes=[one.lines("node_started")[0]["node"]])
            assert [other in warning for warning in one.get("/readyz")["warnings"]] == [False, True]
            assert "match_modes_differ 1.0" in one.http.get("/metrics").text
            hashes = {row["modes_hash"] for row in one.get("/nodes")["nodes"]}
            assert len(hashes) == 2
        one.wait_for_line("modes_agree")
        (warning,) = one.get("/readyz")["warnings"]
        assert f"{MODE}: the rules of this node (revision 0) are not the pool's" in warning, "the last start's hold"
