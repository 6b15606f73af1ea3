"""Whatever is done to an actor: every ask ends, and nothing is handled twice."""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from match_server.actors.core import ActorSystem, Supervision
from match_server.errors import ActorCrashed, ActorStopped, MailboxFull
from tests.unit.actor_probe import FOREVER, Ask, Diary, Message, Poison, Probe, spawn, text_of
from tests.unit.virtual_time import run


class Exercise:
    """Does to one supervised actor what a list of steps says, and keeps account."""

    def __init__(self, *, mailbox_limit: int, slow: bool) -> None:
        self.diary = Diary()
        self.taken: list[str] = []
        self.asks: list[asyncio.Future[str]] = []
        self._mailbox_limit = mailbox_limit
        self._slow = slow
        self._numbers = itertools.count()

    def start(self, system: ActorSystem) -> None:
        self._ref = spawn(
            system,
            self.diary,
            handler=self._work,
            mailbox_limit=self._mailbox_limit,
            supervision=Supervision(crashes=10_000),
        )

    async def _work(self, probe: Probe, batch: Sequence[Message]) -> None:
        for message in batch:
            if self._slow:
                await asyncio.sleep(0.3)
            if "poison" in text_of(message):
                raise Poison
            if isinstance(message, Ask):
                message.answer(message.text)

    async def do(self, action: str) -> None:
        match action:
            case "yield":
                await asyncio.sleep(0)
            case "pause":
                await asyncio.sleep(0.5)
            case "cancel an ask":
                for ask in self.asks[-1:]:
                    ask.cancel()
            case _:
                self._send(action)

    def _send(self, action: str) -> None:
        text = f"{action} {next(self._numbers)}"
        try:
            if action.startswith("ask"):
                self.asks.append(asyncio.ensure_future(self._ref.ask(Ask(text), FOREVER)))
            else:
                self._ref.tell(text)
        except MailboxFull:
            assert self._ref.depth == self._mailbox_limit
            return
        self.taken.append(text)


actions = st.sampled_from(["tell", "ask", "ask", "tell poison", "ask poison", "yield", "pause", "cancel an ask"])


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(actions, max_size=40), mailbox_limit=st.integers(1, 8), slow=st.booleans(), late=st.booleans())
def test_whatever_happens_every_ask_ends_and_nothing_is_handled_twice(
    steps: list[str], mailbox_limit: int, slow: bool, late: bool
) -> None:
    exercise = Exercise(mailbox_limit=mailbox_limit, slow=slow)

    async def scenario() -> tuple[bool, list[Any]]:
        async with ActorSystem() as system:
            exercise.start(system)
            for action in steps:
                await exercise.do(action)
            in_time = await system.stop(0.1 if late else FOREVER)
        return in_time, await asyncio.gather(*exercise.asks, return_exceptions=True)

    in_time, outcomes = run(scenario())
    for outcome in outcomes:
        assert isinstance(outcome, str | ActorStopped | ActorCrashed | asyncio.CancelledError)
    seen = exercise.diary.seen
    assert seen == exercise.taken[: len(seen)]  # in order, each once, none left out
    if in_time:
        assert seen == exercise.taken
        poisoned = [batch for batch in exercise.diary.batches if any("poison" in text for text in batch)]
        assert len(exercise.diary.crashed) == len(poisoned)
