"""Actors: a mailbox, a batch receive, and somebody who watches.

The rules, on one page:

- An actor handles its mailbox one batch at a time: `receive` gets **all messages that wait**, up to `batch_limit`.
  Two hundred requests become one script call; that is where the speed comes from.
- A mailbox has two lanes. Requests that are upkeep wait in the second; a batch has a few of them, behind all others.
- `tell` never blocks. A full mailbox raises at the sender, who says beside the call what it does then.
- `ask` always has a timeout and always ends: with the answer, the receiver's error, `ActorStopped`, or `ActorCrashed`
  for the batch that a receiver crashed on. Asks only point
  downward (session -> matchmaker, session -> subscriber), so no circle of them can wait for itself.
- Every task lives in the system's task group. A background task of an actor ends with it; its failure is the actor's.
- A long-lived actor that crashes is replaced by a fresh instance after a backoff; its address and its waiting messages
  survive, the batch that it crashed on is not retried. Too many crashes end the system, and so the process.
- A session that crashes is not replaced: it ends alone (`crashed` is its last chance to say so).
- Stop has phases, lowest first: each actor finishes what waits for it, then `stopped` runs. One deadline for all;
  whoever is late is cancelled.
"""

import asyncio
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Self, TypeVar

import structlog

from match_server.actors.request import Request
from match_server.errors import ActorCrashed, ActorError, ActorStopped, MailboxFull

M = TypeVar("M")
T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervision:
    """How often a crashed actor is replaced: `crashes` within `window_seconds` are borne, one more ends the system."""

    crashes: int = 5
    window_seconds: float = 60.0
    first_backoff_seconds: float = 0.05
    max_backoff_seconds: float = 5.0


class Ref(Generic[M]):
    """The address of an actor. It outlives any instance of it."""

    __slots__ = ("_cell",)

    def __init__(self, cell: "_Cell[M]") -> None:
        self._cell = cell

    @property
    def name(self) -> str:
        """What the actor is called in logs and metrics."""
        return self._cell.name

    @property
    def depth(self) -> int:
        """How many messages wait."""
        return self._cell.depth

    def tell(self, message: M) -> None:
        """Leave a message. Never blocks.

        Raises:
            MailboxFull: the mailbox is at its cap; the message was not taken.
            ActorStopped: the actor has ended or is ending.
        """
        self._cell.put(message)

    def ask(self, request: Request[T], timeout_seconds: float) -> Awaitable[T]:
        """Leave a request, which must be of the actor's message type, and wait for the answer.

        Raises:
            MailboxFull, ActorStopped: as `tell`.
            AskTimeout: no answer in time; the request may still be carried out.
        """
        self._cell.put(request)  # type: ignore[arg-type]  # T and M cannot be tied to each other
        return request.expect(self._cell.loop, timeout_seconds)

    def stop(self) -> None:
        """Have the actor end once it has handled what waits for it."""
        self._cell.close()

    async def ended(self) -> None:
        """Wait until the actor has ended."""
        await self._cell.done.wait()


class Actor(Generic[M]):
    """Subclass this. The constructor starts nothing; `started` may."""

    batch_limit: ClassVar[int] = 250
    upkeep_limit: ClassVar[int] = 32  # of a batch, beyond that
    _cell: "_Cell[M]"

    @property
    def ref(self) -> Ref[M]:
        """This actor's own address."""
        return Ref(self._cell)

    async def started(self) -> None:
        """Called once, before the first batch."""

    async def receive(self, batch: Sequence[M]) -> None:
        """Handle everything that waited, in order of arrival; upkeep last."""
        raise NotImplementedError

    async def stopped(self) -> None:
        """Called once at an orderly stop, after the last batch."""

    def crashed(self, error_id: str) -> None:
        """Called when this instance crashed; its state can no longer be trusted."""

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the mailbox; it ends with this instance, and its failure is this instance's."""
        self._cell.background(work)

    def every(self, period_seconds: float, message: Callable[[], M]) -> None:
        """Leave a message in the own mailbox again and again. One that finds the mailbox full is left out."""
        self.background(self._repeat(period_seconds, message))

    async def _repeat(self, period_seconds: float, message: Callable[[], M]) -> None:
        while True:
            await asyncio.sleep(period_seconds)
            try:
                self._cell.put(message())
            except (MailboxFull, ActorStopped):
                continue  # the next one will do as well


