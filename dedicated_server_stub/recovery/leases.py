"""Where hot snapshots are, and under which lease: the one way to them for those who write and those who recover."""

from dedicated_server_stub.presence.interface import Presence, Write

_SHORTEST_LEASE_SECONDS = 2.5
KEPT_SECONDS = 60.0  # beyond the rejoin time, after which nobody could come back


class HotSnapshots:
    """The newest snapshot of each room, in the presence.

    Args:
        presence: shared by all processes that may run the room.
        owner: this process; no other may have the same name, not even its successor.
        snapshot_seconds: between two writes, each of which renews the lease.
        rejoin_seconds: how long a lost player may come back.
    """

    def __init__(self, presence: Presence, *, owner: str, snapshot_seconds: float, rejoin_seconds: float) -> None:
        self._presence = presence
        self._owner = owner
        self.lease_seconds = max(_SHORTEST_LEASE_SECONDS, 2.5 * snapshot_seconds)
        self._kept_seconds = rejoin_seconds + self.lease_seconds + KEPT_SECONDS

    async def take(self, session_id: str) -> bool:
        """Take the lease of a room: nobody else runs it for `lease_seconds`. False: somebody does.

        Raises:
            PresenceUnavailable: it cannot be known.
        """
        return await self._presence.hold(_lease(session_id), self._owner, seconds=self.lease_seconds)

    async def write(self, session_id: str, text: str) -> bool:
        """Write a snapshot and renew the lease. False: another process has it, and nothing is written.

        Raises:
            PresenceUnavailable: it may not have been written.
        """
        write = Write(_snapshot(session_id), text, self._kept_seconds)
        return await self._presence.hold(_lease(session_id), self._owner, seconds=self.lease_seconds, write=write)

    async def read(self, session_id: str) -> str | None:
        """Read the newest snapshot.

        Raises:
            PresenceUnavailable: it cannot be read.
        """
        return await self._presence.get(_snapshot(session_id))


def _lease(session_id: str) -> str:
    return f"lease:{session_id}"


def _snapshot(session_id: str) -> str:
    return f"snapshot:{session_id}"
