"""The rules of a game mode: who may be in one match, and how that loosens while a ticket waits.

A rule is what stands in `rules` of a mode in the TOML file; this module says which fields it has and what its limit is
for a ticket of a given age. `match_server/matching/judge.py` says whether a group of tickets keeps the rules.
"""

from math import inf
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
Limit = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
AttributeName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,31}$")]


class Table(BaseModel):
    """A table of the TOML file: an entry that nobody knows is an error, and a number in quotes is no number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Step(Table):
    """From `after_seconds` of waiting on, the rule's limit is `max`."""

    after_seconds: Seconds
    max: Limit


class _Rule(Table):
    optional_after_seconds: Seconds | None = None  # a ticket of this age no longer asks for the rule

    def is_optional(self, age: float) -> bool:
        """Whether a ticket that has waited `age` seconds no longer asks for this rule."""
        return self.optional_after_seconds is not None and age >= self.optional_after_seconds


class _Limited(_Rule):
    """A rule with a limit that widens by the age of each ticket, or of the match's oldest one."""

    max: Limit
    widen: tuple[Step, ...] = Field((), strict=False)
    widen_per_second: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)] | None = None
    up_to: Limit | None = None
    age: Literal["ticket", "oldest"] = "ticket"

    @model_validator(mode="after")
    def _widens_one_way(self) -> Self:
        if self.widen and self.widen_per_second is not None:
            raise ValueError("either `widen` or `widen_per_second`, not both")
        if self.up_to is not None and self.widen_per_second is None:
            raise ValueError("`up_to` only beside `widen_per_second`")
        if self.up_to is not None and self.up_to < self.max:
            raise ValueError(f"`up_to` of at least `max`, which is {self.max:g}")
        before = Step(after_seconds=0, max=self.max)
        for step in self.widen:
            if step.after_seconds <= before.after_seconds or step.max < before.max:
                raise ValueError("steps of `widen` that each come later and are no narrower than the one before")
            before = step
        return self

    def limit(self, age: float) -> float:
        """The limit for a ticket that has waited `age` seconds; infinite where it no longer asks for the rule."""
        if self.is_optional(age):
            return inf
        if self.widen_per_second is not None:
            return min(self.max + self.widen_per_second * max(age, 0.0), inf if self.up_to is None else self.up_to)
        return next((step.max for step in reversed(self.widen) if age >= step.after_seconds), self.max)

    def changes(self) -> tuple[float, ...]:
        """The ages at which the limit takes a step, in order."""
        ages = {step.after_seconds for step in self.widen}
        if self.optional_after_seconds is not None:
            ages.add(self.optional_after_seconds)
        return tuple(sorted(ages))


class Difference(_Limited):
    """The largest difference between any two players."""

    kind: Literal["difference"]
    attribute: AttributeName
    weight: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] = 1


class TeamDifference(_Limited):
    """The largest difference between the means of any two teams."""

    kind: Literal["team_difference"]
    attribute: AttributeName
    weight: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] = 1


class Latency(_Limited):
    """A region exists that every player reaches within the limit; the one with the smallest worst latency is taken."""

    kind: Literal["latency"]
    attribute: AttributeName


class PartyBalance(_Limited):
    """The largest parties of the teams differ by at most `max` players."""

    kind: Literal["party_balance"]


class Same(_Rule):
    """All players have one value."""

    kind: Literal["same"]
    attribute: AttributeName


class Common(_Rule):
    """The players' lists share an element; the one that the most players placed first is the match's."""

    kind: Literal["common"]
    attribute: AttributeName


class Apart(_Rule):
    """Nobody is with a player whose id stands in its list."""

    kind: Literal["apart"]
    attribute: AttributeName


class Rematch(_Rule):
    """Nobody meets a player of its own matches of the last `within_seconds` again."""

    kind: Literal["rematch"]
    within_seconds: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
    with_teammates: bool = False


Limited: TypeAlias = Difference | TeamDifference | Latency | PartyBalance
Rule: TypeAlias = Difference | TeamDifference | Latency | PartyBalance | Same | Common | Apart | Rematch

# The types of attribute that each kind of rule reads.
ATTRIBUTE_TYPES: dict[str, tuple[str, ...]] = {
    "difference": ("number",),
    "team_difference": ("number",),
    "latency": ("latencies",),
    "same": ("text", "number"),
    "common": ("list",),
    "apart": ("list",),
}
