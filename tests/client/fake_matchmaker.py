"""A matchmaker for 1v1 in memory, on a real socket: the contract as the client needs it, and ways to break it."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

from match_server.protocol import (
    CancelReason,
    ClientMessage,
    Dequeue,
    Dequeued,
    DequeueReason,
    Enqueue,
    Error,
    ErrorCode,
    InvalidMessage,
    LoadingComplete,
    MatchCancelled,
    MatchFound,
    Ping,
    Pong,
    Queued,
    Resume,
    Resumed,
    ServerMessage,
    StartLoading,
    decode_client,
    encode,
)

MODE = "Normal_1v1"


@dataclass
class Player:
    player_id: str
    link: ServerConnection
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    session: "Session | None" = None


@dataclass
class Session:
    players: tuple[Player, ...]
    loading_session_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    ready: set[str] = field(default_factory=set)
    found: MatchFound | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(player.player_id for player in self.players)


class FakeMatchmaker:
    """Plays the service by the book. Everything happens in the event loop, so nothing interleaves."""

    def __init__(self, *, loading_timeout_seconds: float = 20.0, server_address: str = "udp://127.0.0.1:7777") -> None:
        self.urls: list[str] = []
        self.players: dict[str, Player] = {}
        self.queue: list[Player] = []
        self.received: list[ClientMessage] = []
        self.handshakes: list[Any] = []
        self._seq = itertools.count(1)  # one for all players; each of them sees it grow
        self._loading_timeout_seconds = loading_timeout_seconds
        self._server_address = server_address

    @property
    def url(self) -> str:
        return self.urls[-1]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FakeMatchmaker"]:
        async with serve(self._serve, "127.0.0.1", 0, compression=None) as server:
            host, port = next(iter(server.sockets)).getsockname()[:2]
            self.urls.append(f"ws://{host}:{port}/ws/")
            yield self

    # --- connections ---

    async def _serve(self, link: ServerConnection) -> None:
        self.handshakes.append(link.request)
        async for frame in _frames(link):
            try:
                if isinstance(frame, bytes):
                    raise InvalidMessage("text is due")
                message = decode_client(frame)
            except InvalidMessage as error:
                self.refuse(link, ErrorCode.INVALID_MESSAGE, message=str(error))
            else:
                self.received.append(message)
                self.handle(link, message)
        peer_began = link.protocol.close_rcvd_then_sent or False  # a reset, or our own close, is a dropped link
        self._disconnected(link, cleanly=peer_began and link.close_code in {1000, 1001, 1005})

    def handle(self, link: ServerConnection, message: ClientMessage) -> None:
        player = self._player_of(link)
        match message:
            case Ping():
                broadcast([link], encode(Pong()))
            case Enqueue():
                self.enqueue(link, message)
            case Resume():
                self.resume(link, message)
            case Dequeue() if player is not None:
                self.dequeue(player)
            case LoadingComplete() if player is not None:
                self.loaded(player, message.loading_session_id)
            case _:
                self.refuse(link, ErrorCode.NOT_IN_QUEUE)

    def _player_of(self, link: ServerConnection) -> Player | None:
        return next((player for player in self.players.values() if player.link is link), None)

    def _disconnected(self, link: ServerConnection, *, cleanly: bool) -> None:
        player = self._player_of(link)
        if player is None:
            return
        if cleanly and not (player.session and player.session.found):
            self.dismiss([player], None, "player_left")
        elif player in self.queue:
            self.queue.remove(player)  # held: out of the matcher's reach

    # --- frames ---

    def tell(self, player: Player, message: ServerMessage) -> None:
        broadcast([player.link], encode(message.model_copy(update={"seq": next(self._seq)})))

    def refuse(self, link: ServerConnection, code: ErrorCode, *, message: str = "no", **details: Any) -> None:
        broadcast([link], encode(Error(code=code, message=message, **details)))

    # --- the journey ---

    def enqueue(self, link: ServerConnection, message: Enqueue) -> None:
        known = self.players.get(message.player_id)
        if known is not None and not (known.session and known.session.found):
            self.refuse(link, ErrorCode.ALREADY_IN_QUEUE)
        elif message.game_mode != MODE:
            self.refuse(link, ErrorCode.INVALID_GAME_MODE)
        else:
            player = self.players[message.player_id] = Player(message.player_id, link)
            self._queue(player, requeued=False)

    def _queue(self, player: Player, *, requeued: bool) -> None:
        player.session = None
        self.tell(player, Queued(game_mode=MODE, resume_token=player.token, requeued=requeued))
        self.queue.append(player)
        self.try_match()

    def try_match(self) -> None:
        while len(self.queue) >= 2:
            session = Session((self.queue.pop(0), self.queue.pop(0)))
            for player in session.players:
                player.session = session
                self._start_loading(player, session)
            asyncio.get_running_loop().call_later(self._loading_timeout_seconds, self._time_out, session)

    def _start_loading(self, player: Player, session: Session) -> None:
        start = StartLoading(
            loading_session_id=session.loading_session_id,
            game_mode=MODE,
            players=session.ids,
            timeout_seconds=self._loading_timeout_seconds,
        )
        self.tell(player, start)

    def loaded(self, player: Player, loading_session_id: str) -> None:
        session = player.session
        if session is None:
            self.refuse(player.link, ErrorCode.NOT_IN_QUEUE)
        elif session.loading_session_id != loading_session_id:
            self.refuse(player.link, ErrorCode.WRONG_SESSION_ID)
        else:
            session.ready.add(player.player_id)
            if len(session.ready) == len(session.players) and session.found is None:
                self.found(session)

    def found(self, session: Session) -> None:
        session.found = MatchFound(
            join_token="a.join.token",
            session_id=str(uuid.uuid4()),
            server_address=self._server_address,
            game_mode=MODE,
            players=session.ids,
            loading_session_id=session.loading_session_id,
        )
        for player in session.players:
            self.tell(player, session.found)

    def dequeue(self, player: Player) -> None:
        if player.session is not None and player.session.found is not None:
            self.refuse(player.link, ErrorCode.TOO_LATE, state="matched")
        else:
            self.dismiss([player], "requested", "player_left")

    def resume(self, link: ServerConnection, message: Resume) -> None:
        player = self.players.get(message.player_id)
        if player is None or player.token != message.resume_token:
            self.refuse(link, ErrorCode.INVALID_RESUME_TOKEN)
            return
        player.link = link
        session = player.session
        if session is None:
            self.tell(player, Resumed(state="queued", game_mode=MODE, resume_token=player.token))
            self._queue(player, requeued=False)
        elif session.found is None:
            self.tell(player, Resumed(state="loading", game_mode=MODE, resume_token=player.token))
            self._start_loading(player, session)
        else:
            self.tell(player, Resumed(state="matched", game_mode=MODE, resume_token=player.token))
            self.tell(player, session.found)

    # --- ends ---

    def dismiss(self, leavers: Iterable[Player], reason: DequeueReason | None, why_others: CancelReason) -> None:
        """Players of one session leave, told why or (their link is gone) not; the others are queued again."""
        gone = list(leavers)
        session = gone[0].session
        for player in gone:
            del self.players[player.player_id]
            if player in self.queue:
                self.queue.remove(player)
            if reason is not None:
                self.tell(player, Dequeued(reason=reason))
        if session is None:
            return
        others = [player for player in session.players if player not in gone]
        for player in others:
            cancelled = MatchCancelled(loading_session_id=session.loading_session_id, reason=why_others, requeued=True)
            self.tell(player, cancelled)
            self._queue(player, requeued=True)

    def _time_out(self, session: Session) -> None:
        late = [player for player in session.players if player.player_id not in session.ready]
        if session.found is None and all(player.session is session for player in late):
            self.dismiss(late, "loading_timeout", "loading_timeout")


async def _frames(link: ServerConnection) -> AsyncIterator[str | bytes]:
    """All frames until the connection ends, however it ends."""
    try:
        while True:
            yield await link.recv()
    except ConnectionClosed:
        return
