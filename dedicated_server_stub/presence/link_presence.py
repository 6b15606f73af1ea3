"""A worker without Redis uses its parent's presence: `LinkPresence` here, `Loan` in the parent."""

from typing import Any

from dedicated_server_stub.presence.interface import Handler, Presence, PresenceUnavailable, Write
from dedicated_server_stub.workers.link import Asked, Link, LinkBroken, Told


class LinkPresence:
    """Passes everything on to the parent.

    Args:
        link: to the parent; `deliver` has to be among what it may be told, as "deliver".
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._handlers: dict[str, Handler] = {}

    async def run(self) -> None:
        """Nothing to do: `deliver` is called."""

    def deliver(self, channel: str, message: str) -> None:
        """Take a message that the parent passes on."""
        handler = self._handlers.get(channel)
        if handler is not None:  # else unsubscribed while it was on its way
            handler(message)

    def subscribe(self, channel: str, handler: Handler) -> None:
        """Take the handler of a channel; there is one."""
        self._handlers[channel] = handler
        self._link.tell("subscribe", channel=channel)

    def unsubscribe(self, channel: str) -> None:
        """Forget the handler of a channel."""
        self._handlers.pop(channel, None)
        self._link.tell("unsubscribe", channel=channel)

    async def publish(self, channel: str, message: str) -> None:
        """Send a message."""
        await self._ask("publish", channel=channel, message=message)

    async def set(self, key: str, value: str, *, seconds: float) -> None:
        """Write a key."""
        await self._ask("set", key=key, value=value, seconds=seconds)

    async def get(self, key: str) -> str | None:
        """Read a key."""
        value: str | None = await self._ask("get", key=key)
        return value

    async def hash_set(self, key: str, field: str, value: str) -> None:
        """Write a field of a hash."""
        await self._ask("hash_set", key=key, field=field, value=value)

    async def hash_get_all(self, key: str) -> dict[str, str]:
        """Read a hash."""
        fields: dict[str, str] = await self._ask("hash_get_all", key=key)
        return fields

    async def hash_delete(self, key: str, field: str) -> None:
        """Delete a field of a hash."""
        await self._ask("hash_delete", key=key, field=field)

    async def hold(self, lease: str, owner: str, *, seconds: float, write: Write | None = None) -> bool:
        """Take or renew a lease."""
        held: bool = await self._ask("hold", lease=lease, owner=owner, seconds=seconds, write=write)
        return held

    async def _ask(self, name: str, **args: Any) -> Any:
        try:
            return await self._link.ask(name, **args)
        except LinkBroken:
            raise PresenceUnavailable("the parent is gone") from None


class Loan:
    """The parent's side: what one worker does with the parent's presence. `end` it with the worker.

    Args:
        presence: the parent's.
    """

    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._channels: set[str] = set()
        self.link: Link | None = None  # set once it is made, from `told` and `asked`

    @property
    def told(self) -> dict[str, Told]:
        """What the worker may tell."""
        return {"subscribe": self._subscribe, "unsubscribe": self._unsubscribe}

    @property
    def asked(self) -> dict[str, Asked]:
        """What the worker may ask."""
        lent = self._presence
        return {
            "publish": lent.publish,
            "set": lent.set,
            "get": lent.get,
            "hash_set": lent.hash_set,
            "hash_get_all": lent.hash_get_all,
            "hash_delete": lent.hash_delete,
            "hold": self._hold,
        }

    def end(self) -> None:
        """The worker is gone: nobody listens for it any more."""
        for channel in self._channels:
            self._presence.unsubscribe(channel)
        self._channels.clear()

    def _subscribe(self, channel: str) -> None:
        def pass_on(message: str) -> None:
            if self.link is not None:
                self.link.tell("deliver", channel=channel, message=message)

        self._channels.add(channel)
        self._presence.subscribe(channel, pass_on)

    def _unsubscribe(self, channel: str) -> None:
        self._channels.discard(channel)
        self._presence.unsubscribe(channel)

    async def _hold(self, lease: str, owner: str, seconds: float, write: list[Any] | None) -> bool:
        return await self._presence.hold(lease, owner, seconds=seconds, write=None if write is None else Write(*write))
