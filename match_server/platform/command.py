"""`match-server platform`: runs the other side of the events, and handles what its sinks refused."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from match_server.config import Settings, load_settings
from match_server.console import (
    LogFormat,
    LogFormatOption,
    LogLevel,
    LogLevelOption,
    VersionOption,
    configure_logging,
    refuse,
)
from match_server.errors import SettingsError, StoreUnavailable
from match_server.processes import host_to_call

if TYPE_CHECKING:
    from match_server.platform.service import Feed
    from match_server.platform.stream import DeadLetter

T = TypeVar("T")

SinkArgument = Annotated[str, typer.Argument(help="The sink: history, kafka, or webhook-NAME.")]
LetterArgument = Annotated[str, typer.Argument(help="Its id, as `list` shows it.")]
RedisOption = Annotated[str | None, typer.Option("--redis-url", help="The pool's Redis (MATCH_REDIS_URL).")]
PoolOption = Annotated[
    str | None, typer.Option("--pool", help="One of MATCH_POOLS; each needs a platform of its own. Default: the first.")
]

platform = typer.Typer(help="The history, webhooks and Kafka: what happened, for those who look back.")
dead_letters = typer.Typer(help="What a sink has refused for good.")
platform.add_typer(dead_letters, name="dead-letters")


@platform.callback(invoke_without_command=True)
def run_platform(
    context: typer.Context,
    redis_url: RedisOption = None,
    pool: PoolOption = None,
    port: Annotated[int | None, typer.Option("--port", help="Port to listen on (MATCH_PLATFORM_PORT).")] = None,
    log_format: LogFormatOption = LogFormat.TEXT,
    log_level: LogLevelOption = LogLevel.INFO,
    version: VersionOption = False,  # noqa: ARG001 - handled by its callback
) -> None:
    """Without a command: feed the history and every other sink that is configured, until SIGTERM or Ctrl-C."""
    if context.invoked_subcommand:
        return
    configure_logging(log_format, log_level)
    settings = _load(pool, redis_url=redis_url, platform_port=port)

    def say(listening: int) -> None:
        if log_format is LogFormat.JSON:  # whose first line says so
            return
        typer.echo(f"match-server platform ready on http://{host_to_call(settings.admin_host)}:{listening}")
        sys.stdout.flush()

    async def run() -> None:
        from match_server.platform.service import Platform  # noqa: PLC0415 - nodes do without its libraries

        await Platform(settings).run(say)

    _run(run)


@dead_letters.command("list")
def list_letters(sink: SinkArgument, redis_url: RedisOption = None, pool: PoolOption = None) -> None:
    """The entries that this sink refused, oldest first."""
    for letter in _with_feed(sink, redis_url, pool, lambda feed: feed.stream.dead_letters()):
        types = ", ".join(sorted({line.partition("\t")[0] for line in letter.entry.text.split("\n")}))
        typer.echo(f"{letter.letter_id}  {types}  {letter.reason}")


@dead_letters.command()
def show(sink: SinkArgument, letter: LetterArgument, redis_url: RedisOption = None, pool: PoolOption = None) -> None:
    """One of them as it stands in the stream."""
    found = _letter(sink, letter, redis_url, pool)
    typer.echo(f"entry {found.entry.entry_id}\nreason {found.reason}\n{found.entry.text}")


@dead_letters.command()
def retry(sink: SinkArgument, letter: LetterArgument, redis_url: RedisOption = None, pool: PoolOption = None) -> None:
    """Hand it to the sink once more; it is gone from here if the sink stores it."""
    from match_server.platform.redelivery import redeliver  # noqa: PLC0415 - nodes do without its libraries

    found = _letter(sink, letter, redis_url, pool)
    settings = _load(pool, redis_url=redis_url)
    refused = _with_feed(sink, redis_url, pool, lambda feed: redeliver(feed, found, settings.key_prefix))
    if refused:
        typer.echo(f"{letter}: refused again: {refused}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{letter}: stored")


@dead_letters.command()
def drop(sink: SinkArgument, letter: LetterArgument, redis_url: RedisOption = None, pool: PoolOption = None) -> None:
    """Delete it."""
    if not _with_feed(sink, redis_url, pool, lambda feed: feed.stream.drop_dead_letter(letter)):
        refuse(f"{letter}: no such dead letter of {sink}")
    typer.echo(f"{letter}: dropped")


def _letter(sink: str, letter: str, redis_url: str | None, pool: str | None) -> "DeadLetter":
    found = _with_feed(sink, redis_url, pool, lambda feed: feed.stream.dead_letters(letter, letter))
    if not found:
        refuse(f"{letter}: no such dead letter of {sink}")
    return found[0]


def _with_feed(sink: str, redis_url: str | None, pool: str | None, ask: "Callable[[Feed], Awaitable[T]]") -> T:
    """Ask something of a sink that is configured."""
    settings = _load(pool, redis_url=redis_url)

    async def run() -> T:
        from match_server.actors.core import ActorSystem  # noqa: PLC0415 - nodes do without its libraries
        from match_server.platform.service import opened  # noqa: PLC0415 - nodes do without its libraries

        async with ActorSystem() as system:
            async with opened(settings, system) as parts:
                feeds = {feed.sink.name: feed for feed in parts.feeds}
                if sink not in feeds:
                    raise SettingsError(f"{sink}: no such sink; configured are {', '.join(feeds)}")
                answer = await ask(feeds[sink])
            await system.stop(deadline_seconds=0)
            return answer

    return _run(run)


def _load(pool: str | None, **options: str | int | None) -> Settings:
    """The settings of one pool."""
    try:
        settings = load_settings(**options)
    except SettingsError as error:
        refuse(str(error))
    if pool is not None and pool not in settings.pools:
        refuse(f"--pool: no such pool in MATCH_POOLS; there is {', '.join(settings.pools) or 'none'}")
    return settings.of_pool(pool or settings.pool_names[0])


def _run(work: Callable[[], Awaitable[T]]) -> T:
    async def run() -> T:
        return await work()

    try:
        return asyncio.run(run())
    except (SettingsError, StoreUnavailable) as error:
        refuse(str(error))
    except BaseExceptionGroup as group:
        wrong, others = group.split((SettingsError, StoreUnavailable))
        if others or wrong is None:
            raise
        refuse("\n".join(str(error) for error in wrong.exceptions))
