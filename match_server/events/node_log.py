"""The log as a listener to a node's events. What nobody else listens to is logged where it happens instead."""

import logging
from dataclasses import asdict
from typing import Any

import structlog

from match_server.events import node
from match_server.throttled_log import ThrottledLog

log = structlog.get_logger(__name__)

_MOST_ORIGINS = 100  # that are remembered: anybody may send any


def listen(events: node.Events) -> None:
    """Log from now on. The level is settled by then: what it leaves out costs nothing."""
    rare = ThrottledLog()  # for what anybody may cause
    origins: set[str] = set()

    def origin_refused(event: node.OriginRefused) -> None:
        if event.origin not in origins and len(origins) < _MOST_ORIGINS:
            origins.add(event.origin)
            log.warning("origin_refused", origin=event.origin, setting="MATCH_ALLOWED_ORIGINS")

    events.listen(node.MessageRefused, lambda event: rare.info("player_refused", event.code, **asdict(event)))
    events.listen(node.HandshakeRefused, lambda event: rare.warning("handshake_refused", event.status, **asdict(event)))
    events.listen(node.ServerRefused, lambda event: rare.warning("registration_refused", event.status, **asdict(event)))
    events.listen(node.OperatorRefused, lambda event: rare.warning("operator_refused", event.status, **asdict(event)))
    events.listen(node.ServerIdTaken, lambda event: rare.warning("server_id_taken", None, **asdict(event)))
    events.listen(node.OriginRefused, origin_refused)
    events.listen(node.PlayerDequeued, _player_dequeued)
    events.listen(node.MatchCancelled, lambda event: log.info("match_cancelled", **asdict(event)))
    events.listen(node.RulesCompared, _rules_compared)
    events.listen(node.ModesCompared, _modes_compared)
    if log.bind().is_enabled_for(logging.DEBUG):
        events.listen(node.FrameDelivered, lambda event: log.debug("player_told", **asdict(event)))
        events.listen(node.MatchesFormed, lambda event: log.debug("matches_formed", **_but(event, "waits_us")))
        events.listen(node.MatchConfirmed, lambda event: log.debug("match_found", **_but(event, "since_match_ms")))


def _player_dequeued(event: node.PlayerDequeued) -> None:
    log.info("player_dequeued", **(asdict(event) if event.left_by else _but(event, "left_by")))


def _rules_compared(event: node.RulesCompared) -> None:
    if event.changed and event.differ:
        log.warning("rules_differ", game_mode=event.game_mode, revision=event.revision)
    elif event.changed:
        log.info("rules_agree", game_mode=event.game_mode, revision=event.revision)


def _modes_compared(event: node.ModesCompared) -> None:
    if event.nodes:
        log.warning("modes_differ", **asdict(event))
    else:
        log.info("modes_agree", modes_hash=event.modes_hash)


def _but(event: node.NodeEvent, field: str) -> dict[str, Any]:
    """All fields of an event but one."""
    return {name: value for name, value in asdict(event).items() if name != field}
