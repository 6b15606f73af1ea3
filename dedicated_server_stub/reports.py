"""The reports that sessions are over: a queue and a few workers, however many sessions end at once."""

import asyncio
from collections.abc import Callable
from urllib.parse import quote

import structlog
from structlog.typing import FilteringBoundLogger

from dedicated_server_stub.backoff import Backoff
from dedicated_server_stub.match_server_client import MatchServerClient

_log: FilteringBoundLogger = structlog.get_logger()

WORKERS = 4
# What an outage may pile up. A report beyond is dropped: the heartbeat's list of sessions tells the same.
MAX_WAITING = 50_000

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
        new_backoff: Callable[[], Backoff] = Backoff,
    ) -> None:
        self._client = client
        self._path = f"/servers/{server_id}/sessions"
        self._waiting: asyncio.Queue[str] = asyncio.Queue(max_waiting)
        self._dropping = False
        self._new_backoff = new_backoff

    def add(self, session_id: str) -> None:
        """Have the end of a session reported; returns at once."""
        if not self._waiting.full():
            self._waiting.put_nowait(session_id)
            self._dropping = False
        elif not self._dropping:
            self._dropping = True
            _log.warning("end_reports_dropped", waiting=self._waiting.qsize())

    async def run(self) -> None:
        """Report until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(WORKERS):
                tasks.create_task(self._work())

    async def flush(self, seconds: float) -> None:
        """Wait until everything is reported, for some time at most."""
        try:
            async with asyncio.timeout(seconds):
                await self._waiting.join()
        except TimeoutError:
            _log.warning("end_reports_left", count=self._waiting.qsize())

    async def _work(self) -> None:
        backoff = self._new_backoff()
        while True:
            session_id = await self._waiting.get()
            while not await self._report(session_id):  # noqa: ASYNC110 - the event is another program's
                await asyncio.sleep(backoff.next_seconds())
            backoff.reset()
            self._waiting.task_done()

    async def _report(self, session_id: str) -> bool:
        path = f"{self._path}/{quote(session_id, safe='')}/end"
        return await self._client.call("POST", path, expected=_FINAL) is not None
