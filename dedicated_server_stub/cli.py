"""The command `dedicated-server-stub`: its options and its exit status."""

import socket
import uuid
from contextlib import ExitStack
from typing import Annotated, Any, NoReturn

import typer

from dedicated_server_stub import checks
from dedicated_server_stub.options import FaultOptions, Options
from dedicated_server_stub.recovery.cold_store import ColdStoreUnavailable
from dedicated_server_stub.recovery.cold_stores import cold_store
from dedicated_server_stub.registrar import RegistrationError
from dedicated_server_stub.runner import run
from dedicated_server_stub.web import listen
from dedicated_server_stub.workers.pool import WorkersFailed
from match_server.console import (
    LogFormat,
    LogFormatOption,
    LogLevel,
    LogLevelOption,
    VersionOption,
    configure_logging,
    refuse,
    run_command,
)

PROGRAM = "dedicated-server-stub"

_EXAMPLES = """\b
Examples:
  dedicated-server-stub
  dedicated-server-stub --capacity 100 --session-seconds 30 --region eu
  dedicated-server-stub --refuse-rate 0.2 --hang-rate 0.05 --seed 7
  MATCH_SERVER_KEY=... dedicated-server-stub --match-server https://match.example.org
"""

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def _seconds(text: str, minimum: float = 0) -> Any:
    return typer.Option(min=minimum, metavar="SECONDS", callback=checks.finite, help=text)


def _rate(text: str) -> Any:
    return typer.Option(min=0, max=1, metavar="0..1", callback=checks.finite, help=text)


def _url(check: Any, text: str) -> Any:
    return typer.Option(metavar="URL", callback=check, help=text)


