"""Durations that vary: `0.2`, `uniform:0.1:0.5`, `exponential:0.3`, `normal:0.3:0.1`."""

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

_SHAPES: dict[str, tuple[int, Callable[..., float]]] = {
    # name: (how many parameters, how one value is drawn)
    "fixed": (1, lambda _rng, seconds: seconds),
    "uniform": (2, lambda rng, low, high: rng.uniform(low, high)),
    "exponential": (1, lambda rng, mean: rng.expovariate(1 / mean) if mean else 0.0),
    "normal": (2, lambda rng, mean, deviation: rng.gauss(mean, deviation)),
}
_FORMS = "a number, uniform:LOW:HIGH, exponential:MEAN or normal:MEAN:DEVIATION"


@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution of durations in seconds, never negative."""

    shape: str
    parameters: tuple[float, ...]

    def sample(self, rng: Random) -> float:
        """Draw one duration in seconds; a normal one is cut off at 0."""
        _, draw = _SHAPES[self.shape]
        return max(0.0, draw(rng, *self.parameters))

    def __str__(self) -> str:
        numbers = [f"{number:g}" for number in self.parameters]
        return numbers[0] if self.shape == "fixed" else ":".join([self.shape, *numbers])


def parse_distribution(text: str) -> Distribution:
    """Read a distribution as it is written on the command line.

    Raises:
        ValueError: the text is none of the forms, or a number in it is negative or not finite.
    """
    shape, *rest = text.strip().split(":")
    if not rest and shape not in _SHAPES:
        shape, rest = "fixed", [shape]
    if shape not in _SHAPES:
        near = difflib.get_close_matches(shape, _SHAPES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"expected {_FORMS}"
        raise ValueError(f"{text!r}: there is no distribution {shape!r}; {hint}")
    if len(rest) != _SHAPES[shape][0]:
        raise ValueError(f"{text!r}: expected {_FORMS}")
    try:
        parameters = tuple(float(number) for number in rest)
    except ValueError:
        raise ValueError(f"{text!r}: expected {_FORMS}") from None
    if not all(math.isfinite(number) and number >= 0 for number in parameters):
        raise ValueError(f"{text!r}: expected numbers of 0 or more")
    if shape == "uniform" and parameters[0] > parameters[1]:
        raise ValueError(f"{text!r}: LOW is greater than HIGH")
    return Distribution(shape, parameters)
