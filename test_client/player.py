"""One simulated player from its arrival to its stated end: a client driven by a behaviour, in one task."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

from match_server.protocol import Dequeue, MatchFound
from test_client.behaviours import Action, Actions, DropLink, Normal, Send, Vanish
from test_client.client import CannotConnect, LinkLost, PlayerClient, seconds_until_return
from test_client.journey import Journey
from test_client.states import State, Step

ANSWER_SECONDS = 10.0  # past the deadline, for an answer that is due
LONGEST_BACKOFF_SECONDS = 2.0
NOBODY_THERE_SECONDS = 10.0  # after which a player that no node has answered yet gives up

MATCHED = "matched"
LEFT_WAITING = "left_waiting"
LOST = "lost"
VIOLATION = "violation"
INTERRUPTED = "interrupted"
VANISHED = "vanished"
_PARTY_ENDS = frozenset({"dequeued:party_left", "dequeued:party_timeout"})


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a player plays its part.

    Args:
        deadline_seconds: from its arrival on. Then a queued player leaves; a loading one is given its session's
            timeout besides; one without an answer is lost.
        answer_seconds: how long an answer may take after that.
    """

    deadline_seconds: float = 60.0
    answer_seconds: float = ANSWER_SECONDS


class SimulatedPlayer:
    """Plays its behaviour until it has an end; `fate` then says which.

    The fates are `matched`, `dequeued:<reason>`, `cancelled:<reason>`, `left_waiting`, `refused:<why>`,
    `join_failed:<why>`, `violation`, `lost` and `interrupted`.

    Args:
        client: its connection, with its journey.
        behaviour: what it does when told something.
        patience: how long it goes on.
        rng: its own chance, for the moments of its returns.
        play: joins the room of a match, and returns what went wrong, or None; without it the player does not join.
        on_told: called when it is queued or told to load, after its behaviour has planned what to do.
    """

    def __init__(
        self,
        client: PlayerClient,
        behaviour: Normal,
        *,
        patience: Patience,
        rng: Random,
        play: Callable[[MatchFound], Awaitable[str | None]] | None = None,
        on_told: Callable[["SimulatedPlayer"], None] = lambda _player: None,
    ) -> None:
        self.client = client
        self.behaviour = behaviour
        self.fate: str | None = None
        self.refused_with = ""  # the service's own words, where it was refused
        self.mates: tuple[SimulatedPlayer, ...] = ()  # the other members of its party
        self._patience = patience
        self._rng = rng
        self._join = play
        self._on_told = on_told
        self._plan: list[tuple[float, Action]] = []  # what to do, and when, on the loop's clock
        self._arrived = 0.0
        self._deadline = math.inf
        self._loading_until = -math.inf
        self._waiting_since = -math.inf  # for an answer, or for a way back
        self._asked_to_leave = False  # since it was last told `queued`
        self._away_seconds: float | None = None
        self._failed_connects = 0
        self._alarm: asyncio.Timeout | None = None

    @property
    def expected(self) -> bool:
        """It ended as its behaviour should."""
        if self.fate in _PARTY_ENDS and any("matched" not in mate.behaviour.fates for mate in self.mates):
            return True
        return self.fate == LEFT_WAITING or self.fate in self.behaviour.fates

    @property
    def gave_up(self) -> bool:
        """It left the queue because it had waited long enough."""
        return self.fate == LEFT_WAITING or self._asked_to_leave

    @property
    def journey(self) -> Journey:
        """What it was told."""
        return self.client.journey

    async def run(self) -> None:
        """Play to the end. Cancelled, it leaves the service and is `interrupted`."""
        self._arrived = self._now()
        self._deadline = self._arrived + self._patience.deadline_seconds
        try:
            while self.fate is None:
                await self._use_a_link()
        finally:
            self.fate = self.fate or INTERRUPTED
            await self.client.close()
            self._have_the_last_word()

    def give_up_waiting(self) -> None:
        """Nobody is left to be matched with: leave, if still queued."""
        self._deadline = min(self._deadline, self._now())
        if self._alarm is not None and not self._alarm.expired():
            self._alarm.reschedule(self._deadline)

    # --- one link ---

    async def _use_a_link(self) -> None:
        try:
            async with asyncio.timeout_at(self._limit()):
                await self.client.open()
            self._failed_connects = 0
            while self.fate is None:
                await self._do_what_is_due()
                await self._listen()
        except LinkLost as lost:
            await self._return_after(lost)
        except CannotConnect as failure:
            await self._try_again_after(failure)
        except TimeoutError:
            self._give_up()

    async def _listen(self) -> None:
        """Take one frame, or return when something is due."""
        due = min((when for when, _ in self._plan), default=math.inf)
        try:
            async with asyncio.timeout_at(min(due, self._limit())) as self._alarm:
                await self.client.receive()
        except TimeoutError:
            if self._now() >= self._limit():
                await self._at_the_limit()
            return
        finally:
            self._alarm = None
        await self._follow(self.client.last_step)

    async def _follow(self, step: Step) -> None:
        journey = self.journey
        match step:
            case Step.WAIT:
                return
            case Step.RETRY:
                retry = self._now() + journey.retry_after_seconds
                self._plan.append((retry, Send(journey.again())))
            case Step.GATHER:
                self._do_next(self.behaviour.on_gathering())
            case Step.QUEUED:
                self._asked_to_leave = False
                self._do_next(self.behaviour.on_queued())
                self._on_told(self)
            case Step.LOAD:
                timeout = 0.0 if journey.loading is None else journey.loading.timeout_seconds
                self._loading_until = self._now() + timeout + self._patience.answer_seconds
                self._do_next(self.behaviour.on_start_loading())
                self._on_told(self)
            case Step.STOP_LOADING:
                self._do_next(())
                self._waiting_since = self._now()
            case Step.PLAY:
                self.fate = await self._play()
            case Step.END:
                self.fate = journey.end
                self.refused_with = self.client.refused_with
                if self._has_left_waiting():
                    self.fate = LEFT_WAITING

    def _has_left_waiting(self) -> bool:
        """It, or a mate and so its whole party, gave up with nobody left to be matched with."""
        asked = self.fate == "dequeued:requested" and self.fate not in self.behaviour.fates
        return asked or (self.fate == "dequeued:party_left" and any(mate.gave_up for mate in self.mates))

    async def _play(self) -> str:
        match = self.journey.match
        if self._join is None or match is None:
            return MATCHED
        failure = await self._join(match)
        return f"join_failed:{failure}" if failure else MATCHED

    # --- the plan ---

    def _do_next(self, actions: Actions) -> None:
        """Replace the plan: what it was about to do belongs to a state that is over."""
        now = self._now()
        self._plan = [(now + action.after_seconds, action) for action in actions]

    async def _do_what_is_due(self) -> None:
        now = self._now()
        due = [action for when, action in self._plan if when <= now]
        self._plan = [(when, action) for when, action in self._plan if when > now]
        for action in due:
            if isinstance(action, DropLink):
                self._away_seconds = action.away_seconds
                self.client.drop_link()
                return
            if isinstance(action, Vanish):
                self.client.drop_link()
                self.fate = VANISHED
                return
            if action.expect:
                self.journey.expect(*action.expect)
            if isinstance(action.message, (str, bytes)):
                await self.client.send_raw(action.message)
            else:
                await self.client.send(action.message)

    # --- the limits ---

    def _limit(self) -> float:
        """The moment at which this player has waited long enough, as things stand."""
        limit = self._deadline
        journey = self.journey
        if journey.state is State.LOADING:
            limit = max(limit, self._loading_until)
        if not self._is_waiting_in_queue():
            limit = max(limit, self._waiting_since + self._patience.answer_seconds)
        return limit

    def _is_waiting_in_queue(self) -> bool:
        journey = self.journey
        waits = journey.state in {State.GATHERING, State.QUEUED}
        return waits and journey.settled and self.client.connected and not self._asked_to_leave

    async def _at_the_limit(self) -> None:
        if not self._is_waiting_in_queue():
            self._give_up()
            return
        self._asked_to_leave = True
        self._waiting_since = self._now()
        await self.client.send(Dequeue())

    def _give_up(self) -> None:
        if self.journey.times.enqueued is None:
            self.fate = "refused:unreachable"
        else:
            self.fate = self.journey.end or LOST  # an end, if it was refused for now and has no time to try again

    # --- ways back ---

    async def _return_after(self, lost: LinkLost) -> None:
        self._plan.clear()
        self._waiting_since = self._now()
        pause, self._away_seconds = self._away_seconds, None
        if pause is None:
            pause = seconds_until_return(lost.code, self._rng)
        if pause is None:
            self.fate, self.refused_with = f"refused:closed_{lost.code}", lost.words
        else:
            await asyncio.sleep(pause)

    async def _try_again_after(self, failure: CannotConnect) -> None:
        self.refused_with = failure.words
        if failure.final:
            self.fate = f"refused:{failure}"
            return
        self._failed_connects += 1
        longest = min(LONGEST_BACKOFF_SECONDS, 0.1 * 2**self._failed_connects)
        await asyncio.sleep(self._rng.uniform(longest / 2, longest))
        nobody_there = self._arrived + NOBODY_THERE_SECONDS if self.journey.times.enqueued is None else math.inf
        if self._now() >= min(nobody_there, self._limit()):
            self._give_up()

    def _have_the_last_word(self) -> None:
        if self.fate not in {LOST, INTERRUPTED}:
            self.journey.finish()
        if self.journey.violations:
            self.fate = VIOLATION

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
