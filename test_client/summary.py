"""What a run came to, in numbers."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from test_client.behaviours import BEHAVIOURS, Normal
from test_client.checks import Violation, all_violations, complete_matches, sessions_told
from test_client.player import INTERRUPTED, LEFT_WAITING, LOST, VIOLATION, SimulatedPlayer
from test_client.rooms import RoomsReport
from test_client.states import Times
from test_client.swarm import Swarm

MOMENTS = ("queued", "start_loading", "match_found")
ALL, NORMAL = "all", Normal.name


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of times from the first `enqueue` to a moment, in milliseconds; or of the differences of matches."""

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
    refusals: dict[str, str]  # of each fate `refused:…` the service's own words to one of its players
    errors: Counter[str]  # `error` frames that nobody had asked for
    links_lost: int
    places_lost: int
    quality: dict[str, Percentiles | None]  # of the matches, by what the mode's rules compare; empty without rules
    regions: Counter[str]  # of the matches
    rooms: RoomsReport | None = None

    @property
    def refused_all(self) -> str | None:
        """Why none of the players came in, where it is the same for all: no node answers, say, or a key is wrong."""
        words = {self.refusals.get(fate) for counted in self.fates.values() for fate in counted}
        return words.pop() if len(words) == 1 else None

    def total(self, fate: str) -> int:
        """How many players had this fate."""
        return sum(fates[fate] for fates in self.fates.values())


def percentiles(seconds: Iterable[float]) -> Percentiles | None:
    """Sum up times, in milliseconds; None without any."""
    return _percentiles(1000 * value for value in seconds)


def _percentiles(values: Iterable[float]) -> Percentiles | None:
    """By the nearest rank; None without any."""
    ordered = sorted(values)
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
    rules = swarm.options.rules
    by_id = {player.journey.player_id: player for player in players}
    found = [rules.quality(*match) for match in complete_matches(by_id)] if rules else []
    return Summary(
        seconds=swarm.seconds,
        interrupted=swarm.stopped,
        players=len(players),
        match_size=swarm.match_size,
        matches=matches,
        matches_per_second=_per_second(matches, [player.journey.times for player in players]),
        fates=fates,
        latency_ms={ALL: _latency(players), NORMAL: _latency(normal)},
        violations=[*all_violations(players, rules), *(Violation(*each) for each in swarm.rooms.missed())],
        unexpected=[
            (player.journey.player_id, player.behaviour.name, player.fate)
            for player in players
            if player.fate and not player.expected and player.fate not in {LOST, VIOLATION, INTERRUPTED}
        ],
        refusals={
            player.fate: player.refused_with
            for player in players
            if player.fate and player.fate.startswith("refused:") and player.refused_with
        },
        errors=Counter(str(code) for player in players for code in player.journey.errors.elements()),
        links_lost=sum(player.journey.links_lost for player in players),
        places_lost=sum(player.journey.places_lost for player in players),
        quality={
            name: _percentiles(value for each in found if (value := getattr(each, name)) is not None)
            for name in ("difference", "team_difference")
            if rules
        },
        rooms=swarm.rooms.report(),
        regions=Counter(each.region for each in found if each.region),
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
