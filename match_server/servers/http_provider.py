"""Calls dedicated servers over HTTP: one deadline and one size limit per call, no redirects, no proxies."""

import asyncio
import importlib
import ssl
from collections import OrderedDict
from collections.abc import Sequence
from typing import Annotated, Any, Self

import anyio.lowlevel
import httpx
from pydantic import BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError

from match_server.protocol import SessionId
from match_server.servers.provider import Created, NotCreated, Provisioned
from match_server.store.journey import Order

_SINGLE_BYTES = 64 * 1024
_BATCH_BYTES = 1024 * 1024
# Few and warm: httpx costs the more CPU per call the more connections one client holds.
_CONNECTIONS_PER_SERVER = 4
_CLIENTS = 256

ServerAddress = Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=r"^[^\x00-\x1f\x7f]+$")]


class _Created(BaseModel):
    model_config = ConfigDict(extra="ignore")
    session_id: SessionId
    server_address: ServerAddress


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


class HttpProvider:
    """The `DedicatedServerProvider` of the contract: `POST {control_url}/session/create`, or `/sessions/create`."""

    def __init__(self, *, timeout_seconds: float) -> None:
        """`timeout_seconds` bounds a whole call, from connecting to the last byte."""
        self._timeout_seconds = timeout_seconds
        self._clients: OrderedDict[str, httpx.AsyncClient] = OrderedDict()
        self._certificates = ssl.create_default_context()  # 20 ms: once, not once per client

    @classmethod
    async def open(cls, *, timeout_seconds: float) -> Self:
        """Make one that is warm: httpx would import what it needs with the first call, while the node stands still."""
        importlib.import_module("httpcore")
        await anyio.lowlevel.checkpoint()
        return cls(timeout_seconds=timeout_seconds)

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
            await self._clients.popitem()[1].aclose()

    async def _create_single(self, order: Order) -> Provisioned:
        body = {
            "session_id": order.loading_session_id,
            "game_mode": order.game_mode,
            "players": order.players,
        }
        # Nothing in the answer says which session it is for: a connection that was used again would give a second
        # answer that a server sent to one match to the next one (tests/faults: test_a_server_that_answers_twice).
        headers = {"Idempotency-Key": order.loading_session_id, "Connection": "close"}
        answer = await self._post(order, "/session/create", body, _SINGLE_BYTES, headers)
        if isinstance(answer, NotCreated):
            return answer
        status, content = answer
        if status in {409, 503}:
            return NotCreated("full", f"status {status}")
        if status not in {200, 201}:
            return NotCreated("error", f"status {status}")
        try:
            made = _Created.model_validate_json(content)
        except ValidationError as error:
            return NotCreated("unknown", f"unreadable answer: {error.errors()[0]['msg']}")
        return Created(made.session_id, made.server_address)

    async def _create_batch(self, server: Order, orders: Sequence[Order]) -> list[Provisioned]:
        body = {
            "sessions": [
                {
                    "idempotency_key": order.loading_session_id,
                    "session_id": order.loading_session_id,
                    "game_mode": order.game_mode,
                    "players": order.players,
                }
                for order in orders
            ]
        }
        answer = await self._post(server, "/sessions/create", body, _BATCH_BYTES, {})
        if isinstance(answer, NotCreated):
            return [answer for _ in orders]
        status, content = answer
        if status != httpx.codes.OK:
            # Whatever stands between may have lost the answer of a server that did its work.
            return [NotCreated("unknown", f"status {status}") for _ in orders]
        try:
            items = _Batch.model_validate_json(content).sessions
        except ValidationError as error:
            return [NotCreated("unknown", f"unreadable answer: {error.errors()[0]['msg']}") for _ in orders]
        by_key = {key: outcome for key, outcome in map(_read_item, items) if key is not None}
        missing = NotCreated("unknown", "not in the answer")
        return [by_key.get(order.loading_session_id, missing) for order in orders]

    async def _post(
        self, server: Order, path: str, body: dict[str, Any], limit_bytes: int, headers: dict[str, str]
    ) -> tuple[int, bytes] | NotCreated:
        client = await self._client(server.endpoint)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                request = client.build_request(
                    "POST",
                    server.endpoint + path,
                    json=body,
                    headers={"Host": server.host, "Accept-Encoding": "identity", **headers},
                    # The certificate is the name's, though the call goes to the address checked at registration.
                    extensions={"sni_hostname": httpx.URL(f"https://{server.host}").host},
                )
                response = await client.send(request, stream=True)
                try:
                    return response.status_code, await _read(response, limit_bytes)
                finally:
                    await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, _TooLarge) as error:
            return NotCreated("unknown", str(error) or type(error).__name__)

    async def _client(self, endpoint: str) -> httpx.AsyncClient:
        client = self._clients.get(endpoint)
        if client is None:
            client = httpx.AsyncClient(
                verify=self._certificates,
                trust_env=False,
                follow_redirects=False,
                timeout=None,  # noqa: S113 - one deadline bounds the whole call
                limits=httpx.Limits(
                    max_connections=_CONNECTIONS_PER_SERVER, max_keepalive_connections=_CONNECTIONS_PER_SERVER
                ),
            )
            self._clients[endpoint] = client
            if len(self._clients) > _CLIENTS:
                await self._clients.popitem(last=False)[1].aclose()
        self._clients.move_to_end(endpoint)
        return client


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
        unreadable = NotCreated("unknown", f"unreadable entry: {error.errors()[0]['msg']}")
        return key if isinstance(key, str) else None, unreadable
    if read.session_id is not None and read.server_address is not None:
        return read.idempotency_key, Created(read.session_id, read.server_address)
    if read.error in {"full", "draining"}:
        return read.idempotency_key, NotCreated("full", str(read.error))
    if read.error is not None:
        return read.idempotency_key, NotCreated("error", read.error[:100])
    return read.idempotency_key, NotCreated("unknown", "neither a session nor an error")
