"""Attributes: what the modes know of a player, and what an `enqueue` may say of itself.

`read_attributes` is the one way from what a client or a token sent to values that rules can rely on: finite numbers
within their bounds, texts, lists of texts, milliseconds by region. Nothing else gets past it.
"""

import json
import math
import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeAlias

from pydantic import Field, model_validator

from match_server.matching.rules import Table

MAX_ATTRIBUTES = 16
MAX_BYTES = 1024  # of an enqueue's attributes as compact JSON
MAX_NUMBER = 1e9  # beyond it, sums of a hundred players' values would lose their last digits
MAX_LATENCY_MS = 10_000
REGION_PATTERN = r"[A-Za-z0-9_.\-]{1,64}"

Value: TypeAlias = float | str | tuple[str, ...] | Mapping[str, float]
Type: TypeAlias = Literal["number", "text", "list", "latencies"]
Number = Annotated[float, Field(ge=-MAX_NUMBER, le=MAX_NUMBER, allow_inf_nan=False)]


class Attribute(Table):
    """One entry of `[attributes]`: its type, its default, its bounds, and who may say it."""

    type: Type
    default: Any = None  # none: an enqueue for a mode whose rules read it must bring it
    min: Number | None = None
    max: Number | None = None
    source: Literal["token"] | None = Field(None, alias="from")

    @model_validator(mode="after")
    def _fits_itself(self) -> Self:
        if self.type != "number" and (self.min is not None or self.max is not None):
            raise ValueError("`min` and `max` only for a number")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"`max` of at least `min`, which is {self.min:g}")
        if self.default is not None and self.read(self.default) is None:
            raise ValueError(f"a `default` that is {self.expected}, not {json.dumps(self.default)}")
        return self

    @property
    def expected(self) -> str:
        """What a value has to be, in words."""
        if self.type == "number":
            least, most = self.min, self.max
            if least is None and most is None:
                return "a number"
            if most is None:
                return f"a number of at least {least:g}"
            return f"a number of at most {most:g}" if least is None else f"a number from {least:g} to {most:g}"
        return {
            "text": "a text",
            "list": "a list of texts, none of them twice",
            "latencies": f"an object of regions and milliseconds from 0 to {MAX_LATENCY_MS}",
        }[self.type]

    def read(self, given: object) -> Value | None:
        """The value that was given, in the form that rules read; None if it is not `expected`."""
        match self.type:
            case "number":
                return self._number(given)
            case "text":
                return given if isinstance(given, str) else None
            case "list":
                return _texts(given)
            case "latencies":
                return _latencies(given)

    def _number(self, given: object) -> float | None:
        least = -MAX_NUMBER if self.min is None else self.min
        most = MAX_NUMBER if self.max is None else self.max
        value = _finite(given)
        return None if value is None or not least <= value <= most else value


class InvalidAttributes(NamedTuple):
    """Why attributes are refused; the message names the attribute and what is expected."""

    message: str


def read_attributes(
    declared: Mapping[str, Attribute],
    needed: Collection[str],
    given: object,
    *,
    token: Mapping[str, object] | None = None,
) -> dict[str, Value] | InvalidAttributes:
    """Read the attributes of one player's enqueue.

    Args:
        declared: `[attributes]` of the TOML file.
        needed: Those that the mode's rules read; one of them without a default must be there.
        given: `attributes` of the enqueue; None where it brought none.
        token: The claim `attributes` of the player's signed token; None where players bring no tokens. Then, and only
            then, an enqueue may itself say what is declared `from = "token"`.

    Returns:
        Every declared attribute that has a value or a default, or why the enqueue is refused.
    """
    said = {} if given is None else given
    if not isinstance(said, dict) or not all(isinstance(name, str) for name in said):
        return InvalidAttributes("attributes: expected an object")
    refusal = _too_much(said) or _unknown(said, declared, token)
    values: dict[str, Value] = {}
    for name, attribute in declared.items():
        said_by = token if token is not None and attribute.source == "token" else said
        if name in said_by:
            value = attribute.read(said_by[name])
            refusal = refusal or (f"{name}: expected {attribute.expected}" if value is None else None)
        else:
            value = None if attribute.default is None else attribute.read(attribute.default)
            if value is None and name in needed:
                where = " in the player's token" if said_by is token else ""
                refusal = refusal or f"{name}: is missing; expected {attribute.expected}{where}"
        if value is not None:
            values[name] = value
    return InvalidAttributes(refusal) if refusal else values


def _too_much(said: Mapping[str, object]) -> str | None:
    if len(said) > MAX_ATTRIBUTES:
        return f"attributes: expected at most {MAX_ATTRIBUTES}, not {len(said)}"
    return f"attributes: expected at most {MAX_BYTES} bytes of JSON" if _size(said) > MAX_BYTES else None


def _unknown(
    said: Mapping[str, object], declared: Mapping[str, Attribute], token: Mapping[str, object] | None
) -> str | None:
    for name in said:
        if name not in declared:
            known = "one of " + ", ".join(sorted(declared)) if declared else "none, for the modes declare none"
            return f"{name[:64]}: no such attribute; expected {known}"
        if token is not None and declared[name].source == "token":
            return f"{name}: expected in the player's token alone"
    return None


def _finite(given: object) -> float | None:
    """A number as a float, minus zero as zero. Neither true nor digits in quotes are numbers, nor is NaN."""
    if isinstance(given, bool) or not isinstance(given, int | float):
        return None
    try:
        value = float(given)
    except OverflowError:  # an integer of 400 digits is valid JSON
        return None
    return value + 0.0 if math.isfinite(value) else None


def _texts(given: object) -> tuple[str, ...] | None:
    if not isinstance(given, list | tuple) or not all(isinstance(text, str) for text in given):
        return None
    return tuple(given) if len(set(given)) == len(given) else None


def _latencies(given: object) -> dict[str, float] | None:
    if not isinstance(given, dict):
        return None
    latencies: dict[str, float] = {}
    for region, milliseconds in given.items():
        value = _finite(milliseconds)
        if not isinstance(region, str) or not re.fullmatch(REGION_PATTERN, region):
            return None
        if value is None or not 0 <= value <= MAX_LATENCY_MS:
            return None
        latencies[region] = value
    return latencies


def _size(said: Mapping[str, object]) -> int:
    try:
        return len(json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass"))
    except RecursionError:
        return MAX_BYTES + 1
