"""How many tickets arrive where: what `second_is_worth` judges by whether waiting for a better match will pay.

For a price λ of one second of one player's waiting (in points of difference) and a density rho of arrivals (players per
second and point), the difference worth accepting is about sqrt(λ/rho): waiting for somebody nearer takes about
1/(rho * d) seconds and costs λ for each. docs/decisions says how it was found and what else was tried.
"""

from collections import deque
from math import sqrt

import numpy as np

from match_server.matching.limits import Floats

MEMORY_SECONDS = 300.0  # an arrival counts 1/e after so long
MAX_ARRIVALS = 2_000
REFRESH_SECONDS = 2.0
GRID = 65
FEWEST = 3  # arrivals before anything is judged: a mode that starts knows nobody and takes what is allowed


class Crowd:
    """The density of arrivals, by their value: a Gaussian kernel over the last minutes' arrivals."""

    def __init__(self) -> None:
        self._arrivals: deque[tuple[float, float, int]] = deque(maxlen=MAX_ARRIVALS)  # at, value, players
        self._since: float | None = None
        self._refreshed = -np.inf
        self._grid = np.zeros(0)
        self._densities = np.zeros(0)

    def arrived(self, at: float, value: float, players: int) -> None:
        """A ticket came: seconds since the epoch, where it stands, and its players."""
        if self._since is None:
            self._since = at
        self._arrivals.append((at, value, players))

    def densities(self, values: Floats, now: float) -> Floats | None:
        """Players that arrive per second and point near these values; None as long as too few have come to judge."""
        if len(self._arrivals) < FEWEST or self._since is None:
            return None
        if now - self._refreshed >= REFRESH_SECONDS or not len(self._grid):
            self._refresh(now, self._since)
        return np.interp(values, self._grid, self._densities)

    def spread(self, now: float) -> "Spread | None":
        """How wide the crowd is and how fast it comes; None as long as too few have come to judge."""
        if self.densities(np.zeros(0), now) is None:
            return None
        return Spread(self._grid, np.cumsum(self._densities))

    def _refresh(self, now: float, since: float) -> None:
        self._refreshed = now
        at, values, players = np.array(self._arrivals).T
        weights = players * np.exp(-(now - at) / MEMORY_SECONDS)
        total = weights.sum()
        mean = float(weights @ values / total)
        deviation = max(sqrt(float(weights @ (values - mean) ** 2 / total)), 1e-3)
        effective = float(total**2 / (weights @ weights))
        width = 1.06 * deviation * effective**-0.2  # Silverman's rule
        # The oldest that is still known may be younger than the memory reaches.
        seen_from = since if len(self._arrivals) < MAX_ARRIVALS else float(at[0])
        observed = MEMORY_SECONDS * (1 - np.exp(-(now - seen_from) / MEMORY_SECONDS))
        self._grid = np.linspace(mean - 4 * deviation, mean + 4 * deviation, GRID)
        kernels = np.exp(-0.5 * ((self._grid[:, None] - values) / width) ** 2) / (width * sqrt(2 * np.pi))
        # Nowhere is nobody: one arrival in the whole memory, spread evenly, is the least.
        least = 1 / (MEMORY_SECONDS * 8 * deviation)
        self._densities = np.maximum(kernels @ weights / max(float(observed), 1.0), least)


class Spread:
    """The distribution of arrivals along the line."""

    def __init__(self, grid: Floats, cumulated: Floats) -> None:
        self._grid, self._shares = grid, cumulated / cumulated[-1]
        self.players_per_second = float(cumulated[-1] * (grid[1] - grid[0]))

    def width(self, players: int) -> float:
        """How far the lowest and the highest of so many players are apart, about."""
        share = 1 / (players + 1)
        low, high = np.interp([share, 1 - share], self._shares, self._grid)
        return float(high - low)
