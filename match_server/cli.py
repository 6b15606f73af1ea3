"""The `match-server` command: a node, a demo of the whole journey, a set for development."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, NoReturn

import structlog
import typer
from typer.core import TyperGroup

from match_server.app import Node
from match_server.check_command import check
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
from match_server.demo import Demo, history_of
from match_server.errors import ScriptError, SettingsError
from match_server.keys_command import keys
from match_server.local_set import Interrupted, LocalSet
from match_server.platform.command import platform
from match_server.processes import host_in_url, host_to_call
from match_server.shown_commands import shown_command, what_runs
from match_server.simulate.command import simulate_command
from match_server.token_command import token
from match_server.workers import Workers

log = structlog.get_logger(__name__)

_DEMO_PLAY_SECONDS = 5
_LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_EXAMPLES = """\b
Examples:
  match-server                       one node on an embedded Redis, ws://127.0.0.1:8080/ws/
  match-server demo                  the whole journey with 200 simulated players
  match-server dev                   a node and dedicated servers, until Ctrl-C
  match-server check modes.toml      what is wrong in a file of game modes, without a start
  match-server simulate modes.toml --mode ranked
                                     its rules tried on arriving players
  match-server keys rotate           another key signs join tokens from now on
  match-server token ada             a player's token, for a client in development
  match-server --workers 2           two processes on one port, one Redis between them
  MATCH_REDIS_URL=redis://10.0.0.5 match-server
                                     one of several nodes on one Redis
"""


# A game in development is a page on a port of its own.
_LOOPBACK_ORIGINS = tuple(f"{scheme}://{host}:*" for scheme in ("http", "https") for host in _LOOPBACK_HOSTS)


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
    given = {"host": host, "port": port, "redis_url": redis_url, "game_modes": game_modes}
    settings = _load(**given)

    def say(port: int, admin_port: int, redis_url: str, ready: bool) -> None:
        if log_format is LogFormat.JSON and listen_fd is None:  # a parent of workers reads the line
            return
        base = f"{host_to_call(settings.host)}:{port}"
        admin = base if settings.admin_port is None else f"{host_to_call(settings.admin_host)}:{admin_port}"
        state, why = ("ready", "") if ready else ("listening", ": not ready, Redis does not answer yet")
        everywhere = "" if host_to_call(settings.host) == host_in_url(settings.host) else ", on all of its addresses"
        typer.echo(f"match-server {state} on ws://{base}/ws/ and http://{admin} (Redis: {redis_url}){everywhere}{why}")
        sys.stdout.flush()

    if workers > 1:
        arguments = ["--host", settings.host, "--log-format", log_format, "--log-level", log_level]
        arguments += ["--game-modes", game_modes] if game_modes else []
        _run(lambda: Workers(settings, count=workers, arguments=arguments).run(say))
    else:
        _run(
            lambda: Node(settings, listen_fd=listen_fd, reread=lambda: load_settings(**given)).run(
                lambda node: say(node.port, node.admin_port, node.redis_url, node.ready)
            )
        )


@app.command()
def demo(
    players: Annotated[int, typer.Option(min=2, max=5000, help="How many players to simulate (an even number).")] = 200,
    servers: Annotated[int, typer.Option(min=1, max=20, help="How many dedicated servers to start.")] = 2,
    seed: Annotated[int, typer.Option(help="Seed of the simulated players.")] = 1,
    mode: Annotated[
        str, typer.Option(help="Normal_1v1 at random, or by rules ranked_duel or ranked_5v5, with parties and regions.")
    ] = Demo.RANDOM,
    log_format: LogFormatOption = LogFormat.TEXT,
    log_level: LogLevelOption = LogLevel.WARNING,
    version: VersionOption = False,  # noqa: ARG001 - handled by its callback
) -> None:
    """The whole journey in one command: embedded Redis, a node, dedicated servers, players, a summary.

    Simulated players are matched and play for five seconds.

    The exit status is 0 only if every player got its match; by rules a few may find nobody left whom they allow.
    """
    configure_logging(log_format, log_level)
    try:
        demo = Demo.of(mode, players=players)
    except ValueError as error:
        refuse(str(error))
    settings = _load(host="127.0.0.1", port=0, redis_url="embedded://", **demo.settings)

    async def run() -> int:
        async with LocalSet(settings) as local:
            try:
                await local.start_platform()
                for server in range(1, servers + 1):
                    region = demo.region(server)
                    await local.start_server(f"demo-{server}", capacity=players, session_seconds=60, region=region)
                play = ("--join", "--play-seconds", str(_DEMO_PLAY_SECONDS))
                status = await local.simulate(players=players, seed=seed, more=[*demo.options, *play])
                await local.platform_ready()
                typer.echo(await history_of(local.platform_url, settings.admin_key.get_secret_value()))
            except Interrupted:
                return 130
        typer.echo(f"\nTo write a client of your own against a node that stays: {shown_command('match-server')} dev")
        return status

    _run(run)


@app.command()
def dev(
    host: HostOption = None,
    port: PortOption = None,
    game_modes: ModesOption = None,
    servers: Annotated[int, typer.Option(min=1, max=20, help="How many dedicated servers to start.")] = 2,
    capacity: Annotated[int, typer.Option(min=1, max=10_000, help="Sessions that each takes.")] = 100,
    region: Annotated[
        list[str] | None, typer.Option(help="A region for the servers to register in, in turn; may be repeated.")
    ] = None,
    log_format: LogFormatOption = LogFormat.TEXT,
    log_level: LogLevelOption = LogLevel.INFO,
    version: VersionOption = False,  # noqa: ARG001 - handled by its callback
) -> None:
    """A node, dedicated servers and the platform to develop a game client against, until Ctrl-C."""
    configure_logging(log_format, log_level)
    loaded = _load(host=host, port=port, game_modes=game_modes)
    settings = loaded.model_copy(update={"allowed_origins": loaded.allowed_origins + _LOOPBACK_ORIGINS})

    async def run() -> None:
        async with LocalSet(settings) as local:
            try:
                await local.start_platform()
                for server in range(1, servers + 1):
                    where = region[(server - 1) % len(region)] if region else None
                    await local.start_server(f"dev-{server}", capacity=capacity, session_seconds=60, region=where)
                await local.platform_ready()
            except Interrupted:
                return
            typer.echo(what_runs(settings, local))
            sys.stdout.flush()
            await local.until_stopped()

    _run(run)


app.command()(check)
app.command("simulate")(simulate_command)
app.add_typer(keys, name="keys")
app.add_typer(platform, name="platform")
app.command()(token)


def main() -> NoReturn:
    """The entry point of the command."""
    run_command(app, "match-server")


def _refuse_options_before(context: typer.Context, command: str) -> None:
    """Options of the plain node would be ignored by a command that they stand before."""
    sources = {option: context.get_parameter_source(option.name or "") for option in context.command.params}
    given = [option for option, source in sources.items() if source and source.name == "COMMANDLINE"]
    assert isinstance(context.command, TyperGroup)  # noqa: S101 - it has commands
    taken = {option.name for option in context.command.commands[command].params}
    help_on_it = f"match-server {command} --help lists what it takes"
    if strange := [option.opts[0] for option in given if option.name not in taken]:
        refuse(f"{', '.join(strange)}: {command} takes no such option; {help_on_it}")
    if given:
        refuse(f"{', '.join(option.opts[0] for option in given)}: expected after the command; {help_on_it}")


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
