"""What a run is told to do, and the parts of it that are written in a form of their own on the command line."""

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from match_server.console import node_url
from match_server.protocol import GAME_MODE_PATTERN, PLAYER_ID_PATTERN
from test_client.behaviours import BEHAVIOURS
from test_client.distributions import Distribution
from test_client.mode_rules import ModeRules
from test_client.room_frames import FrameForm
from test_client.tickets import Choice, Latencies

DEFAULT_URL = "ws://127.0.0.1:8080/ws/"
DEFAULT_LOADING = Distribution("fixed", (0.2,))
LONGEST_PREFIX = 50  # leaves room for the number in a player_id of 64


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmOptions:
    """Everything that shapes a run; the objectives are apart, in `objectives.Limits`."""

    urls: tuple[str, ...] = (DEFAULT_URL,)
    players: int = 2
    game_mode: str = "Normal_1v1"
    mix: Mapping[str, float] = field(default_factory=lambda: {"normal": 1.0})
    attributes: Mapping[str, Distribution | Choice] = field(default_factory=dict)
    latencies: Latencies | None = None
    parties: Mapping[int, float] = field(default_factory=lambda: {1: 1.0})  # size -> weight
    rules: ModeRules | None = None  # None: matches are not held against any
    seed: int = 0
    rate: float | None = None  # players per second; None: all at once
    loading: Distribution = DEFAULT_LOADING
    deadline_seconds: float = 60.0
    match_size: int | None = None  # None: learnt from the first `start_loading`
    join: bool = False
    play_seconds: float = 0.0
    move_hz: float = 10.0
    play_mix: Mapping[str, float] = field(default_factory=lambda: {"plays": 1.0})
    frames: FrameForm = FrameForm.JSON
    player_key: str = ""
    player_prefix: str = "player"


def parse_urls(text: str) -> tuple[str, ...]:
    """Read one or more addresses, separated by commas.

    Raises:
        ValueError: one of them is no address.
    """
    return tuple(node_url(part.strip(), scheme="ws") for part in text.split(","))


def parse_mix(text: str, known: Collection[str] = BEHAVIOURS) -> dict[str, float]:
    """Read `normal=8,drops-link=1`; a name alone has weight 1.

    Raises:
        ValueError: there is no such behaviour, or a weight is no positive number.
    """
    mix: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, weight = part.partition("=")
        if name not in known:
            raise ValueError(f"{name!r} is no behaviour; there are {', '.join(known)}")
        try:
            mix[name] = float(weight or 1)
        except ValueError:
            mix[name] = math.nan
        if not (math.isfinite(mix[name]) and mix[name] >= 0):
            raise ValueError(f"{part!r}: the weight is a number, 0 or more")
    if not sum(mix.values()):
        raise ValueError(f"expected at least one behaviour, such as {next(iter(known))}=1")
    return mix


def parse_arrival(text: str) -> float | None:
    """Read `burst` (None) or a number of players per second.

    Raises:
        ValueError: it is neither.
    """
    if text == "burst":
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"{text!r}: expected burst, or players per second, such as 100")
    return rate


def parse_game_mode(text: str) -> str:
    """Check the name of a game mode.

    Raises:
        ValueError: no mode can have that name.
    """
    if not re.match(GAME_MODE_PATTERN, text):
        raise ValueError(f"{text!r}: expected 1 to 64 characters of A-Z a-z 0-9 _ . -")
    return text


def parse_prefix(text: str) -> str:
    """Check what the players' ids begin with; a number follows.

    Raises:
        ValueError: the ids would not be ones that the service takes.
    """
    if not re.match(PLAYER_ID_PATTERN, text) or len(text) > LONGEST_PREFIX:
        raise ValueError(f"{text!r}: expected 1 to {LONGEST_PREFIX} characters of A-Z a-z 0-9 _ . @ : -")
    return text


def deal(mix: Mapping[str, float], players: int, rng: Random) -> list[str]:
    """Give each player a behaviour: the numbers follow the weights as closely as whole players can, shuffled."""
    total = sum(mix.values())
    shares = {name: players * weight / total for name, weight in mix.items()}
    hand = [name for name, share in shares.items() for _ in range(int(share))]
    by_remainder = sorted(shares, key=lambda name: shares[name] % 1, reverse=True)
    hand += by_remainder[: players - len(hand)]
    rng.shuffle(hand)
    return hand


def arrivals(players: int, rate: float | None) -> Iterator[float]:
    """When each player comes, in seconds after the start."""
    return (0.0 if rate is None else number / rate for number in range(players))
