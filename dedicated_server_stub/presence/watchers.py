"""Ties the rooms of a process to the presence: they can be called, and show in the statistics."""

import os

from dedicated_server_stub.presence.calls import RoomCalls
from dedicated_server_stub.presence.statistics import ProcessStatistics, RoomStatistics
from dedicated_server_stub.rooms.registry import Rooms
from dedicated_server_stub.rooms.room import Room


class CallableRooms:
    """A watcher: each room takes calls as long as it runs."""

    def __init__(self, calls: RoomCalls) -> None:
        self._calls = calls

    def opened(self, room: Room) -> None:
        """Take calls for a room."""
        self._calls.serve(room.session_id, room.submit)

    def closed(self, room: Room) -> None:
        """Take no more."""
        self._calls.stop(room.session_id)


def describe(rooms: Rooms, *, process: str, server_id: str, address: str) -> ProcessStatistics:
    """Say what the rooms of this process do now."""
    described = [
        RoomStatistics(
            session_id=room.session_id,
            tick=room.world.tick,
            tick_lag_ms=round(1000 * room.lag_seconds, 3),
            present=room.present(),
            expected_back=[player_id for player_id, member in room.members.items() if member.lost_at is not None],
        )
        for room in rooms
    ]
    return ProcessStatistics(
        process=process,
        pid=os.getpid(),
        server_id=server_id,
        address=address,
        players=sum(len(room.present) for room in described),
        tick_lag_ms=max((room.tick_lag_ms for room in described), default=0.0),
        sent_bytes=rooms.metrics.bytes_sent(),
        rooms=described,
    )
