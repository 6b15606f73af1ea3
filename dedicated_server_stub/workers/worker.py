"""A worker: a process of its own that runs rooms, for as long as its parent lives."""

import asyncio
import socket
import sys
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from dedicated_server_stub.app import healthz
from dedicated_server_stub.hosting import Host
from dedicated_server_stub.join_tokens import PublishedKeys, fetch_from
from dedicated_server_stub.match_server_client import MatchServerClient, open_http
from dedicated_server_stub.options import Options
from dedicated_server_stub.presence.interface import Presence
from dedicated_server_stub.presence.link_presence import LinkPresence
from dedicated_server_stub.presence.opening import open_presence
from dedicated_server_stub.recovery.parts import open_recovery
from dedicated_server_stub.room_process import room_process
from dedicated_server_stub.rooms.room import Room
from dedicated_server_stub.sessions import SessionRegistry
from dedicated_server_stub.web import WebServer, web_config
from dedicated_server_stub.workers.link import CRASHED, Link
from match_server.console import configure_logging

_UNBOUNDED = 1_000_000  # the parent has the capacity and the time limits


class Worker:
    """Does what the parent asks: `start`, `take` the sessions of its predecessor, `serve`, `take` more, `finish`.

    Args:
        listener: where the players come; the parent holds it, too.
        stack: closes what `start` has opened.
        tasks: runs what `start` has built.
    """

    def __init__(self, listener: socket.socket, stack: AsyncExitStack, tasks: asyncio.TaskGroup) -> None:
        self._listener = listener
        self._stack = stack
        self._tasks = tasks
        self.link = Link(
            told={"end": self._end, "deliver": self._deliver},
            asked={
                "start": self._start,
                "take": self._take,
                "serve": self._serve,
                "ping": self._ping,
                "finish": self._finish,
            },
        )
        self._lent = LinkPresence(self.link)
        self._sessions = SessionRegistry(capacity=_UNBOUNDED, limit_seconds=None, clock=asyncio.get_running_loop().time)

    async def _start(self, options: dict[str, Any], process: str, address: str) -> None:
        self._options = msgspec.convert(options, Options)
        configure_logging(self._options.log_format, self._options.log_level)
        presence = await self._open_presence(self._options)
        http = await self._stack.enter_async_context(open_http(self._options.server_key))
        keys = PublishedKeys(fetch_from(MatchServerClient(http, self._options.match_servers)))
        saved = None
        if self._options.presence is not None:
            saved = await open_recovery(
                self._options, presence, process=process, on_kept=self._opened, on_displaced=self._end
            )
            self._tasks.create_task(saved.run())
        parts = room_process(
            self._options,
            self._sessions,
            keys,
            presence,
            process=process,
            address=address,
            watchers=[self if saved is None else saved.keepers],
        )
        self._host = Host(self._sessions, parts.rooms, report_end=self._report_end)
        self._recovery = None if saved is None else saved.recovery(parts.rooms)
        self._web = WebServer(web_config(Starlette(routes=[*parts.routes, Route("/healthz", healthz)])))
        for part in (presence, parts.calls, parts.statistics):
            self._tasks.create_task(part.run())

    async def _open_presence(self, options: Options) -> Presence:
        if options.presence is None:
            return self._lent
        opening = open_presence(options.presence, prefix=options.presence_prefix)
        return await self._stack.enter_async_context(opening)

    async def _take(self, sessions: list[dict[str, Any]]) -> None:
        """Have the players of these sessions let in. A room that they have joined before is taken up, or is lost.

        Those that this worker has, or had, stay as they are: a create that is repeated hands its session over again.
        """
        sessions = [session for session in sessions if self._sessions.find(session["key"]) is None]
        opened = [session["session_id"] for session in sessions if session["opened"]]
        lost = set()
        if self._recovery is not None:
            recovered = await asyncio.gather(*map(self._recovery.recover, opened))
            lost = {session_id for session_id, found in zip(opened, recovered, strict=True) if not found}
        for session in sessions:
            if session["session_id"] in lost:
                self._report_end(session["session_id"], CRASHED)
                continue
            self._sessions.create(
                key=session["key"],
                session_id=session["session_id"],
                game_mode=session["game_mode"],
                players=tuple(session["players"]),
            )

    async def _serve(self) -> None:
        self._tasks.create_task(self._web.serve(sockets=[self._listener]))

    async def _ping(self) -> None:
        """Answer: the loop of this process turns."""

    def _end(self, session_id: str) -> None:
        self._host.end(session_id)

    async def _finish(self, seconds: float) -> None:
        await self._host.rooms.close(seconds)

    def _deliver(self, channel: str, message: str) -> None:
        self._lent.deliver(channel, message)

    def _report_end(self, session_id: str, result: dict[str, Any] | None) -> None:
        self.link.tell("ended", session_id=session_id, result=result)

    def _opened(self, session_id: str) -> None:
        """Tell the parent that a session must not begin anew: its room is recovered, or has crashed."""
        self.link.tell("opened", session_id=session_id)

    # --- as the rooms see it, where they are not kept ---

    def opened(self, room: Room) -> None:
        """Where nothing of a room outlives this process, it has something to lose from now on."""
        self._opened(room.session_id)

    def closed(self, room: Room) -> None:
        """The parent hears of it as the end of the session."""


async def _work(listener: socket.socket, link_end: socket.socket) -> None:
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.TaskGroup() as tasks:
                worker = Worker(listener, stack, tasks)
                await worker.link.connect(link_end)
                await worker.link.run()
                raise _ParentGone
        except* _ParentGone:
            pass  # what still runs is cancelled


class _ParentGone(Exception):
    """There is nobody to work for."""


def main() -> None:
    """Run with two inherited sockets, by descriptor: the listening one, and the link to the parent."""
    listener, link_end = (socket.socket(fileno=int(descriptor)) for descriptor in sys.argv[1:])
    loop_factory = uvicorn.Config(app="", log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_work(listener, link_end))


if __name__ == "__main__":
    main()
