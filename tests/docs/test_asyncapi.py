"""docs/asyncapi.yaml is AsyncAPI 3, and says what the models say."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from match_server.events.cloudevents import read_entry
from match_server.events.data import EVENTS
from match_server.protocol import CLIENT_MESSAGES, SERVER_MESSAGES, decode_client, decode_server
from tests.docs import asyncapi
from tests.docs.markdown import blocks, read

# `3.0.0-without-$id.json` of https://www.npmjs.com/package/@asyncapi/specs (Apache-2.0), without its texts for readers.
SCHEMA = Path(__file__).with_name("asyncapi-3.0.0.json")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(read(asyncapi.PAGE))
    return found


def test_it_is_written_from_the_models() -> None:
    assert read(asyncapi.PAGE) == asyncapi.page(), "python -m tests.docs writes it anew"


def test_it_is_asyncapi(document: dict[str, Any]) -> None:
    validator = jsonschema.Draft7Validator(json.loads(SCHEMA.read_text()))
    assert [error.message for error in validator.iter_errors(document)] == []
    broken = {**document, "channels": {"players": {"adress": "/ws/"}}}
    assert not validator.is_valid(broken), "or the validator takes anything"


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = list(_references(document))
    assert len(references) > 100
    for reference in references:
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def test_every_message_and_event_is_there(document: dict[str, Any]) -> None:
    messages = {model.__name__ for model in (*CLIENT_MESSAGES, *SERVER_MESSAGES)}
    types = {data.type for data in EVENTS}
    assert document["components"]["messages"].keys() == messages | types
    assert document["channels"]["players"]["messages"].keys() == messages
    of_kafka = [set(channel["messages"]) for name, channel in document["channels"].items() if name[:5] == "kafka"]
    assert set.union(*of_kafka) == types
    assert sum(map(len, of_kafka)) == len(types)


def test_the_frames_of_the_protocol_page_and_a_real_event_fit_their_schemas(document: dict[str, Any]) -> None:
    def fits(name: str, instance: Any) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.Draft7Validator(schema).validate(instance)

    for line in (line for block in blocks("docs/protocol.md", "text") for line in block.splitlines()):
        decode = {"→": decode_client, "←": decode_server}[line[0]]
        fits(type(decode(line[1:])).__name__, json.loads(line[1:]))
    text = 'match.formed\tm1\tduel\t["ann","bob"]\t9000000\t1000000 2000000\t- -\t\t'
    for event in read_entry("7-9000000", text + "\nplayer.held\tann\tduel\tqueued\t", source="/match-server/"):
        fits(event.type, json.loads(event.document()))
    with pytest.raises(jsonschema.ValidationError):
        fits("Enqueue", {"type": "enqueue", "player_id": "a b", "game_mode": "duel"})
