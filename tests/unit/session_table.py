"""One session with everything around it played by the test: its socket, the subscriber, and a pool that answers."""

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, TypeVar

from match_server.actors.core import Actor, ActorSystem, Ref, Supervision
from match_server.actors.explanations import Explanations, StatusAnswers
from match_server.actors.inquiries import InquiriesPort
from match_server.actors.mailbox import Closed, Identity, Inbound, Mailbox, SessionMessage
from match_server.actors.matchmaker import JourneyRequest, MatchmakerMessage, Tick
from match_server.actors.services import SessionContext
from match_server.actors.session import Session
from match_server.actors.subscriber import Subscribe, SubscriberMessage, Unsubscribe
from match_server.errors import CloseCode, InvalidMessage, StoreUnavailable
from match_server.matching.modes import GameMode
from match_server.protocol import JourneyState, decode_client
from match_server.redis_clock import RedisClock
from match_server.resume_tokens import TokenMint
from match_server.store import journey
from match_server.store.journey import Answer
from match_server.store.operators import OperatorStore, PlayerStatus, QueueStatus
from tests.shared.modes import game_modes
from tests.shared.recorder import Recorder
from tests.unit.virtual_time import until_quiet

PLAYER, MODE, CONNECTION, NODE = "ann", "Normal_1v1", "c0ffee", "node-1"
ENQUEUED_AT, EPOCH = "1000", "epoch-1"
QUEUED_SEQ = 100
SESSION_A = "aaaaaaaa-0000-4000-8000-000000000000"
SESSION_B = "bbbbbbbb-0000-4000-8000-000000000000"
AWAY = StoreUnavailable("Redis is away")


def mint_with(secret: str) -> TokenMint:
    """For the journeys of a pool that was new a moment ago."""
    mint = TokenMint(new_clock())
    mint.learn(secret)
    return mint


def new_clock() -> RedisClock:
    """It shows 0 now, and goes on by this process' own clock."""
    clock = RedisClock()
    clock.set(0)
    return clock


_MINT = mint_with("the pool's secret")
TOKEN = _MINT.mint(PLAYER, MODE)  # of the one journey that most tests tell of

Item = TypeVar("Item")
Frame = dict[str, Any]


class Unanswered:
    """The request stays open: the test answers it, or nobody does."""


class MatchmakerCrash:
    """The matchmaker crashes on the batch with this request."""


Reply: TypeAlias = Answer | Exception | Unanswered | MatchmakerCrash


class Socket:
    """Keeps what was sent; after a close nothing is."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.closed: list[CloseCode] = []
        self.has_claimed = False

    def send(self, frame: str | bytes) -> None:
        if not self.closed:
            self.frames.append(json.loads(frame))

    def claimed(self) -> None:
        self.has_claimed = True

    def close(self, code: CloseCode, reason: str = "") -> None:
        if not self.closed:
            self.closed.append(code)


class Pool:
    """What Redis says to each kind of item: what the test laid down for it, else that all went well."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.open: list[JourneyRequest] = []
        self._laid_down: dict[type, deque[Reply]] = defaultdict(deque)

    def will_answer(self, kind: type, *replies: Reply) -> None:
        """One reply for each request of a kind that comes; the last one stays."""
        self._laid_down[kind].extend(replies)

    def got(self, kind: type[Item]) -> list[Item]:
        return [item for item in self.items if isinstance(item, kind)]

    def take(self, request: JourneyRequest) -> None:
        self.items.append(request.item)
        match self._reply(request.item):
            case Answer() as answer:
                request.answer(answer)
            case Unanswered():
                self.open.append(request)
            case MatchmakerCrash():
                raise RuntimeError("the matchmaker met a bug")
            case Exception() as error:
                request.fail(error)

    def _reply(self, item: Any) -> Reply:
        laid_down = self._laid_down[type(item)]
        if len(laid_down) > 1:
            return laid_down.popleft()
        return laid_down[0] if laid_down else self.usual(item)

    @staticmethod
    def usual(item: Any) -> Answer:
        if isinstance(item, journey.Enqueue):
            return GRANTED
        return Answer("held" if isinstance(item, journey.Hold) else "ok")


