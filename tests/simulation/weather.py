"""What goes wrong in one run, and how often. A rate of 0 never happens.

A seed draws a few kinds of trouble, so that each is met with and without the others.
"""

from dataclasses import dataclass, replace
from random import Random


@dataclass(slots=True)
class Weather:
    """Rates are per round trip, call, message or player; times are seconds of the run."""

    # Redis, as one node sees it
    slow: float = 0.0  # a round trip takes up to 80 ms
    lost_request: float = 0.0
    lost_reply: float = 0.0
    cut: float = 0.0  # some of a pipeline's commands run, and the link breaks
    split: float = 0.0  # others come between a pipeline's commands
    late: float = 0.0  # the caller has given up, and asked again, when its commands run
    killed_by_call: float = 0.0  # the node dies while this round trip is under way
    # Redis itself: outages in a run
    pauses: int = 0
    restarts: int = 0
    emptyings: int = 0
    script_flushes: int = 0
    # The pub/sub links: how often in a run
    link_breaks: int = 0
    link_silences: int = 0
    # Nodes: how often in a run
    partitions: int = 0  # Redis is there, and this node does not reach it
    kills: int = 0
    stops: int = 0
    # Dedicated servers
    refuses: float = 0.0
    loses_create: float = 0.0
    loses_created: float = 0.0
    creates_late: float = 0.0
    loses_report: float = 0.0  # a heartbeat or an end, or the answer to it
    server_deaths: int = 0
    own_session_ids: bool = False
    # Players
    drops: float = 0.0  # breaks its link, and comes back
    vanishes: float = 0.0  # breaks its link, and stays away
    quits: float = 0.0  # dequeues
    closes: float = 0.0  # leaves by closing its connection
    never_loads: float = 0.0
    repeats: float = 0.0  # sends something twice, or something out of place
    moves: float = 0.0  # opens a second connection with its token
    hasty: float = 0.0  # leaves, or breaks its link, before it has an answer
    rivals: float = 0.0  # somebody else enqueues under its name
    plays_again: float = 0.0

    def calm(self) -> None:
        """From now on nothing goes wrong."""
        for field, value in Weather.__dataclass_fields__.items():
            if field != "own_session_ids":
                setattr(self, field, value.default)


_REDIS = ("lost_request", "lost_reply", "cut", "split", "late", "slow")
_SERVERS = ("refuses", "loses_create", "loses_created", "creates_late", "loses_report")
_PLAYERS = ("drops", "vanishes", "quits", "closes", "never_loads", "repeats", "moves", "hasty", "rivals", "plays_again")
_EVENTS = (
    "pauses",
    "restarts",
    "emptyings",
    "script_flushes",
    "link_breaks",
    "link_silences",
    "partitions",
    "kills",
    "stops",
    "server_deaths",
)


def draw(chance: Random) -> Weather:
    """The weather of a seed."""
    weather = Weather(own_session_ids=chance.random() < 0.3)
    for name in _REDIS:
        if chance.random() < 0.35:
            setattr(weather, name, chance.choice((0.01, 0.04, 0.1)))
    for name in _SERVERS:
        if chance.random() < 0.3:
            setattr(weather, name, chance.choice((0.1, 0.3, 0.6)))
    for name in _PLAYERS:
        if chance.random() < 0.4:
            setattr(weather, name, chance.choice((0.1, 0.3)))
    for name in _EVENTS:
        if chance.random() < 0.2:
            setattr(weather, name, chance.choice((1, 1, 2)))
    if chance.random() < 0.15:
        weather.killed_by_call = 0.01
    return weather


def fair(chance: Random) -> Weather:
    """Nothing goes wrong at all."""
    return replace(Weather(), own_session_ids=chance.random() < 0.3)
