import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import respx
from structlog.testing import capture_logs

from dedicated_server_stub.backoff import Backoff
from dedicated_server_stub.hosting import Host
from dedicated_server_stub.match_server_client import MatchServerClient, open_http
from dedicated_server_stub.registrar import Registrar, RegistrationError
from dedicated_server_stub.rooms.registry import Rooms
from dedicated_server_stub.rooms.room import RoomSettings
from dedicated_server_stub.sessions import SessionRegistry

URL = "http://match.test"
REGISTRATION = {"server_id": "stub-1", "incarnation": "i-1", "capacity": 5}
Answers = Callable[["Call"], httpx.Response | Exception]


class Call:
    """One call of the registrar's: what it was, and the body."""

    def __init__(self, request: httpx.Request) -> None:
        self.name = f"{request.method} {request.url.path}"
        self.node = f"{request.url.scheme}://{request.url.host}"
        self.body: Any = json.loads(request.content) if request.content else None
        self.authorization = request.headers.get("authorization")


REGISTER = "POST /servers"
HEARTBEAT = "PUT /servers/stub-1/heartbeat"
LEAVE = "DELETE /servers/stub-1"


def ordinary(call: Call) -> httpx.Response:
    if call.name == REGISTER:
        return httpx.Response(201, json={"server_id": "stub-1", "heartbeat_seconds": 0.001, "lease_seconds": 15})
    return httpx.Response(200, json={"end": []}) if call.name == HEARTBEAT else httpx.Response(204)


class Rig:
    """A registrar against scripted answers; `next` waits for its next call."""

    def __init__(self, answers: Answers, nodes: Sequence[str] = (URL,)) -> None:
        self._answers = answers
        self._nodes = nodes
        self._calls: asyncio.Queue[Call] = asyncio.Queue()
        self.ended: list[str] = []
        self.announced = 0
        sessions = SessionRegistry(capacity=5, limit_seconds=None, clock=lambda: 0.0)
        self.host = Host(
            sessions, Rooms(RoomSettings()), report_end=lambda session_id, _result: self.ended.append(session_id)
        )

    def create(self, name: str) -> None:
        self.host.sessions.create(key=name, session_id=name, game_mode="duel", players=("ann",))

    async def next(self, name: str | None = None) -> Call:
        while True:
            call = await self._calls.get()
            if name in {None, call.name}:
                return call

    def called(self, name: str) -> bool:
        """Whether there was a call of this name that nobody has waited for."""
        return any(self._calls.get_nowait().name == name for _ in range(self._calls.qsize()))

    def _announce(self) -> None:
        self.announced += 1

    def _answer(self, request: httpx.Request) -> httpx.Response:
        call = Call(request)
        self._calls.put_nowait(call)
        answer = self._answers(call)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Registrar]:
        async with asyncio.timeout(10), open_http("s3cret") as http:
            with respx.mock() as router:
                router.route().mock(side_effect=self._answer)
                registrar = Registrar(
                    MatchServerClient(http, self._nodes),
                    self.host,
                    server_id="stub-1",
                    registration=REGISTRATION,
                    on_registered=self._announce,
                    backoff=Backoff(first_seconds=0.001, cap_seconds=0.001),
                )
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(registrar.run())
                    yield registrar
                    registrar.leave()


def test_it_registers_then_heartbeats_then_leaves() -> None:
    async def scenario() -> None:
        rig = Rig(ordinary)
        rig.create("before")
        async with rig.running():
            registered = await rig.next()
            assert registered.name == REGISTER
            assert registered.body == {**REGISTRATION, "active_sessions": ["before"]}
            assert registered.authorization == "Bearer s3cret"
            heartbeat = await rig.next()
            assert heartbeat.name == HEARTBEAT
            assert heartbeat.body == {"incarnation": "i-1", "active_sessions": ["before"], "draining": False}
            assert rig.announced == 1
        await rig.next(LEAVE)

    asyncio.run(scenario())