class FakeMatchmaker(Actor[MatchmakerMessage]):
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def receive(self, batch: Sequence[MatchmakerMessage]) -> None:
        for message in batch:
            if not isinstance(message, Tick):
                self._pool.take(message)


class FakeSubscriber(Actor[SubscriberMessage]):
    """Confirms every subscription, unless told to wait."""

    def __init__(self, channels: "Channels") -> None:
        self._channels = channels

    async def receive(self, batch: Sequence[SubscriberMessage]) -> None:
        for message in batch:
            if isinstance(message, Subscribe):
                self._channels.asked.append(message.player_id)
                self._channels.now.append(message.player_id)
                await self._channels.confirms.wait()
                message.answer(None)
            elif isinstance(message, Unsubscribe):
                self._channels.now.remove(message.player_id)


class Channels:
    """What the session listens to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.now: list[str] = []
        self.confirms = asyncio.Event()
        self.confirms.set()


class Records(OperatorStore):
    """What Redis says of the player when its client asks for its status: a record in the state of the journey."""

    def __init__(self) -> None:
        self.state: JourneyState | None = "queued"  # None: there is no record
        self.held = False
        self.within_reach = True

    async def player(self, player_id: str) -> PlayerStatus | None:
        if self.state is None:
            return None
        return PlayerStatus(
            state=self.state,
            game_mode=MODE,
            node=NODE,
            connected=True,
            held=self.held,
            since=100,
            since_seconds=12.5,
            enqueued_at=100,
            loading_session_id=None,
            session_id=None,
            within_reach=self.within_reach,
        )

    async def queues(self, game_modes: Sequence[str]) -> list[QueueStatus]:
        return [
            QueueStatus(
                game_mode=mode,
                waiting=3,
                held=0,
                oldest_wait_seconds=20,
                loading_sessions=0,
                allocating_sessions=0,
                unplaced_sessions=0,
                matches_last_minute=0,
                paused=False,
                free_slots=1,
                tickets=0,
                wait_percentiles=None,
            )
            for mode in game_modes
        ]


class Table:
    """The session, and what a test does to it. Every method returns once nothing more happens."""

    def __init__(
        self, system: ActorSystem, *, modes: Sequence[str], ranked: GameMode | None, identity: Identity | None
    ) -> None:
        self.system = system
        self.socket, self.pool, self.channels = Socket(), Pool(), Channels()
        self.events = Recorder()
        self.tokens, self.clock = mint_with("the pool's secret"), new_clock()
        subscriber: Ref[SubscriberMessage] = system.spawn(
            "subscriber", lambda: FakeSubscriber(self.channels), mailbox_limit=100, phase=2
        )
        self.matchmakers: dict[str, Ref[MatchmakerMessage]] = {
            mode: system.spawn(
                f"matchmaker/{mode}",
                lambda: FakeMatchmaker(self.pool),
                mailbox_limit=100,
                phase=1,
                supervision=Supervision(),
            )
            for mode in (*modes, *((ranked.name,) if ranked else ()))
        }
        self.records = Records()
        known = game_modes(*(GameMode(mode, 2) for mode in modes), *([ranked] if ranked else []))
        context = SessionContext(
            node=NODE,
            modes=known,
            status=StatusAnswers(
                store=self.records,
                explanations=Explanations(self.records, InquiriesPort(), known),
                modes=known,
                clock=asyncio.get_running_loop().time,
            ),
            matchmakers=self.matchmakers,
            subscriber=subscriber,
            tokens=self.tokens,
            clock=self.clock,
            events=self.events,
        )
        self.port = Mailbox(CONNECTION, self.socket)
        self.session: Ref[SessionMessage] = system.spawn(
            f"session/{CONNECTION}",
            lambda: Session(context=context, mailbox=self.port, socket=self.socket, identity=identity),
            mailbox_limit=16,
            phase=0,
        )
        self.port.attach(self.session)

    # --- the client ---

    async def client(self, **message: Any) -> None:
        self.say(json.dumps(message))
        await until_quiet()

    def say(self, text: str) -> None:
        """What the gateway makes of a text frame."""
        try:
            self.session.tell(Inbound(decode_client(text), self.clock.now_us()))
        except InvalidMessage as error:
            self.session.tell(Inbound(error, self.clock.now_us()))

    async def enqueue(self, player_id: str = PLAYER, game_mode: str = MODE) -> None:
        await self.client(type="enqueue", player_id=player_id, game_mode=game_mode)

    async def resume(self, token: str, player_id: str = PLAYER) -> None:
        await self.client(type="resume", player_id=player_id, resume_token=token)

    async def be_queued(self) -> None:
        """Enqueue, and get the `queued` of it."""
        await self.enqueue()
        await self.channel(queued())
        self.socket.frames.clear()

    async def be_loading(self, loading_session_id: str, seq: int = 200) -> None:
        await self.be_queued()
        await self.channel(start_loading(seq, loading_session_id))
        self.socket.frames.clear()

    async def close(self, *, left: bool = True, grace_seconds: float = 5) -> None:
        self.session.tell(Closed(left, grace_seconds))
        await until_quiet()

    # --- Redis ---

    async def channel(self, *frames: Frame, player_id: str = PLAYER) -> None:
        """Frames come over a player's channel."""
        for frame in frames:
            self.port.deliver(player_id, json.dumps(frame).encode())
        await until_quiet()

    async def catch_up(self) -> None:
        self.port.catch_up()
        await until_quiet()

    # --- what came of it ---

    def sent(self) -> list[Frame]:
        """What was sent since the last look."""
        frames, self.socket.frames = self.socket.frames, []
        return frames

    def sent_types(self) -> list[str]:
        return [frame["type"] for frame in self.sent()]

    def refusals(self) -> list[str]:
        return [frame["code"] for frame in self.sent() if frame["type"] == "error"]


