"""The port of a node's events, and the log as its listener."""

from structlog.typing import EventDict

from match_server.events import node_log
from match_server.events.node import Events, FrameDelivered, NodeEvent, SlotLacking


def test_an_event_goes_to_those_who_listen_to_its_type_in_their_order() -> None:
    events, heard = Events(), list[tuple[str, NodeEvent]]()
    events.listen(SlotLacking, lambda event: heard.append(("first", event)))
    events.listen(SlotLacking, lambda event: heard.append(("second", event)))
    events.record(FrameDelivered("queued", "ann", "c"))
    event = SlotLacking("duel")
    events.record(event)
    assert heard == [("first", event), ("second", event)]


def test_each_frame_is_a_line_at_debug(logs: list[EventDict]) -> None:
    events = Events()
    node_log.listen(events)
    events.record(FrameDelivered("queued", "ann", "c"))
    (line,) = logs
    line.pop("log_level")
    assert line == {"event": "player_told", "type": "queued", "player_id": "ann", "connection": "c"}