def test_each_heartbeat_lists_the_sessions_of_its_own_moment() -> None:
    async def scenario() -> None:
        rig = Rig(ordinary)
        async with rig.running():
            await rig.next(HEARTBEAT)
            rig.create("a")
            assert (await rig.next(HEARTBEAT)).body["active_sessions"] == ["a"]
            rig.host.end("a")
            assert (await rig.next(HEARTBEAT)).body["active_sessions"] == []

    asyncio.run(scenario())


def test_sessions_the_match_server_does_not_know_are_ended() -> None:
    def answers(call: Call) -> httpx.Response:
        if call.name == HEARTBEAT and "lost" in call.body["active_sessions"]:
            return httpx.Response(200, json={"end": ["lost", "unheard-of"]})
        return ordinary(call)

    async def scenario() -> None:
        rig = Rig(answers)
        rig.create("lost")
        rig.create("kept")
        async with rig.running():
            await rig.next(HEARTBEAT)
            assert (await rig.next(HEARTBEAT)).body["active_sessions"] == ["kept"]
        assert rig.ended == ["lost"]

    asyncio.run(scenario())


def test_a_forgotten_server_registers_again_with_its_sessions() -> None:
    forgotten = iter([httpx.Response(404)])

    def answers(call: Call) -> httpx.Response:
        return next(forgotten, ordinary(call)) if call.name == HEARTBEAT else ordinary(call)

    async def scenario() -> None:
        rig = Rig(answers)
        rig.create("a")
        async with rig.running():
            first = await rig.next(REGISTER)
            await rig.next(HEARTBEAT)
            again = await rig.next()
            assert again.name == REGISTER
            assert again.body == first.body
            await rig.next(HEARTBEAT)
        assert rig.announced == 1

    asyncio.run(scenario())


def test_it_waits_for_a_match_server_that_is_not_up_yet_and_logs_it_once() -> None:
    outage: list[httpx.Response | Exception] = [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("late"),
        httpx.Response(503),
        httpx.Response(201, text="<html>some other server</html>"),
    ]

    def answers(call: Call) -> httpx.Response | Exception:
        return outage.pop(0) if outage else ordinary(call)

    async def scenario() -> None:
        rig = Rig(answers)
        with capture_logs() as logs:
            async with rig.running():
                await rig.next(HEARTBEAT)
        events = [line["event"] for line in logs]
        assert events == ["match_server_unavailable", "match_server_back", "unexpected_answer", "registered"]
        assert "s3cret" not in str(logs)
        assert rig.announced == 1

    asyncio.run(scenario())


def test_an_outage_between_heartbeats_passes() -> None:
    outage: list[httpx.Response | Exception] = [
        httpx.Response(500),
        httpx.ConnectError("refused"),
        httpx.Response(200, text="nonsense"),
    ]

    def answers(call: Call) -> httpx.Response | Exception:
        return outage.pop(0) if outage and call.name == HEARTBEAT else ordinary(call)

    async def scenario() -> None:
        rig = Rig(answers)
        async with rig.running():
            for _ in range(4):
                await rig.next(HEARTBEAT)
        assert not outage

    asyncio.run(scenario())


def test_a_refused_registration_ends_the_server_with_the_reason() -> None:
    def answers(_call: Call) -> httpx.Response:
        return httpx.Response(422, json={"detail": "control_url: outside the allowed networks"})

    async def scenario() -> None:
        async with Rig(answers).running():
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(scenario())
    assert raised.group_contains(RegistrationError, match="422.*outside the allowed networks")


def test_a_server_whose_id_another_process_has_taken_ends_with_the_reason_and_leaves_the_other_registered() -> None:
    calls = []

    def answers(call: Call) -> httpx.Response:
        calls.append(call.name)
        if call.name == HEARTBEAT:
            return httpx.Response(409, json={"detail": "another process has registered as stub-1"})
        return ordinary(call)

    async def scenario() -> None:
        async with Rig(answers).running():
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(scenario())
    assert raised.group_contains(RegistrationError, match="409.*another process has registered as stub-1")
    assert calls == [REGISTER, HEARTBEAT], "a DELETE would remove the other process"