@asynccontextmanager
async def table(
    *, modes: Sequence[str] = (MODE,), ranked: GameMode | None = None, identity: Identity | None = None
) -> AsyncIterator[Table]:
    """`ranked` is a further mode, whose matches are formed by rules."""
    async with ActorSystem() as system:
        try:
            yield Table(system, modes=modes, ranked=ranked, identity=identity)
        finally:
            await system.stop(1)


def queued(seq: int = QUEUED_SEQ, *, requeued: bool = False, token: str = TOKEN) -> Frame:
    return {"type": "queued", "seq": seq, "game_mode": MODE, "resume_token": token, "requeued": requeued}


def start_loading(seq: int, loading_session_id: str) -> Frame:
    return {"type": "start_loading", "seq": seq, "loading_session_id": loading_session_id, "players": [PLAYER, "bob"]}


def match_cancelled(seq: int, loading_session_id: str) -> Frame:
    return {
        "type": "match_cancelled",
        "seq": seq,
        "loading_session_id": loading_session_id,
        "reason": "player_left",
        "requeued": True,
    }


def match_found(seq: int, loading_session_id: str) -> Frame:
    return {
        "type": "match_found",
        "seq": seq,
        "session_id": "s-1",
        "server_address": "203.0.113.7:7777",
        "loading_session_id": loading_session_id,
    }


def dequeued(seq: int, reason: str = "requested") -> Frame:
    return {"type": "dequeued", "seq": seq, "reason": reason}


def resumed(seq: int, state: str = "queued") -> Frame:
    return {"type": "resumed", "seq": seq, "state": state, "game_mode": MODE, "resume_token": TOKEN}


def resume_answer(*frames: Frame) -> Answer:
    return Answer("ok", (MODE, ENQUEUED_AT, EPOCH, *(json.dumps(frame) for frame in frames)))


GRANTED = Answer("queued", (TOKEN, str(QUEUED_SEQ), ENQUEUED_AT, EPOCH, json.dumps(queued())))  # an enqueue
