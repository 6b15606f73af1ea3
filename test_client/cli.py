"""The command: options in, a report and an exit status out."""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import typer
from rich.console import Console

from match_server.console import (
    LogFormat,
    LogFormatOption,
    LogLevel,
    LogLevelOption,
    VersionOption,
    configure_logging,
    ending_cleanly,
    run_command,
)
from test_client.distributions import parse_distribution
from test_client.mode_rules import ModeRules
from test_client.objectives import Limits, judge
from test_client.options import (
    DEFAULT_URL,
    SwarmOptions,
    parse_arrival,
    parse_game_mode,
    parse_mix,
    parse_prefix,
    parse_urls,
)
from test_client.play import MANNERS
from test_client.report import passed, show, to_json
from test_client.room_frames import FrameForm
from test_client.run import run_swarm
from test_client.summary import summarize
from test_client.swarm import Swarm
from test_client.tickets import parse_attribute, parse_latencies, parse_parties

T = TypeVar("T")

NOT_MET = 1
SIGNALLED = 128  # plus the signal's number: 130 after Ctrl-C

_EXAMPLES = """\b
Examples:
  test-client
  test-client --players 1000 --rate 200 --loading-seconds uniform:0.1:0.5
  test-client --mix normal=8,drops-link=1,sends-rubbish=1 --players 50 --seed 7
  test-client --game-mode ranked_5v5 --attribute rating=normal:1500:350 --parties 1:60,2:30,3:10 --modes modes.toml
  test-client --match-server ws://127.0.0.1:8080/ws/,ws://127.0.0.1:8081/ws/
"""

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def simulate(
    match_server: Annotated[
        list[str],
        typer.Option(
            metavar="URL",
            help="A node, as ws://host:port/ws/ or http://host:port. Repeat it, or separate by commas, "
            "to spread the players over several.",
        ),
    ] = [DEFAULT_URL],  # noqa: B006 - typer reads it, nobody writes it
    players: Annotated[int, typer.Option(min=1, help="How many players.")] = 2,
    game_mode: Annotated[str, typer.Option(help="The mode that they queue for.")] = "Normal_1v1",
    attribute: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=DISTRIBUTION",
            help="What each player brings: rating=normal:1500:350, or input=choice:pad:mouse. Repeat it.",
        ),
    ] = [],  # noqa: B006 - typer reads it, nobody writes it
    latency: Annotated[
        str, typer.Option(metavar="REGION=LOW:HIGH,...", help="Milliseconds to each region: eu=20:60,us=90:140.")
    ] = "",
    parties: Annotated[
        str, typer.Option(metavar="SIZE:WEIGHT,...", help="Sizes of parties by weight: 1:60,2:30,3:10.")
    ] = "1:1",
    modes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The TOML file of the modes: every match is held against its rules."),
    ] = None,
    mix: Annotated[
        str,
        typer.Option(
            metavar="NAME=WEIGHT,...",
            help="Behaviours by weight: normal, slow-loader, never-loads, quits-in-queue, quits-while-loading, "
            "drops-link, sends-rubbish, enqueues-twice, wrong-session-id, drops-out, leaves-party, gathers-late.",
        ),
    ] = "normal=1",
    seed: Annotated[int | None, typer.Option(help="Repeat a run's chances. Default: a new one, printed.")] = None,
    arrival: Annotated[
        str,
        typer.Option("--arrival", "--rate", metavar="burst|RATE", help="All at once, or players per second."),
    ] = "burst",
    loading_seconds: Annotated[
        str,
        typer.Option(
            metavar="DISTRIBUTION",
            help="How long players load: 0.2, uniform:0.1:0.5, exponential:0.3 or normal:0.3:0.1.",
        ),
    ] = "0.2",
    deadline_seconds: Annotated[
        float,
        typer.Option(
            min=0.1,
            help="How long a player goes on; one that is loading then gets its session's timeout besides.",
        ),
    ] = 60.0,
    match_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Players in a match; with fewer left, those in the queue leave. Default: as the first match shows.",
        ),
    ] = None,
    join: Annotated[bool, typer.Option("--join/--no-join", help="Join the room on the dedicated server.")] = False,
    play_seconds: Annotated[float, typer.Option(min=0, help="With --join: how long to play there.")] = 0.0,
    move_hz: Annotated[float, typer.Option(min=0.1, max=120, help="Moves a second of a player in a room.")] = 10.0,
    play_mix: Annotated[
        str,
        typer.Option(
            metavar="NAME=WEIGHT,...", help=f"How players play in their rooms, by weight: {', '.join(MANNERS)}."
        ),
    ] = "plays=1",
    frames: Annotated[
        FrameForm, typer.Option(help="How players and their rooms write to each other.")
    ] = FrameForm.JSON,
    player_key: Annotated[
        str,
        typer.Option(envvar="MATCH_PLAYER_KEY", show_envvar=True, help="Signs each player's token (HS256 JWT)."),
    ] = "",
    player_prefix: Annotated[
        str | None, typer.Option(help="Players are called PREFIX-0, PREFIX-1, … Default: a new prefix.")
    ] = None,
    json_file: Annotated[
        typer.FileTextWrite | None,
        typer.Option("--json", metavar="FILE", lazy=False, encoding="utf-8", help="Write the result; - is stdout."),
    ] = None,
    max_p99_ms: Annotated[
        float | None,
        typer.Option(min=0, help="From enqueue to match_found, loading included, over normal players."),
    ] = None,
    max_p99_start_loading_ms: Annotated[
        float | None, typer.Option(min=0, help="From enqueue to start_loading, over normal players.")
    ] = None,
    max_lost: Annotated[int, typer.Option(min=0, help="Players without a stated end.")] = 0,
    max_unexpected: Annotated[int, typer.Option(min=0, help="Players with an end not of their behaviour.")] = 0,
    max_places_lost: Annotated[int, typer.Option(min=0, help="Places gone when a player came back.")] = 0,
    max_left_waiting: Annotated[
        int | None,
        typer.Option(min=0, help="Players that left unmatched. Default: one fewer than a match takes."),
    ] = None,
    log_format: LogFormatOption = LogFormat.TEXT,
    log_level: LogLevelOption = LogLevel.WARNING,
    version: VersionOption = False,  # noqa: ARG001 - its callback does the work
) -> None:
    """Simulate players, and say what became of each of them.

    Every player must come to an end that its behaviour should have; one without a stated end is lost.

    Exit status: 0 all objectives (--max-…) met, 1 not met, 2 a wrong option, 130 stopped by Ctrl-C.
    """
    configure_logging(log_format, log_level)
    options = SwarmOptions(
        urls=_read("--match-server", parse_urls, ",".join(match_server)),
        players=players,
        game_mode=_read("--game-mode", parse_game_mode, game_mode),
        attributes=dict(_read("--attribute", parse_attribute, text) for text in attribute),
        latencies=_read("--latency", parse_latencies, latency),
        parties=_read("--parties", parse_parties, parties),
        rules=None if modes is None else _read("--modes", lambda name: ModeRules.read(modes, name), game_mode),
        mix=_read("--mix", parse_mix, mix),
        seed=secrets.randbits(32) if seed is None else seed,
        rate=_read("--arrival", parse_arrival, arrival),
        loading=_read("--loading-seconds", parse_distribution, loading_seconds),
        deadline_seconds=deadline_seconds,
        match_size=match_size,
        join=join,
        play_seconds=play_seconds,
        move_hz=move_hz,
        play_mix=_read("--play-mix", lambda text: parse_mix(text, MANNERS), play_mix),
        frames=frames,
        player_key=player_key,
        player_prefix=_read("--player-prefix", parse_prefix, player_prefix or f"sim-{secrets.token_hex(3)}"),
    )
    limits = Limits(
        max_lost=max_lost,
        max_unexpected=max_unexpected,
        max_places_lost=max_places_lost,
        max_left_waiting=max_left_waiting,
        max_p99_ms=max_p99_ms,
        max_p99_start_loading_ms=max_p99_start_loading_ms,
    )
    with ending_cleanly():
        raise typer.Exit(_run(options, limits, json_file))


def _run(options: SwarmOptions, limits: Limits, json_file: typer.FileTextWrite | None) -> int:
    swarm = Swarm(options)
    caught = run_swarm(swarm, Console(stderr=True))
    summary = summarize(swarm)
    objectives = judge(summary, limits)
    # With the document on stdout, the tables go to stderr.
    show(summary, objectives, options, Console(stderr=json_file is not None and json_file.name == "<stdout>"))
    if json_file is not None:
        json_file.write(to_json(summary, objectives, options) + "\n")
    if caught is not None:
        return SIGNALLED + caught
    return 0 if passed(summary, objectives) else NOT_MET


def _read(option: str, parse: Callable[[str], T], text: str) -> T:
    """Turn what `parse` says of a wrong value into typer's refusal, with the option's name."""
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=f"'{option}'") from None


def main() -> NoReturn:
    """The entry point of the command."""
    run_command(app, "test-client")
