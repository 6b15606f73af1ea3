"""Why a player is not matched, and what its client is told when it asks for its `status`."""

from collections.abc import Callable, Mapping
from typing import Any

from match_server import protocol
from match_server.actors.inquiries import InquiriesPort
from match_server.actors.seen import Seen
from match_server.errors import StoreUnavailable
from match_server.matching.estimates import Likeness, WaitEstimates, likeness
from match_server.matching.game_modes import GameModes
from match_server.store.blocked_by import why_blocked
from match_server.store.operators import OperatorStore, PlayerStatus
from match_server.store.tickets import Part

_WAITS = frozenset({"gathering", "queued"})
_UNDER_WAY = _WAITS | {"loading", "allocating"}


class Explanations:
    """Explains, by the player's record and by what the mode's proposer says."""

    def __init__(self, store: OperatorStore, inquiries: InquiriesPort, modes: GameModes) -> None:
        self._store = store
        self._inquiries = inquiries
        self._modes = modes

    async def explain(self, player_id: str, status: PlayerStatus) -> Mapping[str, Any] | None:
        """Why the player is not matched; None unless it gathers or waits.

        In a mode that is drawn at random, and without an answer of the mode's proposer: `stage` and `waiting` alone.

        Raises:
            StoreUnavailable: Redis gave no answer.
        """
        if status.state not in _WAITS:
            return None
        (queue,) = await self._store.queues([status.game_mode])
        out_of_reach = "held" if status.held or not status.within_reach else "waiting"
        is_paused = queue.paused or self._modes.is_closed(status.game_mode)
        stage = "gathering" if status.state == "gathering" else "paused" if is_paused else out_of_reach
        if stage == "waiting":
            found = await self._inquiries.explanation(status.game_mode, player_id)
            if found is not None:
                return found
            mode = self._modes.get(status.game_mode)
            if mode is not None and why_blocked(mode, queue, ()) == "no_server_for_mode":  # which a full one is, too
                stage = "no_slots"
        return {"stage": stage, "waiting": queue.tickets or queue.waiting}


class StatusAnswers:
    """Answers `status`, in every state; and knows from the waits of this node's players what the next may expect."""

    def __init__(
        self,
        *,
        store: OperatorStore,
        explanations: Explanations,
        modes: GameModes,
        clock: Callable[[], float],
    ) -> None:
        """`clock` is the event loop's time."""
        self._store = store
        self._explanations = explanations
        self._modes = modes
        self._clock = clock
        self._estimates = WaitEstimates()

    def told(self, seen: Seen, kind: str) -> None:
        """A frame of this kind went to a player. The one that ends its wait tells what others may expect."""
        waited = seen.take_wait(kind)
        like = self._like(seen.game_mode, seen.part) if waited is not None else None
        if like is not None and waited is not None:
            self._estimates.note(like, waited, self._clock())

    def estimate_for_ticket(self, game_mode: str, part: str) -> str:
        """What a new ticket's `queued` says of its wait, as the scripts take it; empty where it says nothing."""
        estimate = self.estimated_wait(game_mode, part) if part else None
        return "" if estimate is None else str(estimate)

    def estimated_wait(self, game_mode: str, part: str) -> float | None:
        """How long a player with that part of a ticket has to wait, in seconds; None when unknown."""
        like = self._like(game_mode, part)
        estimate = None if like is None else self._estimates.of(like, self._clock())
        return None if estimate is None else round(estimate, 1)

    async def answer(self, seen: Seen | None) -> protocol.Status:
        """What the client of that journey is told.

        Raises:
            StoreUnavailable: Redis gave no answer, or does not know this journey again yet.
        """
        if seen is None or seen.state == "over":
            return protocol.Status(state="none")
        status = await self._store.player(seen.player_id) if seen.state != "unsure" else None
        if status is None:
            if seen.running:
                raise StoreUnavailable("Redis does not know this player's place yet")
            return protocol.Status(state="none")
        waits = status.state in _WAITS
        return protocol.Status(
            state=status.state,
            waited_seconds=round(status.waited_seconds, 3) if status.state in _UNDER_WAY else None,
            estimated_wait_seconds=self.estimated_wait(seen.game_mode, seen.part) if waits else None,
            explanation=await self._explanations.explain(seen.player_id, status),
        )

    def _like(self, game_mode: str, part: str) -> Likeness | None:
        mode = self._modes.get(game_mode)
        if mode is None:
            return None
        if not part:
            return Likeness(game_mode, 1, None)
        brought = Part.decode(part)
        return likeness(mode, brought.party_size, dict(brought.attributes))
