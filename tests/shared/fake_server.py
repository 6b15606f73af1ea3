"""A fake dedicated server: plain HTTP on a socket, every call kept, every answer up to the test."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeAlias

from tests.shared.node import Node


@dataclass(frozen=True)
class Call:
    """One request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw) if self.raw else None

    @property
    def key(self) -> str:
        return self.headers.get("idempotency-key", "")

    @property
    def players(self) -> list[str]:
        players: list[str] = self.body["players"]
        return players


@dataclass(frozen=True)
class Reply:
    """What to answer."""

    status: int = 201
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        lines = [f"HTTP/1.1 {self.status} X", f"Content-Length: {len(body)}", "Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + body


Answer: TypeAlias = Callable[[Call], Awaitable[Reply | None]]  # None: break the connection


async def hang(_: Call) -> Reply | None:
    """Never answer."""
    await asyncio.Event().wait()
    return None


def answering(reply: Reply | None) -> Answer:
    """The same answer to every call."""

    async def answer(_: Call) -> Reply | None:
        return reply

    return answer


def after(gate: asyncio.Event, answer: Answer) -> Answer:
    """This answer, but not before the gate is open."""

    async def when_told(call: Call) -> Reply | None:
        await gate.wait()
        return await answer(call)

    return when_told


class FakeServer:
    """Registers with `node` on entering, leaves on exit; `answer` replaces its ordinary answer."""

    def __init__(self, node: Node, *, answer: Answer | None = None, name: str = "", **registration: Any) -> None:
        self.node = node
        self.server_id = name or f"server-{uuid.uuid4().hex[:8]}"
        self.address = f"game.example:{self.server_id}"
        self.answer: Answer = answer or self.accept
        self.calls: list[Call] = []
        self.live: set[str] = set()
        self.most_live = 0
        self._registration = {"capacity": 10, **registration}
        self._changed = asyncio.Condition()
        self._connections: set[asyncio.Task[None]] = set()

    async def accept(self, call: Call) -> Reply | None:
        """Take every session, under the id that was given."""
        if call.path == "/sessions/create":
            return Reply(200, {"sessions": [self._take(item) for item in call.body["sessions"]]})
        return Reply(201, self._take(call.body))

    def _take(self, item: Any) -> dict[str, str]:
        self.live.add(item["session_id"])
        self.most_live = max(self.most_live, len(self.live))
        key = {"idempotency_key": item["idempotency_key"]} if "idempotency_key" in item else {}
        return {**key, "session_id": item["session_id"], "server_address": self.address}

    def register(self, **changes: Any) -> Any:
        body = {
            "server_id": self.server_id,
            "control_url": self.control_url,
            "address": self.address,
            **self._registration,
            **changes,
        }
        answer = self.node.http.post("/servers", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def heartbeat(self, **body: Any) -> Any:
        answer = self.node.http.put(f"/servers/{self.server_id}/heartbeat", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def end(self, session_id: str) -> None:
        """Report that a session is over."""
        self.live.discard(session_id)
        answer = self.node.http.post(f"/servers/{self.server_id}/sessions/{session_id}/end")
        assert answer.status_code == 204, answer.text

    def row(self) -> Any:
        """What `GET /servers` says of this one."""
        rows = {row["server_id"]: row for row in self.node.get("/servers")["servers"]}
        return rows.get(self.server_id)

    async def called(self, times: int, *, within_seconds: float = 10.0) -> list[Call]:
        """The calls so far, once there are this many."""
        async with asyncio.timeout(within_seconds), self._changed:
            await self._changed.wait_for(lambda: len(self.calls) >= times)
        return self.calls

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.control_url = f"http://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"
        self.register()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.node.process.poll() is None:
            self.node.http.delete(f"/servers/{self.server_id}")
        self._listener.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._connections.add(task)
        try:
            while call := await read_call(reader):
                async with self._changed:
                    self.calls.append(call)
                    self._changed.notify_all()
                reply = await self.answer(call)
                if reply is None:
                    break
                writer.write(reply.encode())
                await writer.drain()
        except (OSError, asyncio.CancelledError):
            pass  # the caller hung up, as it may, or the test is over, and asyncio would log that
        finally:
            self._connections.discard(task)
            writer.transport.abort()


async def read_call(reader: asyncio.StreamReader) -> Call | None:
    """The next request; None once there is none."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Call(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


def register(node: Node, **changes: Any) -> str:
    """Register a server of a test's own making; its id."""
    body = {"control_url": "http://127.0.0.1:9", "address": "game:1", "capacity": 1, **changes}
    answer = node.http.post("/servers", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["server_id"])
