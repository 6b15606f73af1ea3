"""Calls dedicated servers over HTTP: one deadline and one size limit per call, no redirects, no proxies."""

import asyncio
import importlib
import os
import ssl
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self, TypeAlias

import anyio.lowlevel
import httpx
from pydantic import BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError
from pydantic_core import to_json

from match_server.protocol import ADDRESS_PATTERN, SessionId
from match_server.servers.provider import Created, NotCreated, Order, Provisioned

_SINGLE_BYTES = 64 * 1024
_BATCH_BYTES = 1024 * 1024
# Few, kept open: the more connections a client of httpx holds, the more CPU each call takes.
_CONNECTIONS_PER_SERVER = 4
_CLIENTS = 256
_NOT_THE_MATCH = {408, 409, 425, 429}  # of the statuses from 400 to 499
_SAID_CHARACTERS = 200

Sign: TypeAlias = Callable[[str, bytes], str | None]
ServerAddress = Annotated[str, StringConstraints(max_length=1024, pattern=ADDRESS_PATTERN)]


class _Created(BaseModel):
    model_config = ConfigDict(extra="ignore")
    session_id: SessionId
    server_address: ServerAddress | None = None


class _BatchItem(BaseModel):
    model_config = ConfigDict(extra="ignore")
    idempotency_key: str
    session_id: SessionId | None = None
    server_address: ServerAddress | None = None
    error: str | None = None


class _Batch(BaseModel):
    model_config = ConfigDict(extra="ignore")
    sessions: list[Any]


_ITEM = TypeAdapter(_BatchItem)


class _TooLarge(Exception):
    """The answer is over its size limit."""


@dataclass(slots=True)
class _Client:
    """The connections to one server, and how many calls use them now."""

    http: httpx.AsyncClient
    calls: int = 0


class HttpProvider:
    """The `DedicatedServerProvider` of the contract: `POST {control_url}/session/create`, or `/sessions/create`."""

    def __init__(self, *, timeout_seconds: float, sign: Sign) -> None:
        """`timeout_seconds` bounds a whole call, from connecting to the last byte.

        `sign` makes a bearer token of a server's id and a body, so that the server knows who calls; it may give None.
        """
        self._timeout_seconds = timeout_seconds
        self._sign = sign
        self._clients: OrderedDict[str, _Client] = OrderedDict()  # by endpoint, the one that was used last at the end
        self._certificates = ssl.create_default_context()  # 20 ms: once, not once per client

    @classmethod
    async def open(cls, *, timeout_seconds: float, sign: Sign) -> Self:
        """Make one whose imports are done: httpx imports some modules in its first call, which blocks the node."""
        importlib.import_module("httpcore")
        await anyio.lowlevel.checkpoint()
        return cls(timeout_seconds=timeout_seconds, sign=sign)

    async def create(self, orders: Sequence[Order]) -> list[Provisioned]:
        """Ask one server for sessions. See `DedicatedServerProvider.create`."""
        first = orders[0]
        if not first.endpoint:
            return [NotCreated("error", "the server is no longer registered") for _ in orders]
        if first.batch:
            return await self._create_batch(first, orders)
        return [await self._create_single(order) for order in orders]

    async def aclose(self) -> None:
        """Close every connection."""
        while self._clients:
            await self._clients.popitem()[1].http.aclose()

    async def _create_single(self, order: Order) -> Provisioned:
        body = {
            "session_id": order.loading_session_id,
            "game_mode": order.game_mode,
            "players": order.players,
            **order.settled,
        }
        # The answer does not say which session it is for. No connection is used again: if a server answers one call
        # twice, the next match must not get the second answer (tests/faults: test_a_server_that_answers_twice).
        headers = {"Idempotency-Key": order.loading_session_id, "Connection": "close"}
        answer = await self._post(order, "/session/create", body, _SINGLE_BYTES, headers)
        if isinstance(answer, NotCreated):
            return answer
        status, content = answer
        if status not in {200, 201}:
            return _refused(status, content)
        try:
            made = _Created.model_validate_json(content)
        except ValidationError as error:
            return _unreadable(error, content)
        return Created(made.session_id, made.server_address)

    async def _create_batch(self, server: Order, orders: Sequence[Order]) -> list[Provisioned]:
        body = {
            "sessions": [
                {
                    "idempotency_key": order.loading_session_id,
                    "session_id": order.loading_session_id,
                    "game_mode": order.game_mode,
                    "players": order.players,
                    **order.settled,
                }
                for order in orders
            ]
        }
        answer = await self._post(server, "/sessions/create", body, _BATCH_BYTES, {})
        if isinstance(answer, NotCreated):
            return [answer for _ in orders]
        status, content = answer
        if _is_wrong(status):
            if len(orders) > 1:  # one of them is wrong, and must not spoil the others
                half = len(orders) // 2
                first, rest = orders[:half], orders[half:]
                return [*await self._create_batch(server, first), *await self._create_batch(server, rest)]
            return [_refused(status, content)]
        if status != httpx.codes.OK:
            # A proxy in between may have lost the answer of a server that made the sessions.
            return [NotCreated("unknown", _said(f"status {status}", content)) for _ in orders]
        try:
            items = _Batch.model_validate_json(content).sessions
        except ValidationError as error:
            unreadable = _unreadable(error, content)  # no match in particular is to blame
            return [replace(unreadable, outcome="unknown") for _ in orders]
        by_key = {key: outcome for key, outcome in map(_read_item, items) if key is not None}
        missing = NotCreated("unknown", "not in the answer")
        return [by_key.get(order.loading_session_id, missing) for order in orders]

    async def _post(
        self, server: Order, path: str, body: dict[str, Any], limit_bytes: int, headers: dict[str, str]
    ) -> tuple[int, bytes] | NotCreated:
        content = to_json(body)
        headers = {"Host": server.host, "Accept-Encoding": "identity", "Content-Type": "application/json", **headers}
        if token := self._sign(server.server_id, content):
            headers["Authorization"] = f"Bearer {token}"
        client = self._client(server.endpoint)
        client.calls += 1
        try:
            async with asyncio.timeout(self._timeout_seconds):
                request = client.http.build_request(
                    "POST",
                    server.endpoint + path,
                    content=content,
                    headers=headers,
                    # The certificate is the name's, though the call goes to the address checked at registration.
                    extensions={"sni_hostname": httpx.URL(f"https://{server.host}").host},
                )
                response = await client.http.send(request, stream=True)
                try:
                    return response.status_code, await _read(response, limit_bytes)
                finally:
                    await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, _TooLarge) as error:
            return NotCreated("unknown", self._in_words(error))
        finally:
            client.calls -= 1
            await self._close_idle_clients()

    def _in_words(self, error: Exception) -> str:
        """For the log. httpx says "All connection attempts failed" and keeps the reason among the causes."""
        if isinstance(error, TimeoutError):
            return f"no answer within {self._timeout_seconds:g} s"
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, OSError) and cause.errno:
                return f"{error}: {os.strerror(cause.errno)}"
            cause = cause.__cause__ or cause.__context__
        return str(error) or type(error).__name__

    def _client(self, endpoint: str) -> _Client:
        client = self._clients.get(endpoint)
        if client is None:
            client = self._clients[endpoint] = _Client(
                httpx.AsyncClient(
                    verify=self._certificates,
                    trust_env=False,
                    follow_redirects=False,
                    timeout=None,  # noqa: S113 - one deadline bounds the whole call
                    limits=httpx.Limits(
                        max_connections=_CONNECTIONS_PER_SERVER, max_keepalive_connections=_CONNECTIONS_PER_SERVER
                    ),
                )
            )
        self._clients.move_to_end(endpoint)
        return client

    async def _close_idle_clients(self) -> None:
        """Close those that were not used for longest, but none with a call in flight."""
        excess = len(self._clients) - _CLIENTS
        if excess > 0:
            idle = [endpoint for endpoint, client in self._clients.items() if not client.calls]
            for endpoint in idle[:excess]:
                await self._clients.pop(endpoint).http.aclose()


