"""Players who play on whatever happens: they lose links, come back with `resume`, repeat what was refused for now."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from random import Random
from types import TracebackType
from typing import Any, Self

from match_server.protocol import Dequeued, ServerMessage
from test_client.client import CannotConnect, LinkLost, PlayerClient, seconds_until_return
from test_client.journey import Journey
from test_client.states import State, Step

MODE = "duel"


async def seen(look: Callable[[], Any], *, within_seconds: float = 10.0) -> float:
    """Look again and again until there is something to see, for what no event tells; the seconds that took."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    while not (found := look()):
        assert loop.time() < started + within_seconds, f"not seen within {within_seconds} s; the last look: {found!r}"
        await asyncio.sleep(0.01)
    return loop.time() - started


class Player:
    """One player, in one task of its crowd."""

    def __init__(self, crowd: "Crowd", player_id: str, urls: Sequence[str]) -> None:
        self.journey = Journey(player_id, MODE)
        self.client = PlayerClient(self.journey, urls, gate=crowd.gate)
        self.closes: list[int] = []  # the codes that its links ended with
        self.told: list[ServerMessage] = []
        self.away = False  # its link is down, and it does not come back before `crowd.come_back`
        self._crowd = crowd
        self._rng = Random(player_id)  # noqa: S311 - jitter, no secret
        self._retry_at: float | None = None

    @property
    def player_id(self) -> str:
        return self.journey.player_id

    @property
    def state(self) -> State:
        return self.journey.state

    @property
    def settled(self) -> bool:
        """Connected, and told all that it has asked for."""
        return self.client.connected and self.journey.settled

    async def run(self) -> None:
        while True:
            try:
                await self.client.open()
                while True:
                    await self._listen()
                    await self._follow()
                    self._crowd.changed.set()
                    if self.state is State.MATCHED and not self._crowd.stay:
                        await self.client.close()
                        return
            except LinkLost as lost:
                self.closes.append(lost.code)
                self._retry_at = None
                self._crowd.changed.set()
                pause = seconds_until_return(lost.code, self._rng)
                if pause is None:
                    return
                await asyncio.sleep(pause)
                await self._crowd.may_come_back.wait()
            except CannotConnect:
                await asyncio.sleep(self._rng.uniform(0.05, 0.2))

    async def _listen(self) -> None:
        try:
            async with asyncio.timeout_at(self._retry_at):
                self.told.append(await self.client.receive())
        except TimeoutError:
            self._retry_at = None
            await self.client.send(self.journey.again())
            self.client.last_step = Step.WAIT

    async def _follow(self) -> None:
        match self.client.last_step:
            case Step.RETRY:
                self._retry_at = asyncio.get_running_loop().time() + self.journey.retry_after_seconds
            case Step.LOAD if self._crowd.may_load:
                await self.load()
            case Step.QUEUED | Step.PLAY | Step.END:
                self._retry_at = None

    async def load(self) -> None:
        """Say that it has loaded, in a loading session."""
        if self.state is State.LOADING and self.client.connected:
            await self.client.send(self.journey.loading_complete())

    def was_told(self, kind: type[ServerMessage]) -> int:
        """How often it was told something of this kind."""
        return sum(isinstance(message, kind) for message in self.told)

    @property
    def reasons(self) -> list[str]:
        """Why it left, each time it did."""
        return [message.reason for message in self.told if isinstance(message, Dequeued)]


class Crowd:
    """Use as an asynchronous context manager; `add` lets players come. At the end all links are cut."""

    def __init__(self, *, may_load: bool = True, stay: bool = True) -> None:
        """`stay`: who is matched keeps the connection."""
        self.stay = stay
        self.players: list[Player] = []
        self.may_load = may_load
        self.changed = asyncio.Event()
        self.gate = asyncio.Semaphore(100)
        self.may_come_back = asyncio.Event()
        self.may_come_back.set()
        self._tasks: list[asyncio.Task[None]] = []

    def add(self, count: int, urls: Sequence[str], *, name: str = "p") -> list[Player]:
        """So many players, each of whom connects to the addresses in turn."""
        first = len(self.players)
        new = [Player(self, f"{name}-{number}", urls) for number in range(first, first + count)]
        self.players += new
        self._tasks += [asyncio.create_task(player.run()) for player in new]
        return new

    async def load(self) -> None:
        """From now on everybody who is told to load says at once that it has."""
        self.may_load = True
        for player in self.players:
            try:
                await player.load()
            except LinkLost:
                continue  # it comes back, and loads then

    async def until(
        self,
        holds: Callable[[Player], bool],
        *,
        who: Iterable[Player] | None = None,
        within_seconds: float = 10.0,
    ) -> float:
        """Wait until it holds of everybody; the seconds that took."""
        players = list(self.players if who is None else who)
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            async with asyncio.timeout(within_seconds):
                while not all(map(holds, players)):
                    self._raise_failures()
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            left = [player for player in players if not holds(player)]
            shown = [
                (p.player_id, str(p.state), p.client.connected, p.closes, [str(m)[:150] for m in p.told[-2:]])
                for p in left[:4]
            ]
            raise AssertionError(f"not seen of {len(left)} players within {within_seconds} s: {shown}") from None
        return loop.time() - started

    async def until_state(
        self, *states: State, who: Iterable[Player] | None = None, within_seconds: float = 10.0
    ) -> float:
        """Wait until everybody is connected and in one of these states; the seconds that took."""
        return await self.until(lambda p: p.state in states and p.settled, who=who, within_seconds=within_seconds)

    def violations(self) -> Iterator[str]:
        """What the players' own assertions found."""
        for player in self.players:
            for text in player.journey.violations:
                yield f"{player.player_id}: {text}"

    def _raise_failures(self) -> None:
        for task in self._tasks:
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for player in self.players:
            player.client.drop_link()
        if kind is None:
            self._raise_failures()
