"""What simulated players bring: attributes, latencies and parties, drawn at random by what the command line says."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from match_server.protocol import Enqueue
from test_client.distributions import Distribution, parse_distribution

LARGEST_PARTY = 100
LATENCY = "latency"  # the attribute that --latency fills


@dataclass(frozen=True, slots=True)
class Brought:
    """What a player's `enqueue` says beside its id and its mode."""

    attributes: Mapping[str, Any] = field(default_factory=dict)
    party_id: str | None = None  # None: a player alone
    party_size: int = 1

    def enqueue(self, player_id: str, game_mode: str) -> Enqueue:
        """The message that brings all of it."""
        enqueue = Enqueue(player_id=player_id, game_mode=game_mode, attributes=self.attributes or None)
        if self.party_id is None:
            return enqueue
        return enqueue.model_copy(update={"party_id": self.party_id, "party_size": self.party_size})


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several texts, each as likely as the others."""

    texts: tuple[str, ...]

    def sample(self, rng: Random) -> str:
        """Draw one."""
        return rng.choice(self.texts)

    def __str__(self) -> str:
        return ":".join(["choice", *self.texts])


@dataclass(frozen=True, slots=True)
class Latencies:
    """Milliseconds to each region, evenly between two limits."""

    regions: Mapping[str, tuple[float, float]]

    def sample(self, rng: Random) -> dict[str, float]:
        """Draw one player's."""
        return {region: round(rng.uniform(low, high), 1) for region, (low, high) in self.regions.items()}

    def __str__(self) -> str:
        return ",".join(f"{region}={low:g}:{high:g}" for region, (low, high) in self.regions.items())


def parse_attribute(text: str) -> tuple[str, Distribution | Choice]:
    """Read `rating=normal:1500:350` or `input=choice:pad:mouse`.

    Raises:
        ValueError: it is neither.
    """
    name, _, form = text.partition("=")
    if not name or not form:
        raise ValueError(f"{text!r}: expected NAME=DISTRIBUTION or NAME=choice:TEXT:…")
    if form.startswith("choice:"):
        return name, Choice(tuple(form.split(":")[1:]))
    return name, parse_distribution(form)


def parse_latencies(text: str) -> Latencies | None:
    """Read `eu=20:60,us=90:140`; nothing is None.

    Raises:
        ValueError: it is something else.
    """
    regions: dict[str, tuple[float, float]] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        region, _, limits = part.partition("=")
        try:
            low, high = (float(limit) for limit in limits.split(":"))
        except ValueError:
            low = high = math.nan
        if not region or not 0 <= low <= high < math.inf:
            raise ValueError(f"{part!r}: expected REGION=LOW:HIGH, in milliseconds, such as eu=20:60")
        regions[region] = (low, high)
    return Latencies(regions) if regions else None


def parse_parties(text: str) -> dict[int, float]:
    """Read `1:60,2:30,3:10`: sizes of parties, and how often each comes beside the others.

    Raises:
        ValueError: it is something else.
    """
    weights: dict[int, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        size, _, weight = part.partition(":")
        is_right = size.isdecimal() and 1 <= int(size) <= LARGEST_PARTY
        try:
            weights[int(size) if is_right else 0] = float(weight or 1)
        except ValueError:
            is_right = False
        if not is_right or not all(0 <= share < math.inf for share in weights.values()):
            raise ValueError(f"{part!r}: expected SIZE:WEIGHT, such as 2:30, with a size from 1 to {LARGEST_PARTY}")
    if not sum(weights.values()):
        raise ValueError("expected at least one size of party, such as 1:60,2:30")
    return weights


def deal_parties(weights: Mapping[int, float], players: int, rng: Random) -> list[int]:
    """The sizes of parties that make up so many players; the last one is cut to what is left."""
    sizes: list[int] = []
    while (left := players - sum(sizes)) > 0:
        size = rng.choices(list(weights), list(weights.values()))[0]
        sizes.append(min(size, left))
    return sizes
