import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import respx
from structlog.testing import capture_logs

from dedicated_server_stub.backoff import Backoff
from dedicated_server_stub.match_server_client import MatchServerClient, open_http
from dedicated_server_stub.reports import LONGEST_RESULT_BYTES, PER_CALL, RESULTS_PER_CALL, EndReporter
from match_server.web.bodies import EndManyBody

URL = "http://match.test"


@asynccontextmanager
async def reporting(
    answer: Callable[[httpx.Request], Awaitable[httpx.Response]], *, max_waiting: int = 10_000
) -> AsyncIterator[EndReporter]:
    async with asyncio.timeout(20), open_http(None) as http:
        with respx.mock(base_url=URL) as router:
            router.route().mock(side_effect=answer)
            reporter = EndReporter(
                MatchServerClient(http, [URL]),
                server_id="stub-1",
                max_waiting=max_waiting,
                backoff=Backoff(first_seconds=0.001, cap_seconds=0.001),
            )
            async with asyncio.TaskGroup() as tasks:
                worker = tasks.create_task(reporter.run())
                yield reporter
                worker.cancel()


def test_a_burst_of_ends_takes_few_calls_one_at_a_time() -> None:
    async def scenario() -> None:
        at_once, most, calls = 0, 0, []

        async def answer(request: httpx.Request) -> httpx.Response:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0)
            at_once -= 1
            assert request.url.path == "/servers/stub-1/sessions/end"
            calls.append(json.loads(request.content)["session_ids"])
            return httpx.Response(204)

        sessions = [f"s-{number}" for number in range(PER_CALL + 200)]
        async with reporting(answer) as reporter:
            for session in sessions:
                reporter.add(session)
            await reporter.flush(10)
        assert most == 1
        assert [len(call) for call in calls] == [PER_CALL, 200]
        assert [session for call in calls for session in call] == sessions

    asyncio.run(scenario())


def test_results_go_with_many_ends_in_a_call_and_one_that_is_too_long_is_left_out() -> None:
    async def scenario() -> None:
        ends: list[object] = []
        calls = 0

        async def answer(request: httpx.Request) -> httpx.Response:
            nonlocal calls
            calls += 1
            assert request.url.path == "/servers/stub-1/sessions/end"
            body = EndManyBody.model_validate_json(request.content)
            ends.extend(body.session_ids)
            ends.extend((session.session_id, session.result) for session in body.sessions)
            return httpx.Response(204)

        played = [(f"s-{number}", {"scores": {"ann": number}}) for number in range(RESULTS_PER_CALL + 1)]
        async with reporting(answer) as reporter:
            reporter.add("nobody-came")
            for session, result in played:
                reporter.add(session, result)
            with capture_logs() as logs:
                reporter.add("too-long", {"text": "ä" * (LONGEST_RESULT_BYTES // 2)})
            await reporter.flush(10)
        assert calls == 3
        assert ends == ["nobody-came", "too-long", *played]
        assert [line["event"] for line in logs] == ["result_left_out"]

    asyncio.run(scenario())


def test_a_report_is_repeated_until_it_is_taken() -> None:
    async def scenario() -> None:
        answers: list[httpx.Response | Exception] = [
            httpx.ConnectError("refused"),
            httpx.Response(503),
            httpx.Response(401),
            httpx.Response(204),
        ]

        async def answer(_request: httpx.Request) -> httpx.Response:
            result = answers.pop(0)
            if isinstance(result, Exception):
                raise result
            return result

        async with reporting(answer) as reporter:
            reporter.add("s-1")
            await reporter.flush(10)
        assert not answers

    asyncio.run(scenario())


def test_a_report_of_an_unknown_server_is_not_repeated() -> None:
    async def scenario() -> None:
        calls = 0

        async def answer(_request: httpx.Request) -> httpx.Response:
            nonlocal calls
            calls += 1
            return httpx.Response(404)

        async with reporting(answer) as reporter:
            reporter.add("s-1")
            await reporter.flush(10)
        assert calls == 1

    asyncio.run(scenario())


def test_a_flush_gives_up_on_a_match_server_that_is_gone() -> None:
    async def scenario() -> None:
        async def answer(_request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("refused")

        async with reporting(answer) as reporter:
            reporter.add("s-1")
            with capture_logs() as logs:
                await reporter.flush(0.01)
            assert "end_reports_left" in [line["event"] for line in logs]

    asyncio.run(scenario())


def test_what_an_outage_piles_up_is_bounded() -> None:
    async def scenario() -> None:
        async def answer(_request: httpx.Request) -> httpx.Response:
            return httpx.Response(204)

        async with reporting(answer, max_waiting=2) as reporter:
            with capture_logs() as logs:
                for name in ("a", "b", "c", "d"):
                    reporter.add(name)
            assert [line["event"] for line in logs] == ["end_reports_dropped"]
            await reporter.flush(10)

    asyncio.run(scenario())
