"""What the parent of workers is made of where a single process has its rooms."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

from starlette.routing import BaseRoute

from dedicated_server_stub.options import Options
from dedicated_server_stub.presence.calls import RoomCalls
from dedicated_server_stub.presence.interface import Presence
from dedicated_server_stub.presence.statistics import Statistics
from dedicated_server_stub.workers.pool import WorkerPool


@dataclass(frozen=True, slots=True)
class WorkerProcesses:
    """The parts; there are no routes for players."""

    rooms: WorkerPool
    calls: RoomCalls
    statistics: Statistics
    routes: list[BaseRoute] = field(default_factory=list)


def worker_processes(
    options: Options, listeners: Sequence[tuple[socket.socket, str]], presence: Presence
) -> WorkerProcesses:
    """Build the parts; no process is started yet.

    Args:
        options: of the server.
        listeners: the socket of each worker, and the base of its address for players.
        presence: where rooms are called and counted.
    """
    return WorkerProcesses(WorkerPool(options, listeners, presence), RoomCalls(presence), Statistics(presence, None))
