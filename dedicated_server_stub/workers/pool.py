"""The parent's side of the workers: starts them, gives each session to one, and replaces one that dies.

The parent holds the listening socket of each worker. While a worker is being replaced its players wait at that socket,
and find their rooms, or the news of their end, at the same address.
"""

import asyncio
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger

from dedicated_server_stub.hosting import ReportEnd
from dedicated_server_stub.options import Options
from dedicated_server_stub.presence.interface import Presence
from dedicated_server_stub.presence.link_presence import Loan
from dedicated_server_stub.sessions import Session
from dedicated_server_stub.workers.link import CRASHED, Link, LinkBroken

_log: FilteringBoundLogger = structlog.get_logger()

PING_SECONDS = 1.0  # between two questions whether a worker is alive
ANSWER_SECONDS = 10.0  # one that takes longer is killed
START_SECONDS = 60.0  # likewise, until its first answer: it has to import everything
STOP_SECONDS = 2.0  # beyond the time for farewells, until a worker is killed
_FIRST_PAUSE_SECONDS = 0.5  # between two replacements that do not start
_LONGEST_PAUSE_SECONDS = 30.0


class WorkersFailed(Exception):
    """A worker did not even start; what it wrote says why."""


@dataclass(slots=True, eq=False)
class _Worker:
    """One place for a process, and the sessions that it has."""

    index: int
    listener: socket.socket
    address: str
    sessions: dict[str, Session] = field(default_factory=dict)
    opened: set[str] = field(default_factory=set)  # sessions that somebody has joined
    link: Link | None = None  # None: there is no process that takes sessions
    process: Process | None = None


