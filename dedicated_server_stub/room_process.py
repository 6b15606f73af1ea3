"""What a process that runs rooms is made of: the rooms, their players' socket, and their ties to the presence."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.routing import BaseRoute

from dedicated_server_stub.app import room_routes
from dedicated_server_stub.join_tokens import JoinTokens, PublishedKeys
from dedicated_server_stub.options import Options
from dedicated_server_stub.players import PlayersSocket
from dedicated_server_stub.presence.calls import RoomCalls
from dedicated_server_stub.presence.interface import Presence
from dedicated_server_stub.presence.statistics import Statistics
from dedicated_server_stub.presence.watchers import CallableRooms, describe
from dedicated_server_stub.rooms.limits import MESSAGES_PER_SECOND
from dedicated_server_stub.rooms.registry import Rooms, Watcher
from dedicated_server_stub.rooms.room import RoomSettings
from dedicated_server_stub.sessions import SessionRegistry


@dataclass(frozen=True, slots=True)
class RoomProcess:
    """The parts, and the routes for players."""

    rooms: Rooms
    calls: RoomCalls
    statistics: Statistics
    routes: list[BaseRoute]


def room_process(
    options: Options,
    sessions: SessionRegistry,
    keys: PublishedKeys,
    presence: Presence,
    *,
    process: str,
    address: str,
    watchers: Sequence[Watcher] = (),
) -> RoomProcess:
    """Build the parts of a process that runs rooms; nothing runs yet.

    Args:
        options: of the server.
        sessions: those whose rooms are in this process.
        keys: of the match server.
        presence: where rooms are called and counted.
        process: its name in the statistics.
        address: the base of its address for players.
        watchers: told of each room, beside those of the presence.
    """
    calls = RoomCalls(presence)
    settings = RoomSettings(
        tick_hz=options.tick_hz,
        rejoin_seconds=options.rejoin_seconds,
        ack_attempts=options.ack_attempts,
        view_radius=options.view_radius,
    )
    rooms = Rooms(settings, address=address, watchers=[CallableRooms(calls), *watchers])
    statistics = Statistics(
        presence, lambda: describe(rooms, process=process, server_id=options.server_id, address=address)
    )
    # An intent and an acknowledgement a tick, and some more.
    rate = max(MESSAGES_PER_SECOND, 2 * options.tick_hz)
    tokens = JoinTokens(keys, server_id=options.server_id)
    players = PlayersSocket(sessions, rooms, tokens, messages_per_second=rate)
    return RoomProcess(rooms, calls, statistics, room_routes(rooms, players))
