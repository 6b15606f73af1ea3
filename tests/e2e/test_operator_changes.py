"""What operators change, who may, and that the log says who did."""

import asyncio
import json
from collections.abc import Iterator

import httpx
import pytest

from tests.shared.fake_server import FakeServer, hang
from tests.shared.node import Node, run
from tests.shared.player import MODE, player_on, players_on, queue_all

OPERATE, READ, ADMIN = "operate-0123456789", "read-0123456789", "admin-0123456789"
ADA, GRAFANA = {"Authorization": f"Bearer {OPERATE}"}, {"Authorization": f"Bearer {READ}"}


@pytest.fixture(scope="module")
def keyed(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(
        tmp_path_factory.mktemp("node"),
        redis_url,
        "{changes}:",
        admin_key=ADMIN,
        admin_keys=f"ada:{OPERATE}:operate, grafana:{READ}:read",
    ) as node:
        yield node


def call(node: Node, method: str, path: str, headers: dict[str, str] = ADA) -> httpx.Response:
    return node.http.request(method, path, headers=headers)


CHANGES = [
    ("POST", f"/queues/{MODE}/pause"),
    ("POST", f"/queues/{MODE}/resume"),
    ("POST", f"/queues/{MODE}/clear"),
    ("DELETE", "/players/nobody/journey"),
    ("POST", "/servers/nobody/drain"),
]


@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_a_key_that_may_read_changes_nothing(keyed: Node, method: str, path: str) -> None:
    refused = call(keyed, method, path, GRAFANA)
    assert refused.status_code == 403
    assert refused.json()["detail"] == "the key grafana may only read; a change needs one with the role operate"
    assert call(keyed, method, path, {}).status_code == 401
    assert call(keyed, method, path).status_code in {200, 404}
    assert call(keyed, method, path, {"Authorization": f"Bearer {ADMIN}"}).status_code in {200, 404}


def test_every_key_may_look(keyed: Node) -> None:
    for path in ("/queues", "/players", "/nodes", "/servers"):
        assert call(keyed, "GET", path, GRAFANA).status_code == 200
        assert call(keyed, "GET", path).status_code == 200


def test_a_player_is_taken_out_of_its_queue(keyed: Node) -> None:
    async def take_out() -> None:
        async with player_on(keyed) as player:
            await player.queue()
            path = f"/players/{player.player_id}/journey"
            assert call(keyed, "DELETE", path).status_code == 204
            await player.expect("dequeued", reason="operator")
            assert call(keyed, "DELETE", path).status_code == 404
            await player.queue()  # it may come again
            await player.leave()
            assert f"player_id={player.player_id} state=queued" in keyed.log
            assert "by=ada" in keyed.log

    asyncio.run(take_out())


def test_a_player_whose_match_is_being_placed_stays(node: Node) -> None:
    async def take_out() -> None:
        async with FakeServer(node, answer=hang) as server, players_on(node, "ann", "bob") as players:
            await queue_all(players)
            for player in players:
                await player.load()
            await server.called(1)
            refused = node.http.delete(f"/players/{players[0].player_id}/journey")
            assert refused.status_code == 409
            assert refused.json()["state"] == "allocating"
            server.answer = server.accept
            for player in players:
                await player.expect("match_found")

    asyncio.run(take_out())


def test_a_queue_is_cleared(node: Node) -> None:
    async def clear() -> None:
        node.http.post("/queues/Trio/pause")
        node.http.post("/queues/Trio/resume")
        async with players_on(node, "ann", "bob") as (ann, bob):
            await ann.queue("Trio")
            await bob.queue("Trio")
            assert node.http.post("/queues/Trio/clear").json() == {"game_mode": "Trio", "removed": 2}
            for player in (ann, bob):
                await player.expect("dequeued", reason="operator")
        assert node.http.post("/queues/Trio/clear").json() == {"game_mode": "Trio", "removed": 0}
        assert node.http.post("/queues/Nothing/clear").status_code == 404
        misspelt = node.http.post("/queues/Trio/clear?pol=eu")  # it would be the queue of the first pool
        assert (misspelt.status_code, misspelt.json()["detail"]) == (422, "pol: no such parameter; expected pool")

    asyncio.run(clear())


def test_a_server_is_drained(node: Node) -> None:
    async def drain() -> None:
        async with FakeServer(node, answer=hang) as server:
            answer = node.http.post(f"/servers/{server.server_id}/drain")
            assert answer.json() == {"server_id": server.server_id, "state": "draining"}
            server.heartbeat(draining=False)
            assert server.row()["state"] == "draining"
        assert node.http.post("/servers/nobody/drain").status_code == 404

    asyncio.run(drain())


SETTINGS = {"game_modes": f"{MODE}:2,Trio:3"}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("ada", "number 1: expected label:key:role, the role read or operate"),
        ("ada:secret-1:operate,bob:secret-2:root", "number 2: expected label:key:role, the role read or operate"),
        ("ada::read", "number 1: expected label:key:role, the role read or operate"),
        ("ada:secret-1:read,ada:secret-2:operate", "number 2: the label ada is named twice"),
    ],
)
def test_keys_of_the_wrong_form_end_the_start_and_are_not_repeated(keyed: Node, value: str, reason: str) -> None:
    refused = run("match_server", folder=keyed.folder, admin_keys=value)
    assert (refused.returncode, refused.stderr) == (2, f"MATCH_ADMIN_KEYS: {reason}\n")


def test_no_key_stands_in_the_log(keyed: Node) -> None:
    for secret in (OPERATE, READ, ADMIN):
        assert secret not in keyed.log + keyed.output + json.dumps(call(keyed, "GET", "/nodes").json())
