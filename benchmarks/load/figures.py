"""Numbers from samples: medians, percentiles, ratios. Units stand in the figures' names."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

Figures = dict[str, float]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of the values do not exceed: the nearest-rank method.

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def latency_figures(name: str, values_us: Sequence[float]) -> Figures:
    """p50, p95, p99 and max in milliseconds, as `<name>_p50_ms` and so on; empty without values."""
    if not values_us:
        return {}
    ends = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {f"{name}_{end}_ms": percentile(values_us, share) / 1000 for end, share in ends.items()}


def medians(rows: Sequence[Mapping[str, float]]) -> Figures:
    """The median of each figure over the repetitions that have it."""
    return {name: statistics.median(row[name] for row in rows if name in row) for name in _names(rows)}


def spreads(rows: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    """The least and the greatest of each figure."""
    found: dict[str, tuple[float, float]] = {}
    for name in _names(rows):
        values = [row[name] for row in rows if name in row]
        found[name] = (min(values), max(values))
    return found


def ratios(figures: Mapping[str, float], reference: Mapping[str, float]) -> Figures:
    """Each figure over that of the reference, where both have it and the reference is not 0."""
    return {name: value / reference[name] for name, value in figures.items() if reference.get(name)}


def cpu_per_match(used_seconds: Mapping[str, float], matches: float) -> Figures:
    """CPU of each part over the matches made, in µs; `total` is the service's: nodes, Redis and dedicated server."""
    if not matches:
        return {}
    nodes = sum(seconds for name, seconds in used_seconds.items() if name.startswith("node-"))
    parts = {"node": nodes, "redis": used_seconds.get("redis", 0.0), "stub": used_seconds.get("stub", 0.0)}
    shown = {**parts, "total": sum(parts.values()), "load": used_seconds.get("load", 0.0)}
    return {f"{name}_cpu_us_per_match": 1e6 * seconds / matches for name, seconds in shown.items()}


def _names(rows: Iterable[Mapping[str, float]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))
