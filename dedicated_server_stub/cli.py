"""The command `dedicated-server-stub`: its options and its exit status."""

import uuid
from typing import Annotated, Any, NoReturn

import typer

from dedicated_server_stub import checks
from dedicated_server_stub.options import FaultOptions, Options
from dedicated_server_stub.registrar import RegistrationError
from dedicated_server_stub.runner import run
from dedicated_server_stub.web import listen
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


@app.command(epilog=_EXAMPLES)
def serve(
    *,
    match_server: Annotated[str, _url(checks.http_url, "Where to register.")] = "http://127.0.0.1:8080",
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
    session_seconds: Annotated[
        float, _seconds("How long a session runs; 0: until the last of its players has left.")
    ] = 5.0,
    max_session_seconds: Annotated[
        float | None, _seconds("The longest a session may run; the match server is told.", minimum=0.001)
    ] = None,
    drain_seconds: Annotated[float, _seconds("How long a stop waits for the running sessions.")] = 10.0,
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

    It registers with a match server, takes sessions, lets their players meet over a WebSocket, and reports
    the end of each session. Ctrl-C or SIGTERM drains it; a second one stops it at once.
    """
    options = Options(
        match_server=match_server,
        host=host,
        control_url=control_url,
        advertise_address=advertise_address,
        server_id=server_id or f"stub-{uuid.uuid4().hex[:12]}",
        server_key=server_key,
        capacity=capacity,
        batch=batch,
        game_modes=tuple(game_mode or ()),
        region=region,
        session_seconds=session_seconds,
        max_session_seconds=max_session_seconds,
        drain_seconds=drain_seconds,
        faults=FaultOptions(
            delay_seconds=delay_seconds,
            refuse_rate=refuse_rate,
            fail_rate=fail_rate,
            hang_rate=hang_rate,
            seed=seed,
        ),
    )
    try:
        listener = listen(host, port)
    except OSError as error:
        refuse(f"{PROGRAM}: cannot listen on --host {host} --port {port}: {error.strerror or error}")
    configure_logging(log_format, log_level)
    status = 0
    try:
        with listener:
            run(options, listener, announce=typer.echo)
    except* RegistrationError as group:
        status = 1
        typer.echo(f"{PROGRAM}: {group.exceptions[0]}", err=True)
    raise typer.Exit(status)


def main() -> NoReturn:
    """The entry point of the command."""
    run_command(app, PROGRAM)
