"""Events as they leave the platform: CloudEvents 1.0 (https://cloudevents.io), one JSON document each."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny

from match_server.events.data import EVENTS, EventData

_KNOWN: Mapping[str, type[EventData]] = {data.type: data for data in EVENTS}


class CloudEvent(BaseModel):
    """One event."""

    model_config = ConfigDict(frozen=True)

    specversion: Literal["1.0"] = "1.0"
    id: str = Field(description="`<number>-<microseconds>`: unique, the same whenever it is sent again, in order")
    source: str = Field(description="The pool")
    type: str
    subject: str = Field(description="The player, match, session, server, game mode or node")
    time: datetime
    datacontenttype: Literal["application/json"] = "application/json"
    data: SerializeAsAny[EventData]

    @property
    def number(self) -> int:
        """The pool numbers its events without gaps."""
        return int(self.id.partition("-")[0])

    @property
    def microseconds(self) -> int:
        """Its time, since 1970."""
        return int(self.id.partition("-")[2])

    def document(self) -> bytes:
        """The event as JSON."""
        return self.model_dump_json(exclude_none=True).encode()


def source_of(key_prefix: str) -> str:
    """The `source` of a pool's events."""
    return f"/match-server/{quote(key_prefix, safe='')}"


def read_entry(entry_id: str, text: str, *, source: str) -> list[CloudEvent]:
    """The events of an entry of the stream, in order.

    Raises:
        ValueError: the entry is not one that the scripts write.
    """
    last, _, microseconds = entry_id.partition("-")
    lines = text.split("\n")
    first = int(last) - len(lines) + 1
    time = datetime.fromtimestamp(int(microseconds) / 1_000_000, UTC)
    events = []
    for number, line in enumerate(lines, first):
        kind, *fields = line.split("\t")
        if kind not in _KNOWN:
            raise ValueError(f"no such type of event: {kind[:64]!r}")
        data = _KNOWN[kind].read(fields)
        events.append(
            CloudEvent(
                id=f"{number}-{microseconds}", source=source, type=kind, subject=data.subject, time=time, data=data
            )
        )
    return events


def schemas() -> dict[str, Any]:
    """A JSON Schema for each type."""
    return {data.type: _schema(data) for data in EVENTS}


def _schema(data: type[EventData]) -> dict[str, Any]:
    envelope = CloudEvent.model_json_schema()
    described = data.model_json_schema(ref_template="#/$defs/{model}")
    definitions = described.pop("$defs", {})
    envelope["properties"] |= {"type": {"const": data.type}, "data": described}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": data.type,
        "description": data.__doc__,
        "type": "object",
        "properties": envelope["properties"],
        "required": envelope["required"],
    }
    return schema | ({"$defs": definitions} if definitions else {})
