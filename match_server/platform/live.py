"""`GET /events`: the events as they come, as Server-Sent Events."""

import re
from collections.abc import AsyncIterator, Callable, Sequence

import structlog
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from match_server.errors import StoreUnavailable
from match_server.events.cloudevents import CloudEvent, read_entry
from match_server.platform.stream import Entry, EventTail
from match_server.web.access import OperatorAccess
from match_server.web.problems import Refused

log = structlog.get_logger(__name__)

_ID = re.compile(r"\d{1,16}-\d{1,16}")
_MOST_READERS = 32  # each has a connection to Redis while it waits
_TURNS_TO_A_COMMENT = 20  # of half a second: proxies close a silent connection


class LiveEndpoints:
    """The events as they come. Needs an operator's key, where one is set."""

    def __init__(self, tail: EventTail, access: OperatorAccess, *, source: str, stopping: Callable[[], bool]) -> None:
        self._tail = tail
        self._access = access
        self._source = source
        self._stopping = stopping
        self._readers = 0

    def routes(self) -> list[Route]:
        """The routes, for the application."""
        return [Route("/events", self.events, methods=["GET"])]

    async def events(self, request: Request) -> Response:
        """`GET /events?type=&subject=`: from now on, or behind `Last-Event-ID`."""
        self._access.authorize(request, "type", "subject")
        after = request.headers.get("last-event-id") or await self._tail.last_id()
        if not _ID.fullmatch(after):
            raise Refused(422, "Last-Event-ID: expected the id of an event")
        if self._readers >= _MOST_READERS:
            raise Refused(503, f"{_MOST_READERS} others read along already")
        types, subjects = request.query_params.getlist("type"), request.query_params.getlist("subject")
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(self._follow(after, types, subjects), media_type="text/event-stream", headers=headers)

    async def _follow(self, after: str, types: Sequence[str], subjects: Sequence[str]) -> AsyncIterator[bytes]:
        self._readers += 1
        silent = 0
        try:
            yield b": the events from here on\n\n"
            while not self._stopping():
                found = await self._after(after)
                after = found[-1].id if found else after
                chosen = [event for event in found if _wanted(event.type, types) and _wanted(event.subject, subjects)]
                silent = 0 if chosen else silent + 1
                if chosen:
                    yield b"".join(_message(event) for event in chosen)
                elif silent % _TURNS_TO_A_COMMENT == 0:
                    yield b":\n\n"
        except StoreUnavailable:
            return  # the reader comes back with Last-Event-ID
        finally:
            self._readers -= 1

    async def _after(self, event_id: str) -> list[CloudEvent]:
        """Events behind this one. It may stand in the middle of an entry, whose id is that of its last event."""
        number = int(event_id.partition("-")[0])
        entries = await self._tail.after(event_id)
        events = [event for entry in entries for event in self._read(entry)]
        return [event for event in events if event.number > number]

    def _read(self, entry: Entry) -> Sequence[CloudEvent]:
        """The events of an entry; none of one that cannot be read, such as newer nodes may write."""
        try:
            return list(read_entry(entry.entry_id, entry.text, source=self._source))
        except ValueError as error:
            log.warning("event_not_readable", entry_id=entry.entry_id, error=str(error))
            return []


def _wanted(value: str, choice: Sequence[str]) -> bool:
    return not choice or value in choice


def _message(event: CloudEvent) -> bytes:
    return b"id: " + event.id.encode() + b"\nevent: " + event.type.encode() + b"\ndata: " + event.document() + b"\n\n"
