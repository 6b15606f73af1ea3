"""What is accepted of a dedicated server and is likely wrong: each as a sentence for its `warnings`."""

import difflib
from collections.abc import Iterable, Sequence

from match_server.web.bodies import SHOWN_CHARACTERS, HeartbeatBody, RegisterBody

_MOST = 10  # of each kind


def unknown_fields(body: RegisterBody | HeartbeatBody) -> list[str]:
    """The fields that nobody knows: a typo in an optional one would otherwise go unnoticed."""
    names = sorted(body.model_extra or {})[:_MOST]
    return [f"the field {_shown(name)} is not known{_nearest(name, type(body).model_fields)}" for name in names]


def unknown_modes(game_modes: Sequence[str], known: Sequence[str]) -> list[str]:
    """The game modes that this node has not, and with it no other of the pool."""
    missing = [mode for mode in game_modes if mode not in known][:_MOST]
    return [f"no node has the game mode {_shown(mode)}{_nearest(mode, known)}" for mode in missing]


def unreachable(control_url: str, why: str) -> str:
    """Nothing answered at the `control_url`."""
    return f"nothing answers at the control_url {control_url}: {why}"


def _shown(name: str) -> str:
    return repr(name[:SHOWN_CHARACTERS])


def _nearest(name: str, known: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(name[:SHOWN_CHARACTERS], list(known), n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""
