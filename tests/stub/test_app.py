import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from dedicated_server_stub.app import create_app
from dedicated_server_stub.call_tokens import CallTokens
from dedicated_server_stub.faults import CallFault, Faults
from dedicated_server_stub.hosting import Host
from dedicated_server_stub.join_tokens import PublishedKeys
from dedicated_server_stub.options import FaultOptions
from dedicated_server_stub.rooms.registry import Rooms
from dedicated_server_stub.rooms.room import RoomSettings
from dedicated_server_stub.sessions import SessionRegistry
from tests.stub.room_stub import Pool, any_calls, any_operators

BASE = "ws://127.0.0.1:7777"
A, B, C = (f"{letter * 8}-0000-4000-8000-000000000000" for letter in "abc")


@asynccontextmanager
async def server(
    *, capacity: int = 2, batch: bool = True, faults: Faults | None = None, calls: CallTokens | None = None
) -> AsyncIterator[tuple[httpx.AsyncClient, Host]]:
    sessions = SessionRegistry(capacity=capacity, limit_seconds=None, clock=lambda: 0.0)
    host = Host(sessions, Rooms(RoomSettings(), address=BASE), report_end=lambda *_: None)
    app = create_app(
        host,
        faults or Faults(FaultOptions()),
        calls or any_calls(),
        any_operators(Rooms(RoomSettings())),
        server_id="stub-1",
        batch=batch,
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://stub") as client:
        yield client, host


def run(scenario: Callable[[httpx.AsyncClient, Host], Awaitable[None]], **options: Any) -> None:
    async def with_server() -> None:
        async with asyncio.timeout(10), server(**options) as (client, host):
            await scenario(client, host)

    asyncio.run(with_server())


class NoticedHold(Faults):
    """Says when it holds an answer back."""

    def __init__(self, options: FaultOptions) -> None:
        super().__init__(options)
        self.holding = asyncio.Event()

    async def hold(self, fault: CallFault) -> None:
        self.holding.set()
        await super().hold(fault)


def body(session_id: str) -> dict[str, Any]:
    return {"session_id": session_id, "game_mode": "duel", "players": ["ann", "bob"]}


def entry(key: str, session_id: str) -> dict[str, Any]:
    return {"idempotency_key": key, **body(session_id)}


def test_a_create_is_answered_201_and_its_repeat_200() -> None:
    async def scenario(client: httpx.AsyncClient, host: Host) -> None:
        key = {"Idempotency-Key": "k"}
        first = await client.post("/session/create", json=body(A), headers=key)
        repeat = await client.post("/session/create", json=body(B), headers=key)
        host.end(A)
        late = await client.post("/session/create", json=body(A), headers=key)

        assert [first.status_code, repeat.status_code, late.status_code] == [201, 200, 200]
        assert first.json() == {"session_id": A, "server_address": f"{BASE}/play/{A}"}
        assert repeat.json() == late.json() == first.json()

    run(scenario)


def test_a_signed_call_again_with_another_key_makes_no_other_session() -> None:
    pool = Pool()
    signed = json.dumps(body(A)).encode()

    async def scenario(client: httpx.AsyncClient, host: Host) -> None:
        async def call(key: dict[str, str]) -> int:
            headers = {"Authorization": f"Bearer {pool.signing.call_token('stub-1', signed)}", **key}
            return (await client.post("/session/create", content=signed, headers=headers)).status_code

        assert await call({"Idempotency-Key": A}) == 201
        host.end(A)
        assert await call({"Idempotency-Key": B}) == 401
        assert (await call({"Idempotency-Key": A}), await call({})) == (200, 200)
        assert host.sessions.created == 1

    run(scenario, calls=CallTokens(PublishedKeys(pool.publish), server_id="stub-1", required=True))


def test_without_a_key_the_session_id_is_the_key() -> None:
    async def scenario(client: httpx.AsyncClient, host: Host) -> None:
        statuses = [(await client.post("/session/create", json=body(A))).status_code for _ in range(2)]
        assert statuses == [201, 200]

    run(scenario)


@pytest.mark.parametrize(
    ("prepare", "session_id", "status", "error"),
    [
        (lambda host: None, B, 503, "full"),
        (lambda host: None, A, 409, "conflict"),
        (lambda host: setattr(host.sessions, "draining", True), B, 503, "draining"),
    ],
)
def test_a_refusal_is_a_problem_document(
    prepare: Callable[[Host], None], session_id: str, status: int, error: str
) -> None:
    async def scenario(client: httpx.AsyncClient, host: Host) -> None:
        await client.post("/session/create", json=body(A))
        prepare(host)
        refused = await client.post("/session/create", json=body(session_id), headers={"Idempotency-Key": "another"})
        assert refused.status_code == status
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["error"] == error

    run(scenario, capacity=1)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"players": ["ann", "not an id"]}, "players.1"),
        ({"players": []}, "players"),
        ({"players": "ann"}, "players"),
        ({"session_id": 7}, "session_id"),
        ({"game_mode": ""}, "game_mode"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], field: str) -> None:
    async def scenario(client: httpx.AsyncClient, host: Host) -> None:
        single = await client.post("/session/create", json=body(A) | change)
        batch = await client.post("/sessions/create", json={"sessions": [entry("k", B), entry("l", A) | change]})

        assert [single.status_code, batch.status_code] == [422, 422]
        assert single.json()["field"] == field
        assert batch.json()["field"] == f"sessions.1.{field}"
        assert len(host.sessions) == 0

    run(scenario)


