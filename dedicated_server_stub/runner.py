"""The process: builds the parts, runs their tasks, drains and stops them."""

import asyncio
import socket
import uuid
from collections.abc import Callable
from typing import Any

import structlog
import uvicorn
from structlog.typing import FilteringBoundLogger

from dedicated_server_stub.app import create_app
from dedicated_server_stub.faults import Faults
from dedicated_server_stub.game import Game
from dedicated_server_stub.match_server_client import MatchServerClient, open_http
from dedicated_server_stub.options import Options
from dedicated_server_stub.registrar import Registrar
from dedicated_server_stub.reports import EndReporter
from dedicated_server_stub.sessions import SessionRegistry
from dedicated_server_stub.signals import StopSignals
from dedicated_server_stub.web import WebServer, web_config

_log: FilteringBoundLogger = structlog.get_logger()

# How long the stop waits for the last reports to arrive.
FLUSH_SECONDS = 2.0

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def run(options: Options, listener: socket.socket, announce: Callable[[str], None]) -> None:
    """Serve on `listener` until a signal has stopped the server; `announce` gets the readiness line.

    Raises:
        ExceptionGroup: with a RegistrationError, when the match server does not take this server.

    """
    loop_factory = uvicorn.Config(app="", log_config=None).get_loop_factory()  # uvloop where there is one
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_serve(options, listener, announce))


async def _serve(options: Options, listener: socket.socket, announce: Callable[[str], None]) -> None:
    signals = StopSignals()
    signals.install()
    here = _authority(options.host, listener)
    control_url = options.control_url or f"http://{here}"
    address = options.advertise_address or f"ws://{here}"

    async with open_http(options.match_server, options.server_key) as http, asyncio.TaskGroup() as tasks:
        client = MatchServerClient(http)
        reporter = EndReporter(client, server_id=options.server_id)
        sessions = SessionRegistry(
            capacity=options.capacity,
            limit_seconds=options.session_limit_seconds,
            clock=asyncio.get_running_loop().time,
        )
        game = Game(sessions, report_end=reporter.add, ends_when_left=options.session_seconds == 0)
        registrar = Registrar(
            client,
            game,
            server_id=options.server_id,
            registration=_registration(options, control_url=control_url, address=address),
            on_registered=lambda: announce(f"dedicated-server-stub {options.server_id} ready on http://{here}"),
        )
        faults = Faults(options.faults)
        app = create_app(game, faults, server_id=options.server_id, play_address=address, batch=options.batch)
        web = WebServer(web_config(app))

        tasks.create_task(web.serve(sockets=[listener]))
        playing = tasks.create_task(game.run())
        reporting = tasks.create_task(reporter.run())
        registration = tasks.create_task(registrar.run())
        await signals.asked.wait()
        insisted = tasks.create_task(signals.insisted.wait())
        stop = tasks.create_task(
            _stop(game, reporter, registrar, registration=registration, drain_seconds=options.drain_seconds)
        )
        await asyncio.wait((stop, insisted), return_when=asyncio.FIRST_COMPLETED)
        for task in (stop, insisted, playing, reporting, registration):
            task.cancel()
        faults.release()
        web.should_exit = True
    _log.info("stopped", created=sessions.created, ended=sessions.ended)


async def _stop(
    game: Game,
    reporter: EndReporter,
    registrar: Registrar,
    *,
    registration: asyncio.Task[None],
    drain_seconds: float,
) -> None:
    """Drain the sessions, report what ended, leave the match server: the orderly stop."""
    _log.info("draining", sessions=len(game.sessions), drain_seconds=drain_seconds)
    game.start_draining()
    registrar.wake()
    await game.drained(drain_seconds)
    await reporter.flush(FLUSH_SECONDS)
    registrar.leave()
    await registration


def _registration(options: Options, *, control_url: str, address: str) -> dict[str, Any]:
    optional = {
        "max_session_seconds": options.max_session_seconds,
        "game_modes": list(options.game_modes) or None,
        "region": options.region,
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


def _authority(host: str, listener: socket.socket) -> str:
    """Name the host and port where this machine reaches the listener."""
    host = _WILDCARDS.get(host, host)
    port = listener.getsockname()[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
