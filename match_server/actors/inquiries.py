"""Inquiries: what only the node that proposes for a mode knows, asked from any node over the nodes' own channels."""

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import structlog
from pydantic_core import from_json, to_json

from match_server.actors.core import Actor, Ref
from match_server.actors.request import Request
from match_server.errors import ActorError, StoreUnavailable

log = structlog.get_logger(__name__)

MAILBOX_LIMIT = 1_000
ANSWER_SECONDS = 1.0  # an answer that takes longer is not waited for
_MOST_OPEN = 1_000  # questions to other nodes

Document: TypeAlias = Mapping[str, Any]


class Elsewhere(NamedTuple):
    """Another node proposes for the mode, as far as this one knows."""

    node: str


class Proposes(Protocol):
    """The proposer of one mode on this node, as inquiries see it."""

    async def inquire(self, player_id: str) -> Document | Elsewhere | None:
        """Why that player's ticket waits; what the queue is like, for an empty id. None when this cannot be told."""


class Inquire(Request[Document | None]):
    """A question of this node. `player_id` is empty for the queue as a whole."""

    __slots__ = ("game_mode", "player_id")

    def __init__(self, game_mode: str, player_id: str) -> None:
        super().__init__()
        self.game_mode = game_mode
        self.player_id = player_id


class Heard(NamedTuple):
    """A question of another node, or its answer, as it came over this node's channel."""

    words: str


InquiryMessage: TypeAlias = Inquire | Heard


class Inquiries(Actor[InquiryMessage]):
    """One per node. Holds the questions that other nodes have yet to answer; the askers' timeouts end them."""

    def __init__(
        self,
        *,
        node: str,
        channel_of: Callable[[str], str],
        publish: Callable[[str, str], Awaitable[None]],
        proposers: Mapping[str, Proposes],
    ) -> None:
        """`channel_of` names a node's own channel; `publish` sends a text there, and raises StoreUnavailable."""
        self._node = node
        self._channel_of = channel_of
        self._publish = publish
        self._proposers = proposers
        self._open: dict[str, Inquire] = {}

    async def receive(self, batch: Sequence[InquiryMessage]) -> None:
        """Begin to answer each; one that waits for its answer holds up no other."""
        for message in batch:
            match message:
                case Inquire():
                    self.background(self._inquire(message))
                case Heard(words):
                    self._hear(words)

    async def _inquire(self, request: Inquire) -> None:
        found = await self._look(request.game_mode, request.player_id)
        if not isinstance(found, Elsewhere):
            request.answer(found)
            return
        self._open = {number: asked for number, asked in self._open.items() if asked.open}
        if len(self._open) >= _MOST_OPEN:
            request.answer(None)
            return
        number = secrets.token_hex(8)
        self._open[number] = request
        await self._send(found.node, f"ask {number} {self._node} {request.game_mode} {request.player_id}")

    def _hear(self, words: str) -> None:
        word, number, rest = words.split(" ", 2)
        if word == "ask":
            asker, game_mode, player_id = rest.split(" ", 2)
            self.background(self._reply(number, asker, game_mode, player_id))
        elif request := self._open.pop(number, None):
            request.answer(from_json(rest))

    async def _reply(self, number: str, asker: str, game_mode: str, player_id: str) -> None:
        """Answer another node. A question that this node cannot answer either is not passed on: it would go round."""
        found = await self._look(game_mode, player_id)
        document = None if isinstance(found, Elsewhere) else found
        await self._send(asker, f"answer {number} {to_json(document).decode()}")

    async def _look(self, game_mode: str, player_id: str) -> Document | Elsewhere | None:
        proposer = self._proposers.get(game_mode)
        return await proposer.inquire(player_id) if proposer else None

    async def _send(self, node: str, words: str) -> None:
        try:
            await self._publish(self._channel_of(node), words)
        except StoreUnavailable as error:
            log.debug("inquiry_lost", node=node, cause=str(error))  # the asker waits no longer than a second


class InquiriesPort:
    """How the rest of a node asks. Without modes that are formed by rules there is nobody to ask."""

    def __init__(self) -> None:
        self._ref: Ref[InquiryMessage] | None = None

    @property
    def attached(self) -> bool:
        """Whether there is anybody to ask."""
        return self._ref is not None

    def attach(self, ref: Ref[InquiryMessage]) -> None:
        """Say where the actor is."""
        self._ref = ref

    async def explanation(self, game_mode: str, player_id: str) -> Document | None:
        """Why a player's ticket waits; None where the mode's proposer does not say so within a second."""
        return await self._ask(game_mode, player_id)

    async def overview(self, game_mode: str) -> Document | None:
        """What the mode's proposer says of its queue; None where it says nothing within a second."""
        return await self._ask(game_mode, "")

    async def _ask(self, game_mode: str, player_id: str) -> Document | None:
        if self._ref is None:
            return None
        try:
            return await self._ref.ask(Inquire(game_mode, player_id), ANSWER_SECONDS)
        except ActorError:
            return None

    def heard(self, words: str) -> None:
        """What came over this node's channel. Never blocks; a question too many is left unanswered."""
        try:
            if self._ref:
                self._ref.tell(Heard(words))
        except ActorError:
            log.debug("inquiry_left_out")
