"""The `match-server` command: a node, a demo of the whole journey, a set for development."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, NoReturn

import structlog
import typer

from match_server.app import Node
from match_server.config import Settings, describe_settings, load_settings
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
from match_server.errors import ScriptError, SettingsError
from match_server.local_set import Interrupted, LocalSet
from match_server.processes import host_in_url
from match_server.workers import Workers

log = structlog.get_logger(__name__)

_EXAMPLES = """\b
Examples:
  match-server                       one node on an embedded Redis, ws://127.0.0.1:8080/ws/
  match-server demo                  the whole journey with 200 simulated players
  match-server dev                   a node and dedicated servers, until Ctrl-C
  match-server --workers 2           two processes on one port, one Redis between them
  MATCH_REDIS_URL=redis://10.0.0.5 match-server
                                     one of several nodes on one Redis
"""


def _settings_help() -> str:
    rows = [f"  {name}={default}\n      {meaning}" for name, default, meaning in describe_settings()]
    return "\b\nSettings (environment, a .env file, or TOML by MATCH_CONFIG), with their defaults:\n" + "\n".join(rows)


app = typer.Typer(
    epilog=f"{_EXAMPLES}\n{_settings_help()}",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

HostOption = Annotated[str | None, typer.Option("--host", help="Address to listen on (MATCH_HOST).")]
PortOption = Annotated[int | None, typer.Option("--port", help="Port to listen on (MATCH_PORT).")]
RedisOption = Annotated[str | None, typer.Option("--redis-url", help="Where the truth is kept (MATCH_REDIS_URL).")]
ModesOption = Annotated[str | None, typer.Option("--game-modes", help="name:players,… (MATCH_GAME_MODES).")]


@app.callback(invoke_without_command=True)
def serve(
    context: typer.Context,
    host: HostOption = None,
    port: PortOption = None,
    redis_url: RedisOption = None,
    game_modes: ModesOption = None,
    workers: Annotated[
        int, typer.Option("--workers", min=1, max=64, help="Processes on this port, with one Redis between them.")
    ] = 1,
    listen_fd: Annotated[int | None, typer.Option("--listen-fd", hidden=True)] = None,
    log_format: LogFormatOption = LogFormat.TEXT,
    log_level: LogLevelOption = LogLevel.INFO,
    version: VersionOption = False,  # noqa: ARG001 - handled by its callback
) -> None:
    """Matchmaking over WebSockets that never loses a queued player.

    Without a command: run one node until SIGTERM or Ctrl-C.
    """
    if context.invoked_subcommand:
        _refuse_options_before(context, context.invoked_subcommand)
        return
    configure_logging(log_format, log_level)
    settings = _load(host=host, port=port, redis_url=redis_url, game_modes=game_modes)

    def say(port: int, redis_url: str, ready: bool) -> None:
        base = f"{host_in_url(settings.host)}:{port}"
        state, why = ("ready", "") if ready else ("listening", ": not ready, Redis does not answer yet")
        typer.echo(f"match-server {state} on ws://{base}/ws/ and http://{base} (Redis: {redis_url}){why}")
        sys.stdout.flush()

    if workers > 1:
        given = ["--host", settings.host, "--log-format", log_format, "--log-level", log_level]
        given += ["--game-modes", game_modes] if game_modes else []
        _run(lambda: Workers(settings, count=workers, arguments=given).run(say))
    else:
        _run(lambda: Node(settings, listen_fd=listen_fd).run(lambda node: say(node.port, node.redis_url, node.ready)))


@app.command()
def demo(
    players: Annotated[int, typer.Option(min=2, max=5000, help="How many players to simulate (an even number).")] = 200,
    servers: Annotated[int, typer.Option(min=1, max=20, help="How many dedicated servers to start.")] = 2,
    seed: Annotated[int, typer.Option(help="Seed of the simulated players.")] = 1,
    log_format: LogFormatOption = LogFormat.TEXT,
    log_level: LogLevelOption = LogLevel.WARNING,
    version: VersionOption = False,  # noqa: ARG001 - handled by its callback
) -> None:
    """The whole journey in one command: embedded Redis, a node, dedicated servers, simulated players, a summary.

    The exit status is 0 only if every player got its match.
    """
    configure_logging(log_format, log_level)
    if players % 2:
        refuse("--players: expected an even number, for the demo plays one against one")
    settings = _load(host="127.0.0.1", port=0, redis_url="embedded://", game_modes="Normal_1v1:2")

    async def run() -> int:
        async with LocalSet(settings) as local:
            try:
                for server in range(1, servers + 1):
                    await local.start_server(f"demo-{server}", capacity=players, session_seconds=2)
                return await local.simulate(players=players, seed=seed)
            except Interrupted:
                return 130

    _run(run)


@app.command()
def dev(
    host: HostOption = None,
    port: PortOption = None,
    game_modes: ModesOption = None,
    servers: Annotated[int, typer.Option(min=1, max=20, help="How many dedicated servers to start.")] = 2,
    capacity: Annotated[int, typer.Option(min=1, max=10_000, help="Sessions that each takes.")] = 100,
    log_format: LogFormatOption = LogFormat.TEXT,
    log_level: LogLevelOption = LogLevel.INFO,
    version: VersionOption = False,  # noqa: ARG001 - handled by its callback
) -> None:
    """A node and dedicated servers to develop a game client against, until Ctrl-C."""
    configure_logging(log_format, log_level)
    settings = _load(host=host, port=port, game_modes=game_modes)

    async def run() -> None:
        async with LocalSet(settings) as local:
            try:
                for server in range(1, servers + 1):
                    await local.start_server(f"dev-{server}", capacity=capacity, session_seconds=60)
            except Interrupted:
                return
            base = f"{host_in_url(settings.host)}:{local.node.port}"
            modes = ", ".join(f"{mode.name} ({mode.players} players)" for mode in settings.game_modes)
            typer.echo(
                f"players   ws://{base}/ws/\n"
                f"servers   http://{base}/servers\n"
                f"queues    http://{base}/queues\n"
                f"metrics   http://{base}/metrics\n"
                f"redis     {local.node.redis_url}\n"
                f"modes     {modes}\n"
                f"try       test-client --match-server ws://{base}/ws/ --players 10\n"
                "Ctrl-C stops everything."
            )
            sys.stdout.flush()
            await local.until_stopped()

    _run(run)


def main() -> NoReturn:
    """The entry point of the command."""
    run_command(app, "match-server")


def _refuse_options_before(context: typer.Context, command: str) -> None:
    """Options of the plain node would be ignored by a command that they stand before."""
    sources = {option: context.get_parameter_source(option.name or "") for option in context.command.params}
    given = [option.opts[0] for option, source in sources.items() if source and source.name == "COMMANDLINE"]
    if given:
        takes = f"match-server {command} --help lists what it takes"
        refuse(f"{', '.join(given)}: expected after the command, not before it; {takes}")


def _load(**options: Any) -> Settings:
    try:
        return load_settings(**options)
    except SettingsError as error:
        refuse(str(error))


def _run(command: Callable[[], Coroutine[Any, Any, int | None]]) -> None:
    """Run a command's coroutine on uvloop, where there is one; end with the status that its outcome calls for."""
    status: int | None = 0
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            status = runner.run(command())
    except* SettingsError as group:
        typer.echo("\n".join(str(error) for error in _leaves(group)), err=True)
        status = 2
    except* ScriptError as group:
        typer.echo("\n".join(str(error) for error in _leaves(group)), err=True)
        status = 1
    except* KeyboardInterrupt:
        status = 130
    if status:
        raise typer.Exit(status)


def _leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return found


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - there is none for Windows
    except ImportError:
        return None
    return uvloop.new_event_loop