def test_bodies_that_are_no_create_are_refused() -> None:
    async def scenario(client: httpx.AsyncClient, host: Host) -> None:
        for path in ("/session/create", "/sessions/create"):
            assert (await client.post(path, content=b"{nonsense")).status_code == 400
            assert (await client.post(path, content=b"\xff")).status_code == 400
            assert (await client.post(path, json=[])).status_code == 422
            too_big = await client.post(path, content=b" " * (1024 * 1024 + 1))
            assert too_big.status_code == 413
        long_key = await client.post("/session/create", json=body(A), headers={"Idempotency-Key": "k" * 129})
        assert long_key.status_code == 422
        assert long_key.json()["field"] == "Idempotency-Key"
        too_many = {"sessions": [entry(str(number), str(number)) for number in range(65)]}
        assert (await client.post("/sessions/create", json=too_many)).status_code == 422
        assert (await client.get("/session/create")).status_code == 405
        unknown = await client.get("/nowhere")
        assert unknown.status_code == 404
        assert unknown.headers["content-type"] == "application/problem+json"

    run(scenario)


def test_a_batch_is_answered_entry_by_entry() -> None:
    async def scenario(client: httpx.AsyncClient, host: Host) -> None:
        entries = [entry("k", A), entry("l", B), entry("k", A), entry("m", C)]
        answer = await client.post("/sessions/create", json={"sessions": entries})

        assert answer.status_code == 200
        assert answer.json()["sessions"] == [
            {"idempotency_key": "k", "session_id": A, "server_address": f"{BASE}/play/{A}"},
            {"idempotency_key": "l", "session_id": B, "server_address": f"{BASE}/play/{B}"},
            {"idempotency_key": "k", "session_id": A, "server_address": f"{BASE}/play/{A}"},
            {"idempotency_key": "m", "error": "full"},
        ]

    run(scenario)


def test_without_batch_there_is_no_batch_call() -> None:
    async def scenario(client: httpx.AsyncClient, host: Host) -> None:
        answer = await client.post("/sessions/create", json={"sessions": [entry("k", A)]})
        assert answer.status_code == 404

    run(scenario, batch=False)


def test_operators_see_sessions_and_counters() -> None:
    async def scenario(client: httpx.AsyncClient, host: Host) -> None:
        entries = [entry("k", A), entry("l", B), entry("m", C)]
        await client.post("/sessions/create", json={"sessions": entries})
        host.end(A)

        assert (await client.get("/sessions")).json() == {
            "server_id": "stub-1",
            "capacity": 2,
            "draining": False,
            "created": 2,
            "ended": 1,
            "refused": {"full": 1},
            "sessions": [{**body(B), "present": [], "seconds_left": None}],
        }
        assert (await client.get("/healthz")).json() == {"status": "ok"}

    run(scenario)


def test_a_failing_server_creates_nothing() -> None:
    async def scenario(client: httpx.AsyncClient, host: Host) -> None:
        single = await client.post("/session/create", json=body(A))
        batch = await client.post("/sessions/create", json={"sessions": [entry("k", B)]})
        assert [single.status_code, batch.status_code] == [500, 500]
        assert len(host.sessions) == 0

    run(scenario, faults=Faults(FaultOptions(fail_rate=1)))


def test_a_refusing_server_has_room_all_the_same() -> None:
    async def scenario(client: httpx.AsyncClient, host: Host) -> None:
        single = await client.post("/session/create", json=body(A))
        batch = await client.post("/sessions/create", json={"sessions": [entry("k", B)]})
        assert single.status_code == 503
        assert batch.json() == {"sessions": [{"idempotency_key": "k", "error": "refused"}]}
        assert len(host.sessions) == 0

    run(scenario, faults=Faults(FaultOptions(refuse_rate=1)))


def test_a_hanging_server_creates_and_keeps_silent() -> None:
    faults = NoticedHold(FaultOptions(hang_rate=1))

    async def scenario(client: httpx.AsyncClient, host: Host) -> None:
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(client.post("/session/create", json=body(A)))
            await faults.holding.wait()
            assert host.sessions.live_ids() == [A]
            assert not call.done()
            faults.release()
        assert call.result().status_code == 201

    run(scenario, faults=faults)


@pytest.mark.parametrize("path", ["/session/create", "/sessions/create"])
def test_a_caller_that_dies_while_it_asks_makes_no_session_and_no_traceback(path: str) -> None:
    """Found by the soak (seed 404): a node was killed within its POST."""
    sent: list[Any] = []
    parts = [{"type": "http.request", "body": b'{"sess', "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return parts.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    async def scenario() -> None:
        sessions = SessionRegistry(capacity=2, limit_seconds=None, clock=lambda: 0.0)
        host = Host(sessions, Rooms(RoomSettings(), address=BASE), report_end=lambda *_: None)
        app = create_app(
            host,
            Faults(FaultOptions()),
            any_calls(),
            any_operators(Rooms(RoomSettings())),
            server_id="stub-1",
            batch=True,
        )
        scope = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""}
        await app(scope, receive, send)
        assert sent[0]["status"] == 400
        assert sessions.created == 0

    asyncio.run(scenario())
