"""The dashboard over HTTP: its page, sessions of operators, what other pages may not, and what it hears live."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from match_server.web import dashboard
from tests.shared.dashboard import FORM, csrf_of, log_in, next_of, stream_of, write_entry
from tests.shared.fake_server import FakeServer
from tests.shared.node import Node, eventually
from tests.shared.player import MODE, players_on, queue_all

OPERATE, READ, ADMIN = "operate-0123456789", "read-0123456789", "admin-0123456789"
PAUSE, RESUME = f"/queues/{MODE}/pause", f"/queues/{MODE}/resume"
READS = ["/queues", "/players", "/nodes", "/servers", "/dashboard/session", "/dashboard/live"]
PAGE = Path(dashboard.__file__).parent / "page"
KEYS: dict[str, Any] = {"admin_key": ADMIN, "admin_keys": f"ada:{OPERATE}:operate, grafana:{READ}:read"}


@pytest.fixture(scope="module")
def keyed(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("node"), redis_url, "{dashboard}:", **KEYS) as node:
        yield node


def test_the_page_is_whole_and_loads_nothing_from_elsewhere(keyed: Node) -> None:
    page = keyed.http.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert not re.search(r"<script>|<style|style=| on\w+=|https?:", page.text), "the policy forbids it"
    parts = re.findall(r'(?:href|src)="([^"]+)"', page.text)
    for name in PAGE.glob("*.js"):
        parts += [f"/{part}" for part in re.findall(r'from "\./(dashboard/[^"]+)"', name.read_text())]
        parts += [f"/dashboard/{part}" for part in re.findall(r'from "\./(\w+\.js)"', name.read_text())]
    assert {"/dashboard.js", "/dashboard.css"} < set(parts)
    assert {Path(part).name for part in parts} == {file.name for file in PAGE.iterdir()} - {"dashboard.html"}
    for part in {"/", *parts}:
        answer = keyed.http.get(part)
        assert answer.status_code == 200, part
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert "require-trusted-types-for 'script'" in policy
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_the_page_sets_text_only_as_text() -> None:
    for file in PAGE.glob("*.js"):
        sinks = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc|DOMParser"
        assert not re.search(sinks, file.read_text()), file.name


def test_players_do_not_reach_it_where_operators_have_a_listener(redis_url: str, prefix: str, tmp_path: Path) -> None:
    with Node(tmp_path, redis_url, prefix, admin_port=0) as node:
        public = node.ws.replace("ws://", "http://").removesuffix("/ws/")
        for path in ("/", "/dashboard.js", "/dashboard/session", "/dashboard/live"):
            assert httpx.get(public + path, trust_env=False).status_code == 404, path
        assert httpx.post(f"{public}/login", data={"key": "x"}, trust_env=False).status_code == 404
        assert node.http.get("/").status_code == 200


def test_without_a_key_nobody_logs_in(node: Node) -> None:
    session = node.get("/dashboard/session")
    assert (session["operator"], session["role"], session["can_log_out"]) == ("anybody", "operate", False)
    assert node.http.post("/login", data={"key": ""}).status_code in {401, 422}


def test_the_cookie_of_a_session(keyed: Node) -> None:
    assert keyed.http.get("/dashboard/session").status_code == 401
    for wrong in ("", "operate", OPERATE + "x"):
        refused = httpx.post(f"{keyed.base}/login", data={"key": wrong}, trust_env=False)
        assert refused.status_code in {401, 422}
        assert "set-cookie" not in refused.headers
    answer = httpx.post(f"{keyed.base}/login", data={"key": OPERATE}, trust_env=False)
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert "Secure" not in cookie
    assert OPERATE not in cookie
    assert OPERATE not in str(jwt.decode(answer.cookies["match_operator"], options={"verify_signature": False}))
    behind_tls = httpx.post(
        f"{keyed.base}/login", data={"key": OPERATE}, headers={"X-Forwarded-Proto": "https"}, trust_env=False
    )
    assert "Secure" in behind_tls.headers["set-cookie"]
    keyed.wait_for_log("operator_refused")
    keyed.wait_for_log("operator_logged_in")
    assert OPERATE not in keyed.log


def test_what_login_takes(keyed: Node) -> None:
    assert keyed.http.post("/login", json={"key": OPERATE}).status_code == 415
    assert keyed.http.post("/login", content=b"key=" + b"x" * 5000, headers=FORM).status_code == 413
    assert keyed.http.post("/login", content=b"\xff\xfe&&&=", headers=FORM).status_code == 422


def test_a_session_reads_and_changes_with_its_token_alone(keyed: Node) -> None:
    with log_in(keyed, OPERATE) as ada, log_in(keyed, ADMIN) as admin:
        for path in READS[:-1]:
            assert ada.get(path).status_code == 200, path
        for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "x" * 32}, csrf_of(admin)):
            refused = ada.post(PAUSE, headers=headers)
            assert refused.status_code == 403
            assert "X-CSRF-Token" in refused.json()["detail"]
        assert not ada.get(f"/queues/{MODE}").json()["paused"]
        assert ada.post(PAUSE, headers=csrf_of(ada)).status_code == 200
        assert ada.post(RESUME, headers=csrf_of(ada)).status_code == 200
        keyed.wait_for_log("by=ada")


def test_a_session_with_a_key_that_may_read_changes_nothing(keyed: Node) -> None:
    with log_in(keyed, READ) as grafana:
        session = grafana.get("/dashboard/session").json()
        assert (session["operator"], session["role"]) == ("grafana", "read")
        assert grafana.post(PAUSE, headers=csrf_of(grafana)).status_code == 403


def test_a_bearer_key_works_as_before_and_a_wrong_one_is_not_made_good_by_a_cookie(keyed: Node) -> None:
    with log_in(keyed, OPERATE) as ada:
        assert ada.get("/queues", headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert ada.get("/queues", headers={"Authorization": "Basic cHJveHk6cHJveHk="}).status_code == 200
        assert ada.post(RESUME, headers={"Authorization": f"Bearer {ADMIN}"}).status_code == 200
        assert ada.post(RESUME, headers={"Authorization": f"Bearer {READ}"}).status_code == 403
    refused = keyed.http.get("/metrics").text
    for status in (401, 403):
        assert f'match_refusals_total{{code="{status}",kind="operator"}}' in refused


def test_a_session_is_good_on_every_node_that_has_the_key_and_nowhere_else(
    keyed: Node, redis_url: str, prefix: str, tmp_path: Path
) -> None:
    replaced: dict[str, Any] = {"admin_keys": f"ada:{OPERATE}-new:operate"}
    with (
        log_in(keyed, OPERATE) as ada,
        Node(tmp_path, redis_url, "{dashboard}:", **KEYS) as another,
        Node(tmp_path, redis_url, prefix, **replaced) as later,
    ):
        cookies = {"match_operator": ada.cookies["match_operator"]}
        assert httpx.get(f"{another.base}/queues", cookies=cookies, trust_env=False).status_code == 200
        assert httpx.get(f"{later.base}/queues", cookies=cookies, trust_env=False).status_code == 401


def forged(ada: httpx.Client) -> dict[str, str]:
    good = ada.cookies["match_operator"]
    claims = jwt.decode(good, options={"verify_signature": False})
    header, body, signature = good.split(".")
    other = jwt.encode({**claims, "sub": "admin"}, OPERATE.ljust(32, "."), algorithm="HS256").split(".")[1]
    return {
        "nothing": "",
        "no token": "a.b.c",
        "alg none": jwt.encode(claims, "", algorithm="none"),
        "signed with the key itself": jwt.encode(claims, OPERATE.ljust(32, "\0"), algorithm="HS256"),
        "another's name": f"{header}.{other}.{signature}",
        "no signature": f"{header}.{body}.",
        "no label": jwt.encode({"sub": 7}, "x" * 32, algorithm="HS256"),
        "no such label": jwt.encode({**claims, "sub": "eve"}, "x" * 32, algorithm="HS256"),
    }


def test_no_forged_cookie_is_a_session(keyed: Node) -> None:
    with log_in(keyed, OPERATE) as ada:
        for name, cookie in forged(ada).items():
            answer = httpx.get(f"{keyed.base}/queues", headers={"Cookie": f"match_operator={cookie}"}, trust_env=False)
            assert answer.status_code == 401, name


def test_logging_out_takes_the_cookie_away(keyed: Node) -> None:
    with log_in(keyed, OPERATE) as ada:
        assert ada.post("/logout").status_code == 204
        assert "match_operator" not in ada.cookies
        assert ada.get("/queues").status_code == 401


FOREIGN: list[dict[str, str]] = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_page_of_another_origin_reads_nothing_and_changes_nothing(
    keyed: Node, node: Node, headers: dict[str, str]
) -> None:
    with log_in(keyed, OPERATE) as ada, httpx.Client(base_url=node.base, trust_env=False) as anybody:
        for browser in (ada, anybody):
            token = csrf_of(browser)
            for path in READS:
                answer = browser.get(path, headers=headers)
                assert answer.status_code == 403, path
                assert "access-control-allow-origin" not in answer.headers
            for path in (PAUSE, RESUME, "/login", "/logout"):
                assert browser.post(path, headers=headers | token | FORM).status_code in {403, 415}, path
            preflight = browser.options("/queues", headers=headers | {"Access-Control-Request-Method": "GET"})
            assert preflight.status_code == 405


def test_a_link_on_another_page_may_lead_here(node: Node) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert node.http.get("/queues", headers=headers).status_code == 200
    assert node.http.get("/", headers=headers).status_code == 200


def test_without_a_key_a_name_of_somebody_else_leads_nowhere(node: Node, keyed: Node) -> None:
    """A page whose own name resolves to this machine is of the same origin as the node (DNS rebinding)."""
    for host in ("evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example"):
        page = {"Host": host}
        for path in READS:
            assert node.http.get(path, headers=page).status_code == 403, path
        posted = page | {"Origin": f"http://{host}", "Content-Type": "application/json"}
        assert node.http.post(PAUSE, headers=posted).status_code == 403
        registration = {"control_url": "http://127.0.0.1:9", "address": "a", "capacity": 1, "server_id": "p"}
        assert node.http.post("/servers", json=registration, headers=posted).status_code == 403
        assert keyed.http.get("/queues", headers=page | {"Authorization": f"Bearer {READ}"}).status_code == 200
    for host in ("localhost", f"localhost:{node.port}", "127.0.0.1", "[::1]:8080", "192.168.0.7:80", "pool.localhost"):
        assert node.http.get("/queues", headers={"Host": host}).status_code == 200, host


def test_a_page_hears_of_queues_servers_nodes_and_events(node: Node) -> None:
    async def story() -> None:
        async with FakeServer(node, name="s-1", capacity=7, region="eu"), players_on(node, "ann") as players:
            await queue_all(players)
            await asyncio.to_thread(look, players[0].player_id)

    def look(ann: str) -> None:
        with stream_of(node.http) as messages:
            assert set(next_of(messages, "points")) == {MODE}
            reading = next_of(messages, "reading")
            (queue,) = reading["queues"]
            assert (queue["game_mode"], queue["waiting"], queue["blocked_by"]) == (MODE, 1, "too_few_players")
            (server,) = reading["servers"]
            assert (server["server_id"], server["capacity"], server["region"]) == ("s-1", 7, "eu")
            (row,) = reading["nodes"]
            assert (row["connections"], row["players"], row["this"]) == (1, 1, True)
            assert reading["slots"] == {"free": 7, "reserved": 0, "active": 0}
            events = next_of(messages, "events")
            assert [each["type"] for each in events if each["subject"] == ann] == ["player.queued"]
            beaten = next(each for name, each in messages if name == "reading" and each["nodes"][0]["lag_seconds"])
            assert beaten["at"] > reading["at"]

    asyncio.run(story())
    (row,) = node.get("/nodes")["nodes"]
    assert row["mailbox"] is not None


def test_one_reading_serves_all_pages(node: Node) -> None:
    with (
        httpx.Client(base_url=node.base, trust_env=False) as another,
        stream_of(node.http) as first,
        stream_of(another) as second,
    ):
        moments = [{next_of(page, "reading")["at"] for _ in range(3)} for page in (first, second)]
    assert len(moments[0] & moments[1]) >= 2, moments


def test_events_of_every_kind_are_text(node: Node) -> None:
    """Ids and results come from outside. What a script would never write is written here past it."""
    hostile = "<script>alert(1)</script>"
    with stream_of(node.http) as messages:
        next_of(messages, "events")
        result = json.dumps({"x": hostile * 200})
        write_entry(node, f"player.queued\t{hostile}\t{MODE}\t0\t", f"session.ended\ts\td\treported\t{result}")
        write_entry(node, "no.such.type\tx")
        first, second = next(data for name, data in messages if name == "events" and data)
        assert first["subject"] == hostile
        ((name, text),) = [detail for detail in second["details"] if detail[0] == "result"]
        assert (name, len(text)) == ("result", 201)
        assert next_of(messages, "reading").get("problem") is None, "what cannot be read is left out"
    node.wait_for_log("event_not_readable")


def test_a_stream_needs_a_session(keyed: Node) -> None:
    assert keyed.http.get("/dashboard/live").status_code == 401
    with log_in(keyed, READ) as grafana, stream_of(grafana) as messages:
        assert next_of(messages, "reading")["queues_total"] == 1


def test_an_open_page_does_not_hold_up_a_stop(redis_url: str, prefix: str, tmp_path: Path) -> None:
    with Node(tmp_path, redis_url, prefix, stop_seconds=30) as node:
        with stream_of(node.http) as messages:
            next_of(messages, "reading")
            node.send_signal(15)
            for _ in messages:
                continue  # until the node ends the stream
        assert node.wait(within_seconds=15) == 0
        assert "Cancel" not in node.log


def test_each_pool_has_a_page_of_its_own(redis_url: str, prefix: str, tmp_path: Path) -> None:
    with Node(tmp_path, redis_url, prefix.strip("{}:") + ":", pools="eu,us") as node:
        assert node.get("/dashboard/session")["pool"] == "eu"
        assert node.get("/dashboard/session?pool=us")["pools"] == ["eu", "us"]
        body = {"server_id": "s1", "control_url": "http://127.0.0.1:1", "address": "a", "capacity": 1, "pool": "us"}
        assert node.http.post("/servers", json=body).status_code == 201

        def servers(query: str) -> Any:
            with stream_of(node.http, query) as messages:
                return [server["server_id"] for server in next_of(messages, "reading")["servers"]]

        assert servers("?pool=us") == ["s1"]
        assert servers("") == []
        assert node.http.get("/dashboard/live?pool=asia").status_code == 404


def test_without_redis_a_page_says_so(tmp_path: Path) -> None:
    with Node(tmp_path, "unix:///nowhere/redis.sock") as node, stream_of(node.http) as messages:
        reading = eventually(lambda: next_of(messages, "reading"))
        assert "Redis" in reading["problem"]
