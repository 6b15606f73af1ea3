"""What may be called on a room from outside, by name: a studio adds its own to `METHODS`."""

import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Protocol, TypeAlias

import msgspec
from msgspec import Meta, Struct

from dedicated_server_stub.game import World
from dedicated_server_stub.rooms.commands import Called, Outcome

MAX_NOTICE_LENGTH = 500


class Callee(Protocol):
    """What a method may do with its room."""

    world: World

    def notify(self, text: str) -> None:
        """Tell all players something that must arrive."""


class NoticeArgs(Struct, forbid_unknown_fields=True):
    """The arguments of `notice`."""

    text: Annotated[str, Meta(min_length=1, max_length=MAX_NOTICE_LENGTH)]


class NoArgs(Struct, forbid_unknown_fields=True):
    """For methods without arguments."""


def _notice(room: Callee, args: NoticeArgs) -> None:
    room.notify(args.text)


def _scores(room: Callee, _args: NoArgs) -> dict[str, int]:
    return room.world.scores()


Method: TypeAlias = tuple[type[Struct], Callable[[Callee, Any], Any]]
METHODS: Mapping[str, Method] = {"notice": (NoticeArgs, _notice), "scores": (NoArgs, _scores)}


class Answered(Struct):
    """A call that was carried out, until nobody can repeat it any more."""

    expires_at: float
    outcome: Outcome


class Calls:
    """Carries calls out, each once, and answers a repeat as it answered first.

    Args:
        answered: the calls that were carried out before, by id.
        clock: the time of day in seconds, as the callers' machines have it.
    """

    def __init__(self, answered: dict[str, Answered], *, clock: Callable[[], float] = time.time) -> None:
        self.answered = answered
        self._clock = clock

    def carry_out(self, call: Called, room: Callee) -> Outcome | None:
        """The outcome of a call; None for one whose caller has given up."""
        now = self._clock()
        for call_id in [call_id for call_id, kept in self.answered.items() if kept.expires_at <= now]:
            del self.answered[call_id]
        if call.call_id in self.answered:
            return self.answered[call.call_id].outcome
        if call.expires_at <= now:
            return None
        outcome = _call(room, call.method, call.args)
        self.answered[call.call_id] = Answered(call.expires_at, outcome)
        return outcome


def _call(room: Callee, name: str, args: Mapping[str, Any]) -> Outcome:
    if name not in METHODS:
        return Outcome(refused=f"no method {name!r}")
    args_type, method = METHODS[name]
    try:
        converted = msgspec.convert(args, args_type)
    except msgspec.ValidationError as error:
        return Outcome(refused=str(error))
    return Outcome(method(room, converted))