def test_a_server_that_drains_leaves_its_id_to_the_process_that_takes_its_place() -> None:
    def answers(call: Call) -> httpx.Response:
        return httpx.Response(409) if call.name == HEARTBEAT else ordinary(call)

    async def scenario() -> None:
        rig = Rig(answers)
        rig.create("going-on")
        rig.host.start_draining()
        async with rig.running():
            await rig.next(HEARTBEAT)
        assert rig.host.sessions.live_ids() == ["going-on"]
        assert not rig.called(LEAVE), "that would remove the other process"

    asyncio.run(scenario())


def test_warnings_of_the_match_server_are_logged() -> None:
    def answers(call: Call) -> httpx.Response:
        if call.name == LEAVE:
            return ordinary(call)
        return httpx.Response(200, json={**ordinary(call).json(), "warnings": [f"{call.name} is odd"]})

    async def scenario() -> None:
        rig = Rig(answers)
        with capture_logs() as logs:
            async with rig.running():
                await rig.next(HEARTBEAT)
                await rig.next(HEARTBEAT)
        warned = [line["warning"] for line in logs if line["event"] == "match_server_warns"]
        assert warned[:2] == [f"{REGISTER} is odd", f"{HEARTBEAT} is odd"]

    asyncio.run(scenario())


def test_a_refused_registration_of_a_running_server_is_tried_again() -> None:
    script = [(HEARTBEAT, httpx.Response(404)), (REGISTER, httpx.Response(401))]

    def answers(call: Call) -> httpx.Response:
        return script.pop(0)[1] if script and script[0][0] == call.name else ordinary(call)

    async def scenario() -> None:
        rig = Rig(answers)
        async with rig.running():
            seen = [(await rig.next()).name for _ in range(5)]
        assert seen == [REGISTER, HEARTBEAT, REGISTER, REGISTER, HEARTBEAT]

    asyncio.run(scenario())


def test_a_drain_is_told_at_once() -> None:
    def answers(call: Call) -> httpx.Response:
        if call.name == REGISTER:
            return httpx.Response(201, json={"heartbeat_seconds": 3600})
        return ordinary(call)

    async def scenario() -> None:
        rig = Rig(answers)
        async with rig.running() as registrar:
            await rig.next(REGISTER)
            rig.host.start_draining()
            registrar.wake()
            assert (await rig.next()).body == {"incarnation": "i-1", "active_sessions": [], "draining": True}

    asyncio.run(scenario())


def test_a_server_that_never_got_through_still_takes_its_leave() -> None:
    async def scenario() -> None:
        rig = Rig(lambda _: httpx.ConnectError("refused"))
        async with rig.running() as registrar:
            await rig.next(REGISTER)
            registrar.leave()
            await rig.next(LEAVE)

    asyncio.run(scenario())


@pytest.mark.parametrize("how", [httpx.ConnectError("refused"), httpx.Response(503)], ids=["gone", "stopping"])
def test_it_goes_on_with_another_node(how: httpx.Response | Exception) -> None:
    nodes = ["http://a.test", "http://b.test"]
    down: set[str] = set()

    def answers(call: Call) -> httpx.Response | Exception:
        return how if call.node in down else ordinary(call)

    async def scenario() -> None:
        rig = Rig(answers, nodes)
        async with rig.running():
            first = (await rig.next(REGISTER)).node
            down.add(first)
            while (beat := await rig.next(HEARTBEAT)).node == first:
                pass
            assert {first, beat.node} == set(nodes)
            assert (await rig.next(HEARTBEAT)).node == beat.node, "and stays there"

    asyncio.run(scenario())