@app.command(epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def serve(
    *,
    match_server: Annotated[
        list[str],
        _url(
            checks.node_urls,
            "A node to register with, as http://host:port or ws://host:port/ws/. Repeat it, or separate by commas, "
            "for several of one pool; any will do.",
        ),
    ] = ["http://127.0.0.1:8080"],  # noqa: B006 - typer reads it, nobody writes it
    server_key: Annotated[
        str | None,
        typer.Option(
            envvar="MATCH_SERVER_KEY",
            show_envvar=True,
            callback=checks.server_key,
            help="Sent to the match server as a bearer token.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0: a free one.")] = 0,
    control_url: Annotated[
        str | None, _url(checks.http_url, "Where the match server reaches this one, if not at host and port.")
    ] = None,
    advertise_address: Annotated[
        str | None, _url(checks.ws_url, "Base of the address for players, if not ws:// at host and port.")
    ] = None,
    server_id: Annotated[
        str | None,
        typer.Option(callback=checks.server_id, help="The name to register under; else generated."),
    ] = None,
    capacity: Annotated[int, typer.Option(min=1, max=100_000, help="Sessions at a time.")] = 10,
    batch: Annotated[bool, typer.Option(help="Take up to 64 sessions in one call.")] = True,
    game_mode: Annotated[
        list[str] | None,
        typer.Option(callback=checks.game_modes, help="A mode to register for, else all; may be repeated."),
    ] = None,
    region: Annotated[str | None, typer.Option(help="The region to register for.")] = None,
    pool: Annotated[str | None, typer.Option(help="The pool to register into, else the first.")] = None,
    session_seconds: Annotated[
        float, _seconds("How long a session runs, unless all its players leave before; 0: until they have.")
    ] = 5.0,
    max_session_seconds: Annotated[
        float | None, _seconds("The longest a session may run; the match server is told.", minimum=0.001)
    ] = None,
    drain_seconds: Annotated[float, _seconds("How long a stop waits for the running sessions.")] = 10.0,
    tick_hz: Annotated[float, typer.Option(min=1, max=120, help="Ticks a second of every room.")] = 20.0,
    rejoin_seconds: Annotated[float, _seconds("How long a player whose connection is lost may come back.")] = 30.0,
    ack_attempts: Annotated[
        int, typer.Option(min=1, max=100, help="How often a message that must arrive is sent.")
    ] = 5,
    view_radius: Annotated[
        float | None,
        typer.Option(
            min=0.001, callback=checks.finite, help="Send a player only who is about this near, in units of the game."
        ),
    ] = None,
    presence: Annotated[
        str | None,
        _url(checks.redis_url, "Redis, as redis://host:port/0, that shows all servers on it each other's rooms."),
    ] = None,
    presence_prefix: Annotated[
        str,
        typer.Option(callback=checks.prefix, help="What the keys and channels in that Redis begin with."),
    ] = "rooms:",
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=64,
            show_default="0, with --presence 1",
            help="Run the rooms in that many processes of their own, on the ports after --port.",
        ),
    ] = None,
    snapshot_seconds: Annotated[
        float, _seconds("With --presence: how old a room may be that a new worker takes up.", minimum=0.05)
    ] = 1.0,
    snapshot_store: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER|URL",
            help="With --presence: where a snapshot a minute goes, in case Redis is lost, too. A folder, or a "
            "database: sqlite+aiosqlite:///file, postgresql+asyncpg://…, mysql+asyncmy://….",
        ),
    ] = None,
    require_signed_calls: Annotated[
        bool,
        typer.Option("--require-signed-calls", help="Take sessions from the match server alone."),
    ] = False,
    delay_seconds: Annotated[float, _seconds("Fault: answer every create this late.")] = 0.0,
    refuse_rate: Annotated[float, _rate("Fault: share of sessions refused with 503, room or not.")] = 0.0,
    fail_rate: Annotated[float, _rate("Fault: share of create calls that fail with 500.")] = 0.0,
    hang_rate: Annotated[float, _rate("Fault: share of create calls carried out but not answered.")] = 0.0,
    seed: Annotated[int | None, typer.Option(help="Make the faults repeatable.")] = None,
    log_format: LogFormatOption = LogFormat.TEXT,
    log_level: LogLevelOption = LogLevel.INFO,
    _version: VersionOption = False,
) -> None:
    """Run a small dedicated game server.

    It registers with a match server, takes sessions, lets their players play in rooms over WebSockets, and
    reports the end of each session. Ctrl-C or SIGTERM drains it; a second one stops it at once.
    """
    if snapshot_store is not None:
        _check_snapshot_store(snapshot_store, presence)
    options = Options(
        match_servers=tuple(match_server),
        host=host,
        control_url=control_url,
        advertise_address=advertise_address,
        server_id=server_id or f"stub-{uuid.uuid4().hex[:12]}",
        server_key=server_key,
        capacity=capacity,
        batch=batch,
        game_modes=tuple(game_mode or ()),
        region=region,
        pool=pool,
        session_seconds=session_seconds,
        max_session_seconds=max_session_seconds,
        drain_seconds=drain_seconds,
        tick_hz=tick_hz,
        rejoin_seconds=rejoin_seconds,
        ack_attempts=ack_attempts,
        require_signed_calls=require_signed_calls,
        view_radius=view_radius,
        presence=presence,
        presence_prefix=presence_prefix,
        workers=_workers(workers, presence),
        snapshot_seconds=snapshot_seconds,
        snapshot_store=snapshot_store,
        log_format=log_format,
        log_level=log_level,
        faults=FaultOptions(
            delay_seconds=delay_seconds,
            refuse_rate=refuse_rate,
            fail_rate=fail_rate,
            hang_rate=hang_rate,
            seed=seed,
        ),
    )
    configure_logging(log_format, log_level)
    status = 0
    with ExitStack() as stack:
        listeners = [
            stack.enter_context(_listen(host, port and port + offset)) for offset in range(1 + options.workers)
        ]
        try:
            run(options, listeners, announce=typer.echo)
        except* (RegistrationError, WorkersFailed) as group:
            status = 1
            typer.echo(f"{PROGRAM}: {_first(group)}", err=True)
    raise typer.Exit(status)


def _workers(asked: int | None, presence: str | None) -> int:
    """How many there are: with presence a room outlives its process, so it needs one that can die alone."""
    if asked is None:
        return 0 if presence is None else 1
    if asked == 0 and presence is not None:
        refuse(f"{PROGRAM}: --workers 0: --presence needs one at least")
    return asked


def _check_snapshot_store(where: str, presence: str | None) -> None:
    if presence is None:
        refuse(f"{PROGRAM}: --snapshot-store: works with --presence alone")
    try:
        cold_store(where)
    except ColdStoreUnavailable as error:
        refuse(f"{PROGRAM}: --snapshot-store: {error}")


def _listen(host: str, port: int) -> socket.socket:
    try:
        return listen(host, port)
    except OSError as error:
        refuse(f"{PROGRAM}: cannot listen on --host {host} --port {port}: {error.strerror or error}")


def _first(group: BaseExceptionGroup[Exception]) -> BaseException:
    """The first exception of a group that may hold others."""
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first


def main() -> NoReturn:
    """The entry point of the command."""
    run_command(app, PROGRAM)