def _is_wrong(status: int) -> bool:
    """Whether this status says that the match is wrong, and not that the server is full or fails."""
    return 400 <= status < 500 and status not in _NOT_THE_MATCH


def _refused(status: int, content: bytes) -> NotCreated:
    detail = _said(f"status {status}", content)
    if status in {409, 503}:
        return NotCreated("full", detail)
    return NotCreated("wrong" if _is_wrong(status) else "error", detail)


def _unreadable(error: ValidationError, content: bytes) -> NotCreated:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = ".".join(map(str, first["loc"]))
    return NotCreated("unreadable", _said(f"unreadable answer: {field + ': ' if field else ''}{first['msg']}", content))


def _said(what: str, content: bytes) -> str:
    """Add the beginning of what the server said, without the control characters that a terminal would obey."""
    text = content[: 4 * _SAID_CHARACTERS].decode(errors="replace")
    cleaned = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return f"{what}: {cleaned[:_SAID_CHARACTERS]}" if cleaned else what


async def _read(response: httpx.Response, limit_bytes: int) -> bytes:
    """Read a body as it came over the wire: decompressing could make it larger than its limit."""
    content = b""
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > limit_bytes:
            raise _TooLarge(f"the answer is larger than {limit_bytes} bytes")
    return content


def _read_item(item: Any) -> tuple[str | None, Provisioned]:
    """One entry of a batch's answer, with its key; an entry that cannot be read leaves its order unknown."""
    try:
        read = _ITEM.validate_python(item)
    except ValidationError as error:
        key = item.get("idempotency_key") if isinstance(item, dict) else None
        return key if isinstance(key, str) else None, _unreadable(error, to_json(item))
    if read.session_id is not None:
        return read.idempotency_key, Created(read.session_id, read.server_address)
    if read.error in {"full", "draining"}:
        return read.idempotency_key, NotCreated("full", str(read.error))
    if read.error is not None:
        return read.idempotency_key, NotCreated("wrong", _said("error", read.error.encode()))
    return read.idempotency_key, NotCreated("unreadable", "neither a session nor an error")
