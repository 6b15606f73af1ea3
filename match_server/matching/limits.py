"""The limits of rules for many tickets at once. Each equals `rule.limit(age)` of one ticket to the last bit."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from match_server.matching.rules import Limited, Rule

Floats: TypeAlias = NDArray[np.float64]
Slots: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]


def limits(rule: Limited, ages: Floats) -> Floats:
    """The rule's limit for tickets of these ages; infinite where a ticket no longer asks for the rule."""
    if rule.widen_per_second is not None:
        found = rule.max + rule.widen_per_second * np.maximum(ages, 0.0)
        if rule.up_to is not None:
            found = np.minimum(found, rule.up_to)
    else:
        steps = np.array([step.after_seconds for step in rule.widen])
        found = np.array([rule.max, *(step.max for step in rule.widen)])[np.searchsorted(steps, ages, side="right")]
    return np.where(optional(rule, ages), np.inf, found)


def mutual_limits(rule: Limited, ages: Floats, other_ages: Floats) -> Floats:
    """The limit of a match of two tickets: both accept it, or the older one alone decides."""
    if rule.age == "oldest":
        return limits(rule, np.maximum(ages, other_ages))
    return np.minimum(limits(rule, ages), limits(rule, other_ages))


def optional(rule: Rule, ages: Floats) -> Mask:
    """Where a ticket of that age no longer asks for the rule."""
    if rule.optional_after_seconds is None:
        return np.zeros(np.shape(ages), dtype=bool)
    return np.asarray(ages >= rule.optional_after_seconds)
