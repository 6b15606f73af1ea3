"""One player's connection: typed messages out and in, a link that can break, and the way back."""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from random import Random
from types import TracebackType
from typing import Self, TypeVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from match_server.protocol import (
    ClientMessage,
    CloseCode,
    Dequeue,
    Error,
    InvalidMessage,
    ServerMessage,
    decode_server,
    encode,
    problem_detail,
)
from test_client.journey import Journey
from test_client.states import State, Step

M = TypeVar("M", bound=ServerMessage)

OPEN_TIMEOUT_SECONDS = 10
CLOSE_TIMEOUT_SECONDS = 2
RESTART_SPREAD_SECONDS = 2.0  # after 1012, so that a node's players do not all come back at once
RETURN_SPREAD_SECONDS = 0.2  # after any other lost link
ABNORMAL = 1006  # the code of a link that ended without a close frame; never on the wire

_DO_NOT_RETURN = {
    CloseCode.PROTOCOL_ERROR,
    CloseCode.INVALID_PAYLOAD,
    CloseCode.POLICY,
    CloseCode.TOO_BIG,
    CloseCode.TAKEN_OVER,
    CloseCode.UNAUTHORIZED,
}


class LinkLost(Exception):
    """The connection ended, and not because this client closed it. `words` are the service's reason, if it gave one."""

    def __init__(self, code: int, words: str = "") -> None:
        super().__init__(f"connection closed with {code}")
        self.code = code
        self.words = words


class CannotConnect(Exception):
    """No connection came about; `final` if another attempt would end the same way. `words` say more than the reason."""

    def __init__(self, reason: str, *, words: str, final: bool) -> None:
        super().__init__(reason)
        self.words = words
        self.final = final


def seconds_until_return(code: int, rng: Random) -> float | None:
    """How long to wait before reconnecting after a close with `code`; None: do not reconnect."""
    if code in _DO_NOT_RETURN:
        return None
    return rng.uniform(0, RESTART_SPREAD_SECONDS if code == CloseCode.RESTARTING else RETURN_SPREAD_SECONDS)


class PlayerClient:
    """A player's link to the service; every message passes through its `Journey`.

        async with PlayerClient(Journey("p1", "Normal_1v1"), ["ws://127.0.0.1:8080/ws/"]) as player:
            await player.open()                       # connect, then enqueue (or resume)
            start = await player.wait_for(StartLoading)
            await player.send(player.journey.loading_complete())
            found = await player.wait_for(MatchFound)

    Args:
        journey: the player.
        urls: the nodes' WebSocket addresses. The first connection goes to the first one; each later one to another
            than the last, at random, so that the players of a node that is gone spread over all the others.
        token: a JWT for `Authorization: Bearer`, if the service asks for one.
        gate: bounds how many clients are in the opening handshake at once.
    """

    def __init__(
        self,
        journey: Journey,
        urls: Sequence[str],
        *,
        token: str | None = None,
        gate: asyncio.Semaphore | None = None,
    ) -> None:
        self.journey = journey
        self.refused_with = ""  # the service's words in its last `error`
        self.last_step = Step.WAIT  # what `journey` advised after the last frame
        self._urls = tuple(urls)
        self._url: str | None = None  # where it connected last
        self._rng = Random(journey.player_id)  # noqa: S311 - it spreads players over nodes, no secret
        self._headers = {"Authorization": f"Bearer {token}"} if token else None
        self._gate = gate or nullcontext()
        self._link: ClientConnection | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def connected(self) -> bool:
        """There is a link, as far as this side knows."""
        return self._link is not None

    async def connect(self) -> None:
        """Connect to the first address, and from then on to another than before.

        Raises:
            CannotConnect: it did not answer, or refused.
        """
        url = self._url = self._next_url()
        try:
            async with self._gate:
                self._link = await connect(
                    url,
                    additional_headers=self._headers,
                    compression=None,
                    proxy=None,
                    open_timeout=OPEN_TIMEOUT_SECONDS,
                    close_timeout=CLOSE_TIMEOUT_SECONDS,
                )
        except InvalidStatus as error:
            status = error.response.status_code
            words = problem_detail(error.response.body)
            raise CannotConnect(f"http_{status}", words=words, final=status in {401, 403, 404}) from error
        except (OSError, InvalidHandshake) as error:  # TimeoutError is an OSError
            raise CannotConnect("unreachable", words=f"{url}: {error or 'no answer'}", final=False) from error

    async def open(self) -> None:
        """Connect and send the first message: `resume` if there is a place to come back to, else `enqueue`."""
        await self.connect()
        await self.send(self.journey.opening())

    async def send(self, message: ClientMessage) -> None:
        """Send a message.

        Raises:
            LinkLost: the connection has ended.
        """
        # Before the await: the answer may be read as soon as the bytes have left.
        self.journey.sent(message)
        await self.send_raw(encode(message))

    async def send_raw(self, data: str | bytes) -> None:
        """Send one text or binary frame as it is, behind the journey's back.

        Raises:
            LinkLost: the connection has ended.
        """
        try:
            await self._open_link().send(data)
        except ConnectionClosed:
            raise self._lost() from None

    async def receive(self) -> ServerMessage:
        """Wait for the next message and tell the journey; frames that are not of the protocol are its violations.

        Raises:
            LinkLost: the connection has ended.
        """
        link = self._open_link()
        while True:
            try:
                frame = await link.recv()
            except ConnectionClosed:
                raise self._lost() from None
            message = self._take(frame)
            if message is not None:
                return message

    async def wait_for(self, kind: type[M], *, timeout_seconds: float = 10.0) -> M:
        """Receive until there is a message of one kind, and return it.

        Raises:
            TimeoutError: none came in time.
            LinkLost: the connection has ended.
        """
        async with asyncio.timeout(timeout_seconds):
            while True:
                message = await self.receive()
                if isinstance(message, kind):
                    return message

    async def leave(self) -> None:
        """Ask to leave the queue or the loading session; `dequeued` is the answer."""
        await self.send(Dequeue())

    def drop_link(self) -> None:
        """Cut the connection without a close frame, as a lost network does. The journey goes on with `open`."""
        if self._link is not None:
            self._link.transport.abort()
            self._lost()

    async def close(self) -> None:
        """Close as a client that leaves for good, then look through what was still on its way."""
        link, self._link = self._link, None
        if link is None:
            return
        await link.close()
        try:
            while True:
                self._take(await link.recv())
        except ConnectionClosed:
            return

    def _take(self, frame: str | bytes) -> ServerMessage | None:
        try:
            message = decode_server(frame)
        except InvalidMessage as error:
            self.journey.receive_undecodable(str(error))
            return None
        if isinstance(message, Error):
            self.refused_with = message.message
        self.last_step = self.journey.receive(message)
        return message

    def _next_url(self) -> str:
        if self._url is None:
            return self._urls[0]
        return self._rng.choice([url for url in self._urls if url != self._url] or self._urls)

    def _open_link(self) -> ClientConnection:
        if self._link is None:
            raise LinkLost(ABNORMAL)
        return self._link

    def _lost(self) -> LinkLost:
        link, self._link = self._link, None
        if self.journey.state not in {State.LEFT, State.REFUSED}:
            self.journey.link_lost()
        return LinkLost((link and link.close_code) or ABNORMAL, (link and link.close_reason) or "")
