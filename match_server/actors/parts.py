"""A player's part of a ticket, as its `enqueue` and its signed token say it; and why an enqueue is refused."""

from typing import NamedTuple

from match_server import protocol
from match_server.actors.mailbox import Identity
from match_server.errors import ErrorCode
from match_server.matching.attributes import InvalidAttributes, read_attributes
from match_server.matching.game_modes import GameModes
from match_server.matching.modes import GameMode
from match_server.store.tickets import Part

# What the store refuses an enqueue with, in the words of the `error` frame.
REFUSALS = {
    "already_in_queue": "this player is in the queue or in a match; resume with its token to take it over",
    "queue_paused": "an operator has paused this game mode",
    "party_mismatch": "this party gathers for another mode or with another size, or is complete already",
}


class PartRefused(NamedTuple):
    """Why an enqueue is refused."""

    code: ErrorCode
    message: str


def read_part(modes: GameModes, message: protocol.Enqueue, identity: Identity | None) -> str | PartRefused:
    """What a player brings to its ticket, as the scripts take it; empty in a mode that is drawn at random.

    `identity` is what the connection's signed token says, None where players bring no tokens.
    """
    mode = modes.get(message.game_mode)
    if mode is None:
        expected = ", ".join(known.name for known in modes.open)
        return PartRefused(ErrorCode.INVALID_GAME_MODE, f"game_mode: expected one of {expected}")
    if modes.is_closed(mode.name) and message.party_id is None:  # a party that gathers may still complete
        return PartRefused(ErrorCode.QUEUE_PAUSED, "this game mode has been removed; who waits in it keeps waiting")
    refused = _party_refused(mode, message, identity)
    if refused or not mode.by_rules:
        return refused or ""
    token = identity.attributes if identity else None
    attributes = read_attributes(mode.attributes, mode.needed, message.attributes, token=token)
    if isinstance(attributes, InvalidAttributes):
        return PartRefused(ErrorCode.INVALID_ATTRIBUTES, attributes.message)
    return Part(attributes, message.party_id or "", message.party_size or 1).encode()


def _party_refused(mode: GameMode, message: protocol.Enqueue, identity: Identity | None) -> PartRefused | None:
    party_id, party_size = message.party_id, message.party_size
    if (party_id is None) != (party_size is None):
        missing = "party_id" if party_id is None else "party_size"
        return PartRefused(ErrorCode.INVALID_MESSAGE, f"{missing}: is missing; a party has an id and a size")
    if party_size is not None and party_size > mode.party_max:
        return PartRefused(ErrorCode.INVALID_PARTY, f"party_size: expected at most {mode.party_max} in {mode.name}")
    largest_team = max(mode.teams.values(), default=mode.players)
    if party_size is not None and largest_team < party_size < mode.players:
        fits = f"at most {largest_team}, a team, or {mode.players}, a whole match"
        return PartRefused(ErrorCode.INVALID_PARTY, f"party_size: expected {fits}, in {mode.name}")
    claimed = identity.party_id if identity else None
    if party_id is not None and claimed is not None and party_id != claimed:
        return PartRefused(ErrorCode.INVALID_PARTY, "party_id: expected the one of the player's token")
    return None
