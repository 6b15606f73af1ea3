"""What a run came to, in numbers."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from test_client.behaviours import BEHAVIOURS, Normal
from test_client.checks import Violation, all_violations, sessions_told
from test_client.journey import Times
from test_client.player import INTERRUPTED, LEFT_WAITING, LOST, VIOLATION, SimulatedPlayer
from test_client.swarm import Swarm

MOMENTS = ("queued", "start_loading", "match_found")
ALL, NORMAL = "all", Normal.name


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Times from the first `enqueue` to a moment, in milliseconds."""

    count: int
    p50: float
    p90: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The outcome of a run."""

    seconds: float
    interrupted: bool
    players: int
    match_size: int | None
    matches: int
    matches_per_second: float
    fates: dict[str, Counter[str]]  # by behaviour
    latency_ms: dict[str, dict[str, Percentiles | None]]  # of all players and of the normal ones; by moment
    violations: list[Violation]
    unexpected: list[tuple[str, str, str]]  # player, behaviour, fate
    errors: Counter[str]  # `error` frames that nobody had asked for
    links_lost: int
    places_lost: int

    def total(self, fate: str) -> int:
        """How many players had this fate."""
        return sum(fates[fate] for fates in self.fates.values())


def percentiles(seconds: Iterable[float]) -> Percentiles | None:
    """Sum up times, by the nearest rank; None without any."""
    ordered = sorted(1000 * value for value in seconds)
    if not ordered:
        return None
    p50, p90, p95, p99 = (ordered[-(-len(ordered) * share // 100) - 1] for share in (50, 90, 95, 99))
    return Percentiles(len(ordered), p50, p90, p95, p99, ordered[-1])


def summarize(swarm: Swarm) -> Summary:
    """Look back on a run that has ended."""
    players = swarm.players
    fates: dict[str, Counter[str]] = {name: Counter() for name in BEHAVIOURS if name in swarm.options.mix}
    for player in players:
        fates[player.behaviour.name][player.fate or INTERRUPTED] += 1
    normal = [player for player in players if player.behaviour.name == NORMAL]
    matches = len(sessions_told(players))
    return Summary(
        seconds=swarm.seconds,
        interrupted=swarm.stopped,
        players=len(players),
        match_size=swarm.match_size,
        matches=matches,
        matches_per_second=_per_second(matches, [player.journey.times for player in players]),
        fates=fates,
        latency_ms={ALL: _latency(players), NORMAL: _latency(normal)},
        violations=all_violations(players),
        unexpected=[
            (player.journey.player_id, player.behaviour.name, player.fate)
            for player in players
            if player.fate and not player.expected and player.fate not in {LOST, VIOLATION, INTERRUPTED}
        ],
        errors=Counter(str(code) for player in players for code in player.journey.errors.elements()),
        links_lost=sum(player.journey.links_lost for player in players),
        places_lost=sum(player.journey.places_lost for player in players),
    )


def is_expected(behaviour: str, fate: str) -> bool:
    """That fate is one that the behaviour should come to."""
    return fate == LEFT_WAITING or fate in BEHAVIOURS[behaviour].fates


def _latency(players: Sequence[SimulatedPlayer]) -> dict[str, Percentiles | None]:
    return {moment: percentiles(_spans(players, moment)) for moment in MOMENTS}


def _spans(players: Sequence[SimulatedPlayer], moment: str) -> Iterable[float]:
    for player in players:
        begin, end = player.journey.times.enqueued, getattr(player.journey.times, moment)
        if begin is not None and end is not None:
            yield end - begin


def _per_second(matches: int, times: Sequence[Times]) -> float:
    """Matches from the first enqueue to the last `match_found`."""
    begins = [each.enqueued for each in times if each.enqueued is not None]
    ends = [each.match_found for each in times if each.match_found is not None]
    return matches / (max(ends) - min(begins)) if ends and max(ends) > min(begins) else 0.0
