"""The reports that sessions are over: a queue, and one call at a time for all that wait in it."""

import asyncio
import json
from typing import Any, TypeAlias

import structlog
from structlog.typing import FilteringBoundLogger

from dedicated_server_stub.backoff import Backoff
from dedicated_server_stub.match_server_client import MatchServerClient

_log: FilteringBoundLogger = structlog.get_logger()

PER_CALL = 1_000  # the most that the match server takes
RESULTS_PER_CALL = 250  # as large as they may be, they stay below the limit of its bodies
LONGEST_RESULT_BYTES = 16 * 1024  # of one, as the match server takes it
# What an outage may pile up. A report beyond is dropped: the heartbeat's list of sessions tells the same.
MAX_WAITING = 50_000

# A session, and the result of its game if somebody has played it.
_End: TypeAlias = tuple[str, dict[str, Any] | None]

# 204: done; 404: the match server does not know us; 400 and 422 would be the same the next time.
_FINAL = (204, 400, 404, 422)


class EndReporter:
    """Reports ends, each until the match server has it."""

    def __init__(
        self,
        client: MatchServerClient,
        *,
        server_id: str,
        max_waiting: int = MAX_WAITING,
        backoff: Backoff | None = None,
    ) -> None:
        self._client = client
        self._path = f"/servers/{server_id}/sessions/end"
        self._waiting: asyncio.Queue[_End] = asyncio.Queue(max_waiting)
        self._dropping = False
        self._backoff = backoff or Backoff()

    def add(self, session_id: str, result: dict[str, Any] | None = None) -> None:
        """Have the end of a session reported, with its game's result unless that is too long; returns at once."""
        if result is not None and _length(result) > LONGEST_RESULT_BYTES:
            _log.warning("result_left_out", session_id=session_id, bytes=_length(result))
            result = None
        if not self._waiting.full():
            self._waiting.put_nowait((session_id, result))
            self._dropping = False
        elif not self._dropping:
            self._dropping = True
            _log.warning("end_reports_dropped", waiting=self._waiting.qsize())

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            ended = [await self._waiting.get()]
            while len(ended) < PER_CALL and not self._waiting.empty():
                ended.append(self._waiting.get_nowait())
            without = [session_id for session_id, result in ended if result is None]
            if without:
                await self._report({"session_ids": without})
            with_result = [
                {"session_id": session_id, "result": result} for session_id, result in ended if result is not None
            ]
            for start in range(0, len(with_result), RESULTS_PER_CALL):
                await self._report({"sessions": with_result[start : start + RESULTS_PER_CALL]})
            for _ in ended:
                self._waiting.task_done()

    async def flush(self, seconds: float) -> None:
        """Wait until everything is reported, for some time at most."""
        try:
            async with asyncio.timeout(seconds):
                await self._waiting.join()
        except TimeoutError:
            _log.warning("end_reports_left", count=self._waiting.qsize())

    async def _report(self, body: dict[str, Any]) -> None:
        """Make one call, again and again until it is answered for good."""
        while await self._client.call("POST", self._path, body, expected=_FINAL) is None:  # noqa: ASYNC110 - it is another program's
            await asyncio.sleep(self._backoff.next_seconds())
        self._backoff.reset()


def _length(result: dict[str, Any]) -> int:
    return len(json.dumps(result, separators=(",", ":"), ensure_ascii=False).encode())
