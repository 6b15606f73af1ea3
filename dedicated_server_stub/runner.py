"""The process: builds the parts, runs their tasks, drains and stops them."""

import asyncio
import socket
import uuid
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import structlog
import uvicorn
from structlog.typing import FilteringBoundLogger

from dedicated_server_stub.app import create_app
from dedicated_server_stub.call_tokens import CallTokens
from dedicated_server_stub.faults import Faults
from dedicated_server_stub.hosting import Host, SessionRooms
from dedicated_server_stub.join_tokens import PublishedKeys, fetch_from
from dedicated_server_stub.match_server_client import MatchServerClient, open_http
from dedicated_server_stub.operators import Operators
from dedicated_server_stub.options import Options
from dedicated_server_stub.presence.opening import open_presence
from dedicated_server_stub.registrar import Registrar
from dedicated_server_stub.reports import EndReporter
from dedicated_server_stub.room_process import RoomProcess, room_process
from dedicated_server_stub.sessions import SessionRegistry
from dedicated_server_stub.signals import StopSignals
from dedicated_server_stub.web import WebServer, web_config
from dedicated_server_stub.workers.parts import WorkerProcesses, worker_processes

_log: FilteringBoundLogger = structlog.get_logger()

# How long the stop waits for the last reports to arrive.
FLUSH_SECONDS = 2.0

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def run(options: Options, listeners: Sequence[socket.socket], announce: Callable[[str], None]) -> None:
    """Serve until a signal has stopped the server; `announce` gets the readiness line.

    Args:
        options: of the server; `workers` of them beside this process run the rooms, or this one does.
        listeners: the socket for the match server and operators, then one for the players of each worker.
        announce: gets the readiness line.

    Raises:
        ExceptionGroup: with a RegistrationError, when the match server does not take this server, or with
            WorkersFailed.

    """
    loop_factory = uvicorn.Config(app="", log_config=None).get_loop_factory()  # uvloop where there is one
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_serve(options, listeners, announce))


async def _serve(options: Options, listeners: Sequence[socket.socket], announce: Callable[[str], None]) -> None:
    signals = StopSignals()
    signals.install()
    listener, *worker_listeners = listeners
    here = _authority(options.host, listener)
    control_url = options.control_url or f"http://{here}"
    addresses = _player_addresses(options, worker_listeners or [listener])

    async with (
        open_http(options.server_key) as http,
        open_presence(options.presence, prefix=options.presence_prefix) as presence,
        asyncio.TaskGroup() as tasks,
    ):
        client = MatchServerClient(http, options.match_servers)
        reporter = EndReporter(client, server_id=options.server_id)
        sessions = SessionRegistry(
            capacity=options.capacity,
            limit_seconds=options.session_limit_seconds,
            clock=asyncio.get_running_loop().time,
        )
        keys = PublishedKeys(fetch_from(client))
        parts: RoomProcess | WorkerProcesses
        if options.workers:
            parts = worker_processes(options, list(zip(worker_listeners, addresses, strict=True)), presence)
        else:
            process = options.server_id
            parts = room_process(options, sessions, keys, presence, process=process, address=addresses[0])
        host = Host(sessions, parts.rooms, report_end=reporter.add)
        calls = CallTokens(keys, server_id=options.server_id, required=options.require_signed_calls)
        registrar = Registrar(
            client,
            host,
            server_id=options.server_id,
            registration=_registration(options, control_url=control_url, address=addresses[0]),
            on_registered=lambda: announce(f"dedicated-server-stub {options.server_id} ready on http://{here}"),
        )
        faults = Faults(options.faults)
        operators = Operators(
            parts.statistics,
            parts.calls,
            server_key=options.server_key,
            # A broadcast reaches the rooms of all servers on the presence, those with a key, too.
            key_required=options.require_signed_calls or options.presence is not None,
        )
        app = create_app(
            host,
            faults,
            calls,
            operators,
            server_id=options.server_id,
            batch=options.batch,
            more=parts.routes,
        )
        web = WebServer(web_config(app))

        tasks.create_task(web.serve(sockets=[listener]))
        playing = tasks.create_task(host.run())
        reporting = tasks.create_task(reporter.run())
        running = [tasks.create_task(part.run()) for part in (presence, parts.calls, parts.statistics, parts.rooms)]
        registration = tasks.create_task(_register(parts.rooms, registrar))
        await signals.asked.wait()
        asked_twice = tasks.create_task(signals.asked_twice.wait())
        stop = tasks.create_task(
            _stop(host, reporter, registrar, registration=registration, drain_seconds=options.drain_seconds)
        )
        await asyncio.wait((stop, asked_twice), return_when=asyncio.FIRST_COMPLETED)
        for task in (stop, asked_twice, playing, reporting, registration, *running):
            task.cancel()
        faults.release()
        web.should_exit = True
    _log.info("stopped", created=sessions.created, ended=sessions.ended)


async def _register(rooms: SessionRooms, registrar: Registrar) -> None:
    """Register once there is something to play in."""
    await rooms.started()
    await registrar.run()


async def _stop(
    host: Host,
    reporter: EndReporter,
    registrar: Registrar,
    *,
    registration: asyncio.Task[None],
    drain_seconds: float,
) -> None:
    """Drain the sessions, report what ended, leave the match server: the orderly stop."""
    _log.info("draining", sessions=len(host.sessions), drain_seconds=drain_seconds)
    host.start_draining()
    registrar.wake()
    await host.drained(drain_seconds)
    await reporter.flush(FLUSH_SECONDS)
    registrar.leave()
    await registration


def _registration(options: Options, *, control_url: str, address: str) -> dict[str, Any]:
    optional = {
        "max_session_seconds": options.max_session_seconds,
        "game_modes": list(options.game_modes) or None,
        "region": options.region,
        "pool": options.pool,
    }
    return {
        "server_id": options.server_id,
        "incarnation": str(uuid.uuid4()),
        "control_url": control_url,
        "address": address,
        "capacity": options.capacity,
        "batch": options.batch,
        **{name: value for name, value in optional.items() if value is not None},
    }


def _player_addresses(options: Options, listeners: Sequence[socket.socket]) -> list[str]:
    """Name the base of the address for players at each listener: workers differ by their ports alone."""
    own = [f"ws://{_authority(options.host, listener)}" for listener in listeners]
    if options.advertise_address is None:
        return own
    if not options.workers:
        return [options.advertise_address]
    advertised = urlsplit(options.advertise_address)
    host = f"[{advertised.hostname}]" if ":" in (advertised.hostname or "") else advertised.hostname
    ports = [listener.getsockname()[1] for listener in listeners]
    return [advertised._replace(netloc=f"{host}:{port}").geturl() for port in ports]


def _authority(host: str, listener: socket.socket) -> str:
    """Name the host and port where this machine reaches the listener."""
    host = _WILDCARDS.get(host, host)
    port = listener.getsockname()[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
