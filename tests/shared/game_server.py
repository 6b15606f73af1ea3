"""A dedicated server that stays registered whatever happens to nodes and Redis, and logs every session it made."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from tests.shared.fake_server import Answer, Call, FakeServer, Reply, read_call
from tests.shared.node import Node

HEARTBEAT_SECONDS = 0.3


@dataclass(frozen=True)
class Made:
    """A session as it was asked for."""

    key: str
    session_id: str
    players: frozenset[str]


class GameServer(FakeServer):
    """Makes one session per key, under an id of its own: a second one for the same match would show.

    Its heartbeats go to the first node that answers; told that it is unknown, it registers again.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        *,
        answer: Answer | None = None,
        own_ids: bool = True,
        **registration: Any,
    ) -> None:
        super().__init__(nodes[0], answer=answer, **{"capacity": 2000, "incarnation": uuid.uuid4().hex, **registration})
        self.nodes = nodes
        self.made: dict[str, Made] = {}  # by key
        self.ended: list[str] = []  # by the match server's order
        self.raw: Callable[[Call, asyncio.StreamWriter], Awaitable[None]] | None = None  # writes the answer itself
        self._own_ids = own_ids
        self._http = httpx.AsyncClient(trust_env=False, timeout=1.0)
        self._beating: asyncio.Task[None] | None = None

    @property
    def asked(self) -> int:
        """How many sessions it was asked for, repeats included."""
        return sum(len(call.body["sessions"]) if "sessions" in call.body else 1 for call in self.calls)

    def make(self, call: Call) -> Made:
        """Make the session of a single call, or find the one that its key has already."""
        self._take({**call.body, "idempotency_key": call.key})
        return self.made[call.key]

    async def accept(self, call: Call) -> Reply | None:
        """Take every session."""
        if call.path == "/sessions/create":
            return Reply(200, {"sessions": [self._take(item) for item in call.body["sessions"]]})
        made = self.make(call)
        return Reply(201, {"session_id": made.session_id, "server_address": self.address})

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.raw is None:
            await super()._serve(reader, writer)
            return
        try:
            while (raw := self.raw) is not None and (call := await read_call(reader)):
                self.calls.append(call)
                await raw(call, writer)
        except (OSError, asyncio.CancelledError):
            pass  # the caller hung up, as it may, or the test is over
        finally:
            writer.transport.abort()

    def _take(self, item: Any) -> dict[str, str]:
        key = item["idempotency_key"]
        if key not in self.made:
            session_id = str(uuid.uuid4()) if self._own_ids else item["session_id"]
            self.made[key] = Made(key, session_id, frozenset(item["players"]))
            self.live.add(session_id)
            self.most_live = max(self.most_live, len(self.live))
        return {"idempotency_key": key, "session_id": self.made[key].session_id, "server_address": self.address}

    async def enlist(self) -> Any:
        """Register with the first node that takes it; None when there is none."""
        body = {
            "server_id": self.server_id,
            "control_url": self.control_url,
            "address": self.address,
            "active_sessions": list(self.live),
            **self._registration,
        }
        answer = await self._call("POST", "/servers", body)
        return answer.json() if answer is not None and answer.status_code == 201 else None

    async def beat(self) -> bool:
        """Send one heartbeat, and end what the answer says; whether there was an answer."""
        body = {"active_sessions": list(self.live)}
        answer = await self._call("PUT", f"/servers/{self.server_id}/heartbeat", body)
        if answer is not None and answer.status_code == 404:
            await self.enlist()
        elif answer is not None and answer.status_code == 200:
            for session_id in answer.json()["end"]:
                self.live.discard(session_id)
                self.ended.append(session_id)
        return answer is not None

    async def end_session(self, session_id: str) -> None:
        """A session is over, and reported."""
        self.live.discard(session_id)
        answer = await self._call("POST", f"/servers/{self.server_id}/sessions/{session_id}/end", {})
        assert answer is not None
        assert answer.status_code == 204, answer.text

    async def _call(self, method: str, path: str, body: Any) -> httpx.Response | None:
        for node in self.nodes:
            try:
                answer = await self._http.request(method, node.base + path, json=body)
            except httpx.HTTPError:
                continue
            if answer.status_code != 503:
                return answer
        return None

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            await self.beat()

    def stop_beating(self) -> None:
        """Fall silent, as a server that died."""
        assert self._beating
        self._beating.cancel()

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.control_url = f"http://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"
        assert await self.enlist()
        self._beating = asyncio.create_task(self._keep_beating())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_beating()
        if self._listener.is_serving():
            await self._call("DELETE", f"/servers/{self.server_id}", None)
        await self._http.aclose()
        self._listener.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def die(self) -> None:
        """Be gone at once: no more answers, no more heartbeats, every connection reset."""
        self.stop_beating()
        self._listener.close()
        for task in self._connections:
            task.cancel()
