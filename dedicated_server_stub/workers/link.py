"""The link between the parent and one worker: calls and notices both ways, a line of JSON each, over a socket pair."""

import asyncio
import itertools
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

MAX_LINE_BYTES = 16 * 1024 * 1024
CRASHED = {"reason": "crashed"}  # the result of a game that has died with its worker

Told: TypeAlias = Callable[..., None]
Asked: TypeAlias = Callable[..., Awaitable[Any]]


class LinkBroken(Exception):
    """The other process is gone: whether it has done what it was asked cannot be known."""


class Link:
    """One end. The other end's death ends it.

    Args:
        told: what the other may tell this one, by name; carried out in order.
        asked: what the other may ask this one, by name; each in a task of its own.
    """

    def __init__(self, told: Mapping[str, Told], asked: Mapping[str, Asked]) -> None:
        self._told = told
        self._asked = asked
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None  # None: not connected, or no longer

    async def connect(self, end: socket.socket) -> None:
        """Take this end of the socket pair; `run` closes it."""
        self._reader, self._writer = await asyncio.open_connection(sock=end, limit=MAX_LINE_BYTES)

    async def run(self) -> None:
        """Serve this end until the other is closed, or this is cancelled."""
        assert self._reader is not None  # noqa: S101 - `connect` comes first
        try:
            async with asyncio.TaskGroup() as tasks:
                while line := await _next_line(self._reader):
                    self._take(json.loads(line), tasks)
                raise _Ended
        except* _Ended:  # what was still being answered is cancelled: nobody waits for it
            pass
        finally:
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(LinkBroken())

    def tell(self, name: str, **args: Any) -> None:
        """Tell the other end; lost when that is gone."""
        self._send({"tell": name, "args": args})

    async def ask(self, name: str, **args: Any) -> Any:
        """Ask the other end, and wait for its answer.

        Raises:
            LinkBroken: it is gone.
        """
        if self._writer is None:
            raise LinkBroken
        number = next(self._ids)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._send({"ask": name, "args": args, "id": number})
            return await answer
        finally:
            del self._waiting[number]

    def _take(self, message: dict[str, Any], tasks: asyncio.TaskGroup) -> None:
        if "tell" in message:
            self._told[message["tell"]](**message["args"])
        elif "ask" in message:
            tasks.create_task(self._answer(message))
        else:
            answer = self._waiting.get(message["id"])
            if answer is not None and not answer.done():  # else whoever asked was cancelled
                answer.set_result(message["answer"])

    async def _answer(self, message: dict[str, Any]) -> None:
        answer = await self._asked[message["ask"]](**message["args"])
        self._send({"answer": answer, "id": message["id"]})

    def _send(self, message: dict[str, Any]) -> None:
        if self._writer is not None:
            self._writer.write(json.dumps(message).encode() + b"\n")


class _Ended(Exception):
    """The other end is closed."""


async def _next_line(reader: asyncio.StreamReader) -> bytes:
    """The next line; empty at the end, and where a process died while it wrote one."""
    try:
        line = await reader.readline()
    except ConnectionError:
        return b""
    return line if line.endswith(b"\n") else b""
