"""What the three commands have in common: logs, and the options that each of them takes."""

import logging
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any, Literal, NoReturn
from urllib.parse import urlsplit, urlunsplit

import structlog
import typer

from match_server import __version__


class LogFormat(StrEnum):
    """How a log line is written."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """The least level that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"match-server {__version__}")
        raise typer.Exit


LogFormatOption = Annotated[LogFormat, typer.Option("--log-format", help="How log lines are written (stderr).")]
LogLevelOption = Annotated[LogLevel, typer.Option("--log-level", help="The least level that is logged.")]
VersionOption = Annotated[
    bool,
    typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
]


# Libraries of which only warnings are let through.
_NOISY = ("uvicorn", "websockets", "httpx", "httpcore", "asyncio", "alembic", "sqlalchemy", "aiosqlite", "kafka")


def _tuples_as_lists(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """As in JSON; people need not know how Python tells the two apart."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in event.items()}


def _common_fields_first(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Open each JSON line with what every line has, in the same order."""
    return {
        "time": event.pop("time", ""),
        "level": event.pop("level", ""),
        "event": event.pop("event", ""),
        **({"node": event.pop("node")} if "node" in event else {}),
        **event,
    }


def configure_logging(log_format: LogFormat, log_level: LogLevel) -> None:
    """Send structlog and the standard library's loggers to stderr, one line per event.

    uvicorn logs every accepted WebSocket with its query string, and so a player's `?token=`; only its warnings
    are let through.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    tail: list[structlog.typing.Processor]
    if log_format is LogFormat.JSON:
        tail = [
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            _common_fields_first,
            structlog.processors.JSONRenderer(),
        ]
    else:
        tail = [
            _tuples_as_lists,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), timestamp_key="time", pad_event_to=24),
        ]
    structlog.configure(
        processors=[*shared, *tail],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(log_level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail],
        )
    )
    logging.basicConfig(handlers=[handler], level=log_level.upper(), force=True)
    logging.getLogger("dotenv").setLevel(logging.ERROR)  # a broken line of .env is refused, with its file's name
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))


def node_url(text: str, *, scheme: Literal["http", "ws"]) -> str:
    """A node's address, however it is written (`host:port`, `http://host:port`, `ws://host:port/ws/`), in one form.

    `ws` is for players, with the path `/ws/` unless there is another, `http` for all other calls, without a path of
    players; `https` and `wss` stay encrypted.

    Raises:
        ValueError: it is no address.
    """
    try:
        parts = urlsplit(text if "://" in text else f"{scheme}://{text}")
        port_is_fine = parts.port != 0  # reading it checks its range
    except ValueError:
        port_is_fine = False
    is_host = port_is_fine and len((parts.hostname or "").split()) == 1
    if not is_host or parts.scheme not in {"http", "https", "ws", "wss"}:
        raise ValueError(f"{text!r}: expected an address such as http://127.0.0.1:8080 or ws://127.0.0.1:8080/ws/")
    encrypted = "s" if parts.scheme in {"https", "wss"} else ""
    path = parts.path if parts.path.strip("/") else ""
    path = (path or "/ws/") if scheme == "ws" else path.removesuffix("/").removesuffix("/ws")
    return urlunsplit((scheme + encrypted, parts.netloc, path, parts.query if scheme == "ws" else "", ""))


def refuse(message: str) -> NoReturn:
    """End the start with one readable line per wrong setting, and exit status 2."""
    typer.echo(message, err=True)
    raise typer.Exit(2)


def run_command(app: typer.Typer, program: str) -> NoReturn:
    """Run a command to its exit status; a wrong option is one line that names it, and exit status 2."""
    try:
        status = app(prog_name=program, standalone_mode=False)
    except typer.TyperException as error:
        typer.echo(f"{program}: {error.format_message()}", err=True)
        status = error.exit_code
    sys.exit(status)


@contextmanager
def ending_cleanly() -> Iterator[None]:
    """Let Ctrl-C end a command without a traceback."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
