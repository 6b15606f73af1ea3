"""A suspicious player: a plain WebSocket client that takes no frame for granted."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeAlias

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.shared.node import Node

MODE = "Normal_1v1"
Frame: TypeAlias = dict[str, Any]


class Player:
    """One connection and the player it speaks for. Every frame it reads is checked for its `seq`."""

    def __init__(self, link: ClientConnection, player_id: str) -> None:
        self.link = link
        self.player_id = player_id
        self.frames: list[Frame] = []
        self.texts: list[str] = []
        self._seq = -1

    async def send(self, kind: str, **fields: Any) -> None:
        await self.link.send(json.dumps({"type": kind, **fields}))

    async def enqueue(self, game_mode: str = MODE) -> None:
        await self.send("enqueue", player_id=self.player_id, game_mode=game_mode)

    async def queue(self, game_mode: str = MODE) -> Frame:
        """Enqueue, and read the `queued` that answers it."""
        await self.enqueue(game_mode)
        return await self.expect("queued", game_mode=game_mode, requeued=False)

    async def loaded(self, loading_session_id: str) -> None:
        await self.send("loading_complete", loading_session_id=loading_session_id)

    async def load(self) -> Frame:
        """Read `start_loading` and answer it at once."""
        start = await self.expect("start_loading")
        await self.loaded(start["loading_session_id"])
        return start

    async def resume(self, token: str) -> None:
        await self.send("resume", player_id=self.player_id, resume_token=token)

    async def next(self, *, within_seconds: float = 10.0) -> Frame:
        """The next frame, whatever it is."""
        try:
            async with asyncio.timeout(within_seconds):
                text = await self.link.recv()
        except TimeoutError:
            raise AssertionError(f"{self.player_id}: no frame in {within_seconds} s, after {self.frames}") from None
        assert isinstance(text, str), "a text frame"
        frame: Frame = json.loads(text)
        self.frames.append(frame)
        self.texts.append(text)
        if frame["type"] not in {"pong", "error", "status"}:
            assert isinstance(frame["seq"], int), f"a frame without seq: {frame}"
            assert frame["seq"] > self._seq or frame["seq"] == self._seq == self._seq_of_resumed(), self.frames
            self._seq = frame["seq"]
        return frame

    def _seq_of_resumed(self) -> int | None:
        """`resumed` may announce the number of the frame that follows it."""
        before = self.frames[-2] if len(self.frames) > 1 else {}
        return before.get("seq") if before.get("type") == "resumed" else None

    async def expect(self, kind: str, *, within_seconds: float = 10.0, **fields: Any) -> Frame:
        """The next frame, which must be of this type and have these fields."""
        frame = await self.next(within_seconds=within_seconds)
        assert frame["type"] == kind, f"{self.player_id}: expected {kind}, after {self.frames}"
        found = {name: frame.get(name) for name in fields}
        assert found == fields, f"{self.player_id}: expected {fields} in {frame}"
        return frame

    async def refused(self, code: str) -> Frame:
        """The next frame, which must be this error, with a message to read."""
        frame = await self.expect("error", code=code)
        assert isinstance(frame["message"], str)
        assert frame["message"]
        return frame

    async def nothing(self, *, for_seconds: float = 0.0) -> None:
        """No frame has come, or comes in this time.

        What the session was busy with before has been answered, for it answers a request of ours now. A ping would not
        show that: the gateway answers it past the session.
        """
        if for_seconds:
            try:
                async with asyncio.timeout(for_seconds):
                    raise AssertionError(f"{self.player_id}: expected nothing, got {await self.next()}")
            except TimeoutError:
                pass
        await self.send("dequeue", game_mode="no-such-mode")
        await self.refused("invalid_game_mode")
        del self.frames[-1], self.texts[-1]  # of which the test knows nothing

    async def silent(self) -> None:
        """No frame has come, and the connection is alive, as a ping in WebSocket's own frames shows."""
        await asyncio.wait_for(await self.link.ping(), 5)
        try:
            async with asyncio.timeout(0.01):  # what came before the pong is read at once
                raise AssertionError(f"{self.player_id}: expected nothing, got {await self.next()}")
        except TimeoutError:
            pass

    async def closed(self, *, within_seconds: float = 10.0) -> int:
        """The code that the server closed with; every frame before it is kept in `frames`. 1006: it sent none."""
        try:
            async with asyncio.timeout(within_seconds):
                while True:
                    self.frames.append(json.loads(await self.link.recv()))
        except ConnectionClosed as ended:
            return ended.rcvd.code if ended.rcvd else 1006

    async def leave(self) -> None:
        """Close the connection in good order, which is to leave."""
        await self.link.close()

    async def drop(self) -> None:
        """Lose the link: a reset, with no closing handshake."""
        self.link.transport.abort()
        await self.link.wait_closed()


def fresh_id(name: str = "player") -> str:
    return f"{name}-{uuid.uuid4().hex[:10]}"


@asynccontextmanager
async def player_on(node: Node, player_id: str = "", *, path: str = "", **options: Any) -> AsyncIterator[Player]:
    """A player on a connection of its own to `node`."""
    url = node.ws if not path else node.ws.rstrip("/").removesuffix("/ws") + path
    async with connect(url, compression=None, proxy=None, ping_interval=None, **options) as link:
        yield Player(link, player_id or fresh_id())


@asynccontextmanager
async def players_on(node: Node, *names: str) -> AsyncIterator[list[Player]]:
    """One player per name, connected and in no queue."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(player_on(node, fresh_id(name))) for name in names]


async def queue_all(players: list[Player], game_mode: str = MODE) -> None:
    """Queue them one by one, so that their order is known."""
    for player in players:
        await player.queue(game_mode)


async def match_all(players: list[Player]) -> list[Frame]:
    """Walk queued players to `match_found`; the frames."""
    await asyncio.gather(*(player.load() for player in players))
    return list(await asyncio.gather(*(player.expect("match_found") for player in players)))
