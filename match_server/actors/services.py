"""What a session asks of the rest of its node: steps of the matchmakers, subscriptions of the subscriber."""

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from match_server.actors.core import Ref
from match_server.actors.explanations import StatusAnswers
from match_server.actors.mailbox import Mailbox
from match_server.actors.matchmaker import JourneyRequest, MatchmakerMessage
from match_server.actors.subscriber import Subscribe, SubscriberMessage, Unsubscribe
from match_server.errors import ActorError, ActorStopped, StoreUnavailable
from match_server.events.node import Events
from match_server.matching.game_modes import GameModes
from match_server.redis_clock import RedisClock
from match_server.resume_tokens import TokenMint
from match_server.store import journey
from match_server.store.journey import Answer

log = structlog.get_logger(__name__)

_ASK_SECONDS = 10.0
_SUBSCRIBE_SECONDS = 3.0  # a confirmation takes a millisecond; without one the client is told `server_busy`
_INTENT_RETRY_SECONDS = 0.25

Step: TypeAlias = (
    journey.Enqueue | journey.Ready | journey.Leave | journey.Hold | journey.Resume | journey.CatchUp | journey.Reassert
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionContext:
    """What all sessions of a node share."""

    node: str
    modes: GameModes
    matchmakers: Mapping[str, Ref[MatchmakerMessage]]
    subscriber: Ref[SubscriberMessage]
    tokens: TokenMint
    clock: RedisClock
    status: StatusAnswers
    events: Events

    @property
    def mode_names(self) -> str:
        """The game modes there are, for a client that named another."""
        return ", ".join(mode.name for mode in self.modes.open)


class Services:
    """One session's way to the matchmakers and the subscriber."""

    def __init__(self, context: SessionContext, mailbox: Mailbox) -> None:
        self._context = context
        self._mailbox = mailbox
        self._operation = 0
        self._subscribed: str | None = None

    def next_operation(self) -> int:
        """A number that only grows within this connection: a repeat, or a late command, is known by it."""
        self._operation += 1
        return self._operation

    def ask(self, game_mode: str, item: Step) -> Awaitable[Answer]:
        """Have the mode's matchmaker carry out one step.

        Raises:
            StoreUnavailable, ActorError: there was no answer; it may have taken effect.
            InternalError: a bug; it is logged.
        """
        return self._context.matchmakers[game_mode].ask(JourneyRequest(item), _ASK_SECONDS)

    async def carry_out(self, game_mode: str, item: Step) -> Answer:
        """Ask until it is done: what a client cannot know to repeat is kept while Redis is away.

        Raises:
            ActorStopped: this node stops; whoever is left is held for the client to resume.
            InternalError: a bug; it is logged.
        """
        while True:
            try:
                return await self.ask(game_mode, item)
            except ActorStopped:
                raise
            except (StoreUnavailable, ActorError):
                await asyncio.sleep(_INTENT_RETRY_SECONDS)

    def leave_to_hold(self, game_mode: str, player_id: str, grace_seconds: float) -> None:
        """Have the player held, without waiting for it. Should that fail, the janitor finds it unattended."""
        item = journey.Hold(player_id, self._mailbox.connection, int(grace_seconds * 1_000_000))
        try:
            self._context.matchmakers[game_mode].tell(JourneyRequest(item))
        except ActorError:
            log.warning("player_not_held", player_id=player_id)

    async def subscribe(self, player_id: str) -> None:
        """Listen to a player's channel, and to no other; returns once Redis has confirmed it.

        Raises:
            ActorError: it has not.
        """
        if self._subscribed == player_id:
            return
        self.unsubscribe()
        self._subscribed = player_id
        try:
            await self._context.subscriber.ask(Subscribe(player_id, self._mailbox), _SUBSCRIBE_SECONDS)
        except ActorError:
            self.unsubscribe()
            raise

    def unsubscribe(self) -> None:
        """Listen to no channel."""
        if self._subscribed is None:
            return
        player_id, self._subscribed = self._subscribed, None
        try:
            self._context.subscriber.tell(Unsubscribe(player_id, self._mailbox))
        except ActorError:
            log.debug("unsubscribe_left_out", player_id=player_id)  # the node stops, and its link with it