class _Cell(Generic[M]):
    """What survives an actor's instances: its mailbox and its place in the system. Internal."""

    __slots__ = (
        "_factory",
        "_failure",
        "_limit",
        "_system",
        "_tasks",
        "_waiter",
        "closing",
        "done",
        "loop",
        "mailbox",
        "name",
        "phase",
        "upkeep",
    )

    def __init__(
        self, system: "ActorSystem", name: str, *, phase: int, limit: int, factory: Callable[[], Actor[M]]
    ) -> None:
        self.name = name
        self.phase = phase
        self._system = system
        self._factory = factory
        self._limit = limit
        self.mailbox: deque[M] = deque()
        self.upkeep: deque[M] = deque()  # the second lane
        self.closing = False
        self.done = asyncio.Event()
        self.loop = asyncio.get_running_loop()  # kept: to ask for it is a system call on Python 3.11, at every message
        self._waiter: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, message: M) -> None:
        if self.closing:
            raise ActorStopped(self.name)
        lane = self.upkeep if isinstance(message, Request) and message.upkeep else self.mailbox
        if len(lane) >= self._limit:
            raise MailboxFull(self.name)
        lane.append(message)
        self._wake()

    @property
    def depth(self) -> int:
        return len(self.mailbox) + len(self.upkeep)

    def close(self) -> None:
        self.closing = True
        self._wake()

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._system.own(self._guard(work), name=f"{self.name}:background")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())  # it may have been cancelled before its first step

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - handed to the actor, which crashes on it
            self._failure = error
            self._wake()

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    async def run(self, supervision: Supervision | None) -> None:
        """Instance after instance, until the actor stops or escalates."""
        crashes: deque[float] = deque()
        try:
            while True:
                self._failure = None  # a task of the last instance may have failed while it was cancelled
                error = await self._live()
                if error is None or supervision is None:
                    return
                now = self.loop.time()
                crashes.append(now)
                while crashes[0] < now - supervision.window_seconds:
                    crashes.popleft()
                if len(crashes) > supervision.crashes:
                    raise error
                backoff = supervision.first_backoff_seconds * 2 ** (len(crashes) - 1)
                await asyncio.sleep(min(backoff, supervision.max_backoff_seconds))
        finally:
            self.closing = True
            for lane in (self.mailbox, self.upkeep):
                self._refuse(lane, ActorStopped(self.name))
                lane.clear()
            del self._factory  # it may hold what holds this cell's address: no circle for the garbage collector
            self.done.set()
            self._system.forget(self)

    async def _live(self) -> BaseException | None:
        """One instance, from start to stop. Returns what it crashed on, if it did."""
        batch: list[M] = []
        actor = self._factory()
        actor._cell = self
        try:
            await actor.started()
            while True:
                if self._failure:
                    raise self._failure
                if self.mailbox or self.upkeep:
                    batch = [*_take(self.mailbox, actor.batch_limit), *_take(self.upkeep, actor.upkeep_limit)]
                    await actor.receive(batch)
                elif self.closing:
                    break
                else:
                    self._waiter = self.loop.create_future()
                    await self._waiter
                    self._waiter = None
            await actor.stopped()
        except Exception as error:
            error_id = uuid.uuid4().hex
            log.error("actor_crashed", actor=self.name, error_id=error_id, exc_info=error)
            self._refuse(batch, ActorCrashed(self.name))
            self._say_last(actor, error_id)
            return error
        finally:
            self._refuse(batch, ActorStopped(self.name))
            for task in list(self._tasks):
                task.cancel()
        return None

    def _say_last(self, actor: Actor[M], error_id: str) -> None:
        """Give a crashed instance its last word; one that fails at that too must not take others along."""
        try:
            actor.crashed(error_id)
        except Exception as error:
            log.error("last_word_failed", actor=self.name, error_id=error_id, exc_info=error)

    @staticmethod
    def _refuse(messages: Sequence[M] | deque[M], error: ActorError) -> None:
        """Every ask ends: whoever is still unanswered learns that there will be no answer."""
        for message in messages:
            if isinstance(message, Request):
                message.fail(error)


def _take(lane: deque[M], limit: int) -> list[M]:
    if len(lane) > limit:
        return [lane.popleft() for _ in range(limit)]
    taken = list(lane)
    lane.clear()
    return taken


class ActorSystem:
    """Owns every task. An asynchronous context manager; a crash that escalates leaves through it."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._cells: set[_Cell[Any]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._group.__aexit__(*error)

    def spawn(
        self,
        name: str,
        factory: Callable[[], Actor[M]],
        *,
        mailbox_limit: int,
        phase: int,
        supervision: Supervision | None = None,
    ) -> Ref[M]:
        """Start an actor. Without `supervision` a crash ends it for good.

        `phase` says when it stops: lower phases end before higher ones are told to.
        """
        cell = _Cell(self, name, phase=phase, limit=mailbox_limit, factory=factory)
        self._cells.add(cell)
        self.own(cell.run(supervision), name=name)
        return Ref(cell)

    async def stop(self, deadline_seconds: float) -> bool:
        """Stop every actor, phase by phase, within one shared deadline.

        Returns:
            Whether all of them ended in time; the others were cancelled.
        """
        try:
            async with asyncio.timeout(deadline_seconds):
                for phase in sorted({cell.phase for cell in self._cells}):
                    ending = [cell for cell in self._cells if cell.phase == phase]
                    for cell in ending:
                        cell.close()
                    for cell in ending:
                        await cell.done.wait()
        except TimeoutError:
            late = [cell.name for cell in self._cells]
            log.warning("actors_stopped_late", actors=late[:10], count=len(late))
            return False
        else:
            return True
        finally:
            for task in list(self._tasks):
                task.cancel()

    def own(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Run a task in the system's group; `stop` cancels it. Actors call `background` instead."""
        task = self._group.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def forget(self, cell: _Cell[Any]) -> None:
        """Called by a cell that has ended."""
        self._cells.discard(cell)

    @property
    def depth(self) -> int:
        """How many messages wait in all mailboxes."""
        return sum(cell.depth for cell in self._cells)

    def depths(self) -> dict[str, int]:
        """How many messages wait in the mailbox of each long-lived actor (the sessions' are added up)."""
        depths: dict[str, int] = {}
        for cell in self._cells:
            kind = cell.name.partition("/")[0]
            depths[kind] = depths.get(kind, 0) + cell.depth
        return depths
