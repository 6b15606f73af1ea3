"""The session: one per connection. Carries one player's requests down and its frames up, one message at a time.

While a request is under way, everything else waits in the mailbox. So a client's messages keep their order; a frame
that came over the player's channel is looked at only once Redis has said whether this connection owns the player
(docs/races.md, 12); and a session outlives its own last request before it leaves (docs/races.md, 11).
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from match_server import protocol
from match_server.actors.client import Client
from match_server.actors.core import Actor
from match_server.actors.mailbox import (
    CatchUp,
    Closed,
    DeliverLate,
    Frame,
    Identity,
    Inbound,
    Mailbox,
    SessionMessage,
    Socket,
    TakenOver,
)
from match_server.actors.matchmaker import InternalError
from match_server.actors.parts import REFUSALS, PartRefused, read_part
from match_server.actors.seen import LateFrames, Seen
from match_server.actors.services import Services, SessionContext
from match_server.errors import ActorError, CloseCode, ErrorCode, InvalidMessage, StoreUnavailable
from match_server.events.node import FrameDelivered
from match_server.resume_tokens import part_of
from match_server.store import journey
from match_server.store.journey import Answer

log = structlog.get_logger(__name__)

MAILBOX_LIMIT = 512
STOPPING_GRACE_SECONDS = 30.0
_CATCH_UP_RETRY_SECONDS = 0.25


class Session(Actor[SessionMessage]):
    """A player's connection to the matchmaker."""

    def __init__(self, *, context: SessionContext, mailbox: Mailbox, socket: Socket, identity: Identity | None) -> None:
        """`identity` names the only player that this connection may speak for, when players are authenticated."""
        self._context = context
        self._mailbox = mailbox
        self._socket = socket
        self._identity = identity
        self._client = Client(socket, identity, context.events)
        self._connection = mailbox.connection
        self._services = Services(context, mailbox)
        self._journey: Seen | None = None
        self._late = LateFrames()
        self._asking_again: Seen | None = None  # the journey whose record is asked for until Redis answers

    async def receive(self, batch: Sequence[SessionMessage]) -> None:
        """Handle messages one after the other."""
        for message in batch:
            match message:
                case Frame():
                    self._deliver_in_order(message)
                case DeliverLate():
                    self._deliver_all(self._late.rest())
                case Inbound(request, asked_us):
                    await self._handle(request, asked_us)
                case CatchUp():
                    await self._catch_up()
                case TakenOver(player_id):
                    await self._check_owner(player_id)
                case Closed(left, grace_seconds):
                    await self._leave(left=left, grace_seconds=grace_seconds)

    def crashed(self, error_id: str) -> None:
        """End this connection alone. Its player is held, not lost: the client may resume."""
        self._client.refuse(ErrorCode.INTERNAL_ERROR, "this connection failed; reconnect", error_id=error_id)
        self._socket.close(CloseCode.INTERNAL)
        self._services.unsubscribe()
        if self._journey and self._journey.running:
            self._services.leave_to_hold(self._journey.game_mode, self._journey.player_id, STOPPING_GRACE_SECONDS)

    # --- what the client asks ---

    async def _handle(self, message: protocol.ClientMessage | InvalidMessage, asked_us: int) -> None:
        if isinstance(message, InvalidMessage):
            self._client.refuse(ErrorCode.INVALID_MESSAGE, str(message))
            return
        try:
            match message:
                case protocol.Enqueue():
                    await self._enqueue(message, asked_us)
                case protocol.Dequeue():
                    await self._dequeue(message)
                case protocol.LoadingComplete():
                    await self._loading_complete(message)
                case protocol.Resume():
                    await self._resume(message, asked_us)
                case protocol.AskStatus():
                    self._socket.send(protocol.encode(await self._context.status.answer(self._journey)))
        except (StoreUnavailable, ActorError):
            self._client.refuse_for_now(message.type)
        except InternalError as error:
            failed = f"{message.type} failed on our side"
            self._client.refuse(ErrorCode.INTERNAL_ERROR, failed, error_id=error.error_id)

    async def _enqueue(self, message: protocol.Enqueue, asked_us: int) -> None:
        if not (self._client.may_speak_for(message.player_id, self._journey) and self._client.may_begin()):
            return
        part = read_part(self._context.modes, message, self._identity)
        if isinstance(part, PartRefused):
            self._client.refuse(part.code, part.message)
            return
        if self._journey and self._journey.running and self._journey.state != "unsure":
            # The client knows that its journey runs. Redis may not: emptied, it would begin a new one; so it would
            # where the match is found already and the client is yet to be told.
            self._client.refuse(ErrorCode.ALREADY_IN_QUEUE, REFUSALS["already_in_queue"])
            return
        if not self._context.tokens.ready:
            raise StoreUnavailable("the pool's secret is not known yet")
        token = self._context.tokens.mint(message.player_id, message.game_mode, part)
        operation = self._services.next_operation()
        estimate = self._context.status.estimate_for_ticket(message.game_mode, part)
        item = journey.Enqueue(message.player_id, self._connection, operation, token, asked_us, part, estimate)
        before, answer = await self._claim(message.game_mode, item)
        if answer.code == "elsewhere":
            self._undo_claim(before, message.player_id, disproved=True)
            await self._enqueued_elsewhere(message, answer, asked_us)
        else:
            await self._enqueued(message, before, answer)

    async def _enqueued(self, message: protocol.Enqueue, before: Seen | None, answer: Answer) -> None:
        if answer.fields:
            # This connection owns the player. What the channel brought before its `queued` was for another owner.
            token, seq, enqueued_at, epoch, frame = answer.fields
            self._context.clock.at_least(int(seq))  # a client that is told so may close, and claim anew, at once
            if before is None or not before.running or before.state == "unsure":
                self._socket.claimed()
                own = Seen(message.player_id, message.game_mode, token, enqueued_at, epoch)
                own.seq, own.part = int(seq) - 1, part_of(token)
                self._journey = own
                # The channel brings it, too; but it may lose it, and an emptied Redis could not repeat it.
                self._deliver(message.player_id, frame.encode())
        else:
            self._undo_claim(before, message.player_id, disproved=True)
        if answer.code == "stale":
            raise StoreUnavailable("overtaken by its own repeat, or by another connection's claim")
        if answer.code not in {"queued", "gathering", "held"}:
            self._client.refuse(ErrorCode(answer.code), REFUSALS[answer.code])
        if answer.code not in {"queued", "gathering"} and self._journey is not before:
            # An earlier enqueue took effect unseen: its frames were dropped, and its player may be held by now.
            await self._catch_up()

    async def _enqueued_elsewhere(self, message: protocol.Enqueue, answer: Answer, asked_us: int) -> None:
        """Another connection has the player. Whoever has proved to be that player takes it over as by `resume`.

        Its game crashed, say, and was started again without the resume token.
        """
        state, game_mode, token = answer.fields
        if not self._client.authenticated:
            self._client.refuse(ErrorCode.ALREADY_IN_QUEUE, REFUSALS["already_in_queue"])
        elif game_mode != message.game_mode:
            words = f"this player is {state} in {game_mode}; dequeue there first"
            self._client.refuse(ErrorCode.ALREADY_IN_QUEUE, words, state=state, game_mode=game_mode)
        elif not await self._take_up(message.player_id, token, asked_us):
            raise StoreUnavailable("that journey has just ended")

    async def _dequeue(self, message: protocol.Dequeue) -> None:
        current = self._journey
        if message.game_mode is not None and message.game_mode not in self._context.matchmakers:
            self._client.refuse(ErrorCode.INVALID_GAME_MODE, f"game_mode: expected one of {self._context.mode_names}")
            return
        if current is None or current.state == "over":
            self._client.refuse(ErrorCode.NOT_IN_QUEUE, "there is nothing to leave")
            return
        if message.player_id not in {None, current.player_id}:
            self._client.refuse(ErrorCode.INVALID_MESSAGE, "player_id: expected this connection's own player, or none")
            return
        if message.game_mode not in {None, current.game_mode}:
            self._client.refuse(ErrorCode.INVALID_MESSAGE, f"game_mode: expected {current.game_mode}, or none")
            return
        answer = await self._ask_until_done(
            current,
            lambda: journey.Leave(current.player_id, self._connection, self._services.next_operation(), "requested"),
        )
        if answer.code == "too_late":
            state, loading_session_id = answer.fields
            text = "the match is made; it can no longer be left"
            self._client.refuse(ErrorCode.TOO_LATE, text, state=state, loading_session_id=loading_session_id)
        elif answer.code == "not_in_queue":
            self._client.refuse(ErrorCode.NOT_IN_QUEUE, "there is nothing to leave")
        elif answer.fields:
            # The channel brings it, too; but a client may enqueue anew before that.
            self._deliver(current.player_id, answer.fields[0].encode())

    async def _loading_complete(self, message: protocol.LoadingComplete) -> None:
        current = self._journey
        if current is None:
            self._client.refuse(ErrorCode.NOT_IN_QUEUE, "there is no match to load")
            return
        if current.state == "matched" and current.loading_session_id == message.loading_session_id:
            return  # a repeat; an emptied Redis would not know it
        answer = await self._ask_until_done(
            current, lambda: journey.Ready(current.player_id, self._connection, message.loading_session_id)
        )
        if answer.code == "wrong_session_id":
            self._client.refuse(ErrorCode.WRONG_SESSION_ID, "loading_session_id: not this player's loading session")
        elif answer.code == "not_in_queue":
            self._client.refuse(ErrorCode.NOT_IN_QUEUE, "there is no match to load")

    async def _resume(self, message: protocol.Resume, asked_us: int) -> None:
        if not self._client.may_speak_for(message.player_id, self._journey):
            return
        if not self._context.tokens.ready:
            raise StoreUnavailable("the pool's secret is not known yet")
        if message.resume_token.partition("~")[0] not in self._context.matchmakers:
            self._client.refuse(ErrorCode.INVALID_RESUME_TOKEN, "resume_token: not valid for this player; enqueue anew")
        elif not await self._take_up(message.player_id, message.resume_token, asked_us):
            self._client.refuse(
                ErrorCode.INVALID_RESUME_TOKEN, "resume_token: the player's place is gone; enqueue anew"
            )

    async def _take_up(self, player_id: str, token: str, asked_us: int) -> bool:
        """Go on with the journey of this token; False when it is gone."""
        # A signature that this node does not know may still stand in the record, which then is the proof.
        proven = self._context.tokens.verify(player_id, token)
        made_at_us = proven.made_at_ms * 1000 if proven else ""
        node, operation = self._context.node, self._services.next_operation()
        game_mode, part = token.partition("~")[0], proven.part if proven else ""
        item = journey.Resume(
            player_id, self._connection, node, operation, token, game_mode, made_at_us, asked_us, part
        )
        before, answer = await self._claim(game_mode, item)
        if answer.code != "ok":
            self._undo_claim(before, player_id, disproved=False)
            if answer.code == "stale":
                raise StoreUnavailable("overtaken by another connection's claim")
            return False
        game_mode, enqueued_at, epoch, resumed, frame = answer.fields
        self._socket.claimed()
        self._journey = Seen(player_id, game_mode, token, enqueued_at, epoch, part=part_of(token))
        self._deliver(player_id, resumed.encode())
        self._context.clock.at_least(self._journey.claimed_seq)
        self._deliver(player_id, frame.encode())
        log.info("player_resumed", player_id=player_id, connection=self._connection)
        return True

    async def _claim(self, game_mode: str, item: "journey.Enqueue | journey.Resume") -> tuple[Seen | None, Answer]:
        """Ask for a player.

        Without an answer this connection is unsure: it passes no frame on, but when it ends it leaves, which changes
        nothing if the player was never its own.
        """
        await self._services.subscribe(item.player_id)
        before = self._journey
        if before is None or not before.running:
            self._journey = Seen(item.player_id, game_mode, state="unsure")
        return before, await self._services.ask(game_mode, item)

    def _undo_claim(self, before: Seen | None, player_id: str, *, disproved: bool) -> None:
        """Redis refused the claim: what this connection had before it still stands, unless that is disproved, too."""
        self._journey = None if before and before.state == "unsure" and disproved else before
        if self._journey is None or self._journey.player_id != player_id:
            self._services.unsubscribe()

    # --- what comes back ---

    def _deliver(self, player_id: str, data: bytes) -> None:
        """Pass a frame on, once and in order; one that this connection has no right to, or had before, is dropped."""
        if self._journey and (accepted := self._journey.accept(player_id, data)):
            kind, frame = accepted
            self._context.events.record(FrameDelivered(kind, player_id, self._connection))
            self._context.status.told(self._journey, kind)
            self._socket.send(frame)

    async def _catch_up(self) -> None:
        """Read what the channel may have lost.

        While Redis is away, nothing later is passed on either: the frames in between would be missing for good. After
        a bug (logged there) the next round tries again.
        """
        current = self._journey
        if current is None or not current.running or current.state == "unsure":
            return
        if self._late:  # what Redis said last must have been said on before it is asked again
            current.behind = True  # and no frame that waits in between: what is lost may have come before it
            self._mailbox.catch_up()
            return
        try:
            answer = await self._services.ask(current.game_mode, current.look(self._connection))
            if answer.code == "behind":
                await self._reassert(current)
                current.behind = False
                return
        except InternalError:
            return
        except (StoreUnavailable, ActorError):
            current.behind = True
            if self._asking_again is not current:
                self._asking_again = current
                self.background(self._ask_again(current))
            return
        current.behind = False
        if answer.code == "taken_over":
            self._release(current.player_id)
        else:
            self._keep_late(answer.fields)

    async def _ask_again(self, current: Seen) -> None:
        """Ask for another catch-up, until one succeeds or the journey is another."""
        while current.behind and self._journey is current:
            await asyncio.sleep(_CATCH_UP_RETRY_SECONDS)
            self._mailbox.catch_up()
        self._asking_again = None

    async def _reassert(self, current: Seen) -> None:
        """Redis has lost the player, or what it was told; or this node was thought dead. Put it back."""
        item = current.reassertion(self._connection, self._context.node, self._services.next_operation())
        answer = await self._services.ask(current.game_mode, item)
        match answer.code:
            case "ok":
                current.epoch = answer.fields[0]
                self._keep_late(answer.fields[1:])
            case "put_back":
                current.epoch = answer.fields[0]
                self._deliver_all([frame.encode() for frame in answer.fields[1:]])
            case "taken_over":
                self._release(current.player_id)
            case "gone":
                gone = protocol.Dequeued(seq=current.seq + 1, reason="disconnected")
                self._deliver(current.player_id, protocol.encode(gone).encode())

    def _keep_late(self, frames: Sequence[str]) -> None:
        self._late.keep(frames)
        if frames:
            self._mailbox.deliver_late()

    def _deliver_in_order(self, frame: Frame) -> None:
        if self._journey and self._journey.behind:
            return  # the record has it, too, and what came before
        self._deliver_all(self._late.before(frame.data))
        self._deliver(frame.player_id, frame.data)
        if self._journey and self._journey.behind:
            self._mailbox.catch_up()

    def _deliver_all(self, frames: Sequence[bytes]) -> None:
        for frame in frames:
            if self._journey:
                self._deliver(self._journey.player_id, frame)

    async def _check_owner(self, player_id: str) -> None:
        """Another connection took the player over. By now this one may have resumed it: ask (docs/races.md, 13b)."""
        current = self._journey
        if current and current.player_id == player_id and current.state != "unsure":
            answer = await self._services.carry_out(current.game_mode, current.look(self._connection))
            if answer.code == "taken_over":
                self._release(player_id)

    def _release(self, player_id: str) -> None:
        """Another connection owns this player: nothing that this one does may touch it any more."""
        if self._journey and self._journey.player_id == player_id:
            self._journey = None
            self._services.unsubscribe()
            self._socket.close(CloseCode.TAKEN_OVER)
            log.info("player_taken_over", player_id=player_id, connection=self._connection)

    # --- the end ---

    async def _leave(self, *, left: bool, grace_seconds: float | None) -> None:
        current = self._journey
        self._journey = None
        try:
            if current and current.running:
                operation = self._services.next_operation()
                usual = self._context.modes.deadlines(current.game_mode).reconnect_grace
                grace = usual if grace_seconds is None else grace_seconds
                item = current.ending(self._connection, operation, left=left, grace_seconds=grace)
                await self._services.carry_out(current.game_mode, item)
                of_player = {"player_id": current.player_id, "state": current.state, "connection": self._connection}
                log.info("player_left" if left else "player_held", **of_player)
        except (InternalError, ActorError):
            # Logged where it happened; or this node stops, and holds whoever is still attributed to it.
            log.debug("leave_left_to_the_node", connection=self._connection)
        finally:
            self._services.unsubscribe()
            self.ref.stop()

    # --- helpers ---

    async def _ask_until_done(self, current: Seen, make: "Callable[[], journey.Ready | journey.Leave]") -> Answer:
        """Carry out what concerns a running journey. A Redis that knows nothing of it is told, and asked once more."""
        answer = await self._services.carry_out(current.game_mode, make())
        if answer.code == "not_in_queue" and current.running:
            await self._catch_up()
            answer = await self._services.carry_out(current.game_mode, make())
        return answer
