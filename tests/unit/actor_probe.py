"""An actor for the tests of the actor core, which keeps a diary of what it lived through."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from match_server.actors.core import Actor, ActorSystem, Ref, Supervision
from match_server.actors.request import Request

FOREVER = 1e6


class Poison(Exception):
    """What a test makes an actor crash on."""


class Ask(Request[str]):
    """A request whose answer is its own text, in capitals."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


Message = str | Ask
Handler = Callable[["Probe", Sequence[Message]], Awaitable[None]]


def text_of(message: Message) -> str:
    return message.text if isinstance(message, Ask) else message


@dataclass
class Diary:
    """What the instances of an actor lived through."""

    instances: list["Probe"] = field(default_factory=list)
    started: list[float] = field(default_factory=list)
    batches: list[list[str]] = field(default_factory=list)
    stopped: list[float] = field(default_factory=list)
    crashed: list[str] = field(default_factory=list)

    @property
    def seen(self) -> list[str]:
        return [text for batch in self.batches for text in batch]


class Probe(Actor[Message]):
    """Keeps a diary, answers asks, crashes on the word `poison`."""

    def __init__(self, diary: Diary, handler: Handler | None = None) -> None:
        self.diary = diary
        self.handler = handler

    async def started(self) -> None:
        self.diary.instances.append(self)
        self.diary.started.append(asyncio.get_running_loop().time())

    async def receive(self, batch: Sequence[Message]) -> None:
        self.diary.batches.append([text_of(message) for message in batch])
        if self.handler:
            await self.handler(self, batch)
            return
        for message in batch:
            if text_of(message) == "poison":
                raise Poison
            if isinstance(message, Ask):
                message.answer(message.text.upper())

    async def stopped(self) -> None:
        self.diary.stopped.append(asyncio.get_running_loop().time())

    def crashed(self, error_id: str) -> None:
        self.diary.crashed.append(error_id)


class SmallBatches(Probe):
    batch_limit = 3


def spawn(
    system: ActorSystem,
    diary: Diary,
    *,
    handler: Handler | None = None,
    kind: type[Probe] = Probe,
    name: str = "probe",
    mailbox_limit: int = 1000,
    phase: int = 0,
    supervision: Supervision | None = None,
) -> Ref[Message]:
    return system.spawn(
        name, lambda: kind(diary, handler), mailbox_limit=mailbox_limit, phase=phase, supervision=supervision
    )