class WorkerPool:
    """Where the rooms are when they are in workers.

    Args:
        options: of the server; each worker gets them.
        listeners: the socket of each worker, and the base of its address for players.
        presence: lent to workers that have none of their own.
    """

    def __init__(self, options: Options, listeners: Sequence[tuple[socket.socket, str]], presence: Presence) -> None:
        self._options = options
        self._presence = presence
        self._workers = [_Worker(index, listener, address) for index, (listener, address) in enumerate(listeners)]
        self._worker_of: dict[str, _Worker] = {}  # by session
        self._on_ended: ReportEnd = lambda *_: None
        self._all_serve = asyncio.Event()
        self._stopping = False

    async def run(self) -> None:
        """Run the workers until cancelled, or until `close` has ended them.

        Raises:
            WorkersFailed: one did not start, the first time.
        """
        async with asyncio.TaskGroup() as tasks:
            for worker in self._workers:
                tasks.create_task(self._keep(worker))

    async def started(self) -> None:
        """Wait until all workers serve."""
        await self._all_serve.wait()

    # --- as the host sees it ---

    def report_to(self, *, over: Callable[[str], None], ended: ReportEnd) -> None:  # noqa: ARG002 - workers end games
        """Name whom to tell what has come of a session."""
        self._on_ended = ended

    async def prepare(self, session: Session) -> None:
        """Give a session to the worker that has the fewest, and wait until that knows it.

        A worker that is being replaced gets its sessions as it starts, before it takes players.
        """
        worker = self._worker_of.get(session.session_id)
        if worker is None:
            worker = min(self._workers, key=lambda worker: (worker.link is None, len(worker.sessions)))
            self._worker_of[session.session_id] = worker
            worker.sessions[session.session_id] = session
        if worker.link is not None:
            with suppress(LinkBroken):
                await self._hand_over(worker, worker.link, [session.session_id])

    def address(self, session_id: str) -> str:
        """Where the players of a session connect; for one that is over, where they are told so."""
        return f"{self._worker_of.get(session_id, self._workers[0]).address}/play/{session_id}"

    def present(self, _session_id: str) -> None:
        """Not known here: `GET /rooms` asks the workers."""

    def end(self, session_id: str) -> None:
        """Have the worker end a session; without a worker it ends at once."""
        worker = self._worker_of[session_id]
        if worker.link is not None:
            worker.link.tell("end", session_id=session_id)
        else:
            self._ended(session_id, CRASHED if session_id in worker.opened else None)

    async def close(self, seconds: float) -> None:
        """Let the players of ended games know, then end the workers."""
        self._stopping = True
        async with asyncio.TaskGroup() as tasks:
            for worker in self._workers:
                tasks.create_task(self._finish(worker, seconds))

    # --- one worker ---

    async def _keep(self, worker: _Worker) -> None:
        """Run one worker after the other in a place."""
        pause_seconds = 0.0
        while True:
            await asyncio.sleep(pause_seconds)
            served = await self._run_one(worker)
            if self._stopping:
                return
            if not (served or self._all_serve.is_set()):
                raise WorkersFailed("a worker did not start")
            if self._options.presence is None:
                self._bury(worker)
            pause_seconds = 0.0 if served else min(2 * pause_seconds or _FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)

    async def _run_one(self, worker: _Worker) -> bool:
        """Run one process to its end; return whether it has served."""
        loan = Loan(self._presence)

        def opened(session_id: str) -> None:
            worker.opened.add(session_id)

        link = loan.link = Link({"ended": self._ended, "opened": opened, **loan.told}, loan.asked)
        ours, theirs = socket.socketpair()
        with theirs:
            process = worker.process = await _start(worker.listener, theirs)
        try:
            await link.connect(ours)
            async with asyncio.TaskGroup() as tasks:
                bringing_up = tasks.create_task(self._bring_up(worker, link))
                watching = tasks.create_task(_watch(worker, link, process))
                await link.run()
                bringing_up.cancel()
                watching.cancel()
        finally:
            served, worker.link = worker.link is not None, None
            loan.end()
            if process.returncode is None:
                process.kill()  # its link is broken: it serves nobody
            status = await process.wait()
        if not self._stopping:
            _log.error("worker_died", worker=worker.index, pid=process.pid, status=status)
        return served

    async def _bring_up(self, worker: _Worker, link: Link) -> None:
        """Have a new process take its sessions over, then its players."""
        with suppress(LinkBroken):
            await link.ask(
                "start",
                options=msgspec.to_builtins(self._options),
                process=f"{self._options.server_id}/{worker.index}",
                address=worker.address,
            )
            handed_over: set[str] = set()
            while new := [session_id for session_id in worker.sessions if session_id not in handed_over]:
                await self._hand_over(worker, link, new)
                handed_over.update(new)
            for session_id in handed_over - worker.sessions.keys():  # ended meanwhile
                link.tell("end", session_id=session_id)
            worker.link = link
            await link.ask("serve")
            _log.info("worker_serves", worker=worker.index, sessions=len(worker.sessions))
            if all(other.link is not None for other in self._workers):
                self._all_serve.set()

    async def _hand_over(self, worker: _Worker, link: Link, session_ids: list[str]) -> None:
        sessions = [
            {
                "session_id": session.session_id,
                "key": session.key,
                "game_mode": session.game_mode,
                "players": session.players,
                "opened": session.session_id in worker.opened,
            }
            for session in map(worker.sessions.__getitem__, session_ids)
        ]
        await link.ask("take", sessions=sessions)

    def _bury(self, worker: _Worker) -> None:
        """End the games that have died with a worker. Sessions that nobody has joined yet lose nothing."""
        for session_id in list(worker.opened):
            self._ended(session_id, CRASHED)

    def _ended(self, session_id: str, result: dict[str, Any] | None) -> None:
        worker = self._worker_of.pop(session_id, None)
        if worker is not None:
            del worker.sessions[session_id]
            worker.opened.discard(session_id)
            self._on_ended(session_id, result)

    async def _finish(self, worker: _Worker, seconds: float) -> None:
        link, process = worker.link, worker.process
        with suppress(TimeoutError, LinkBroken):
            async with asyncio.timeout(seconds + STOP_SECONDS):
                if link is not None:
                    await link.ask("finish", seconds=seconds)
        if process is not None and process.returncode is None:
            process.terminate()


async def _watch(worker: _Worker, link: Link, process: Process) -> None:
    """Kill a process when it does not answer: frozen, it would keep its players for ever."""
    limit_seconds = START_SECONDS
    with suppress(LinkBroken):
        while True:
            try:
                async with asyncio.timeout(limit_seconds):
                    await link.ask("ping")
            except TimeoutError:
                _log.error("worker_frozen", worker=worker.index, pid=process.pid)
                process.kill()
                return
            limit_seconds = ANSWER_SECONDS
            await asyncio.sleep(PING_SECONDS)


async def _start(listener: socket.socket, link_end: socket.socket) -> Process:
    descriptors = listener.fileno(), link_end.fileno()
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # or a file of the current folder, `queue.py` say, would stand in for a module
        "-m",
        "dedicated_server_stub.workers.worker",
        *map(str, descriptors),
        pass_fds=descriptors,
        start_new_session=True,  # Ctrl-C is for the parent, which stops its workers itself
    )
