"""The primary as Redis Sentinel has it, and the proof that no other can have taken its place (decision 0014)."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from redis import exceptions
from redis.asyncio import Redis

from match_server.redis_urls import SentinelUrl, redact
from match_server.store.client import connect
from match_server.store.primary import Address, Primary, WrongForGood

_ANSWER_SECONDS = 0.5
_SHORTEST_DOWN_AFTER_SECONDS = 2.0  # sentinels ping once a second: less than two pings prove nothing for long enough


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What one sentinel says of the service."""

    address: Address
    epoch: int  # grows with each failover
    up: bool  # it reaches the primary, and no failover runs
    down_after_seconds: float
    heard_seconds_ago: float  # from the primary
    quorum: int  # as many sentinels have to miss the primary before a failover
    sentinels: int  # that watch the service

    @classmethod
    def parse(cls, reply: Sequence[bytes]) -> Self:
        """Read the reply to SENTINEL MASTER."""
        words = [word.decode() for word in reply]
        fields = dict(zip(words[::2], words[1::2], strict=True))
        return cls(
            address=Address(fields["ip"], int(fields["port"])),
            epoch=int(fields["config-epoch"]),
            up=fields["flags"] == "master",
            down_after_seconds=int(fields["down-after-milliseconds"]) / 1000,
            heard_seconds_ago=int(fields["last-ok-ping-reply"]) / 1000,
            quorum=int(fields["quorum"]),
            sentinels=int(fields["num-other-sentinels"]) + 1,
        )

    @property
    def needed(self) -> int:
        """As many sentinels have to reach the primary, for the others to be too few to replace it."""
        return max(1, self.sentinels - self.quorum + 1)


def proof_seconds(views: Sequence[View], newest: View) -> float:
    """For how long, from when they were asked, nobody can replace the primary that the newest view names.

    A failover needs `quorum` sentinels that have not heard of the primary for `down_after_seconds`. So there is none
    until so many that reach it now have missed it for that long that the others do not outnumber them.

    Returns:
        The seconds; 0 if too few reach it.
    """
    left = sorted(
        (
            view.down_after_seconds - view.heard_seconds_ago
            for view in views
            if view.up and (view.address, view.epoch) == (newest.address, newest.epoch)
        ),
        reverse=True,
    )
    return max(0.0, left[newest.needed - 1]) if len(left) >= newest.needed else 0.0


class SentinelPrimary(Primary):
    """Asks all the sentinels of the URL."""

    def __init__(self, url: SentinelUrl) -> None:
        super().__init__()
        self._service = url.service
        self._sentinels: dict[str, Redis] = {redact(address): connect(address) for address in url.sentinels}
        self._epoch = 0

    async def aclose(self) -> None:
        """Close the connections to the sentinels."""
        for sentinel in self._sentinels.values():
            await sentinel.aclose()

    async def look(self) -> None:
        """Ask every sentinel, all at once."""
        asked_at = time.monotonic()
        answers = await asyncio.gather(*(self._ask(sentinel) for sentinel in self._sentinels.values()))
        views = [answer for answer in answers if isinstance(answer, View)]
        if not views:
            self._doubt(self._why_none(dict(zip(self._sentinels, answers, strict=True))))
            return
        newest = max(views, key=lambda view: view.epoch)
        if reason := self._unfit(newest):
            self._doubt(WrongForGood(reason))
            return
        seconds = proof_seconds(views, newest)
        if newest.epoch < self._epoch and len(views) < len(self._sentinels):
            seconds = 0.0  # those who answer may have slept through a failover; all together may have been set up anew
        if seconds:
            self._epoch = newest.epoch
            self._confirm(newest.address, until=asked_at + seconds)
        else:
            self._doubt(exceptions.ConnectionError(f"too few sentinels reach the primary {newest.address}"))

    async def _ask(self, sentinel: Redis) -> View | Exception | None:
        """Its view, None if it does not watch the service, or why there is no answer."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                reply = await sentinel.execute_command("SENTINEL", "MASTER", self._service)  # type: ignore[no-untyped-call]  # redis-py leaves it so
        except TimeoutError:
            return exceptions.TimeoutError(f"no answer in {_ANSWER_SECONDS:g} s")
        except exceptions.ResponseError as error:
            return None if "No such master" in str(error) else error
        except (exceptions.RedisError, OSError) as error:
            return error
        return View.parse(reply)

    def _why_none(self, answers: dict[str, View | Exception | None]) -> exceptions.RedisError:
        if None in answers.values():
            return WrongForGood(f"the sentinels know no service {self._service!r}")
        refusals = [error for error in answers.values() if isinstance(error, exceptions.ResponseError)]
        if refusals:
            return WrongForGood(
                f"the sentinels refuse: {refusals[0]}; theirs are sentinel_username and sentinel_password in the URL"
            )
        return exceptions.ConnectionError(
            "no sentinel answers: " + ", ".join(f"{address} ({error})" for address, error in answers.items())
        )

    def _unfit(self, view: View) -> str:
        """Why these sentinels cannot prove which server is the primary; empty if they can."""
        if len(self._sentinels) < view.needed:
            return (
                f"{view.sentinels} sentinels watch {self._service!r} and the URL names {len(self._sentinels)}:"
                f" name {view.needed} at least, or a node cannot tell which primary is the latest"
            )
        if view.down_after_seconds < _SHORTEST_DOWN_AFTER_SECONDS:
            return (
                f"down-after-milliseconds of {self._service!r} is {view.down_after_seconds * 1000:.0f};"
                f" set {_SHORTEST_DOWN_AFTER_SECONDS * 1000:.0f} or more"
            )
        return ""
