"""docs/asyncapi.yaml: the players' WebSocket and the events as AsyncAPI 3, from the models of the code."""

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml
from pydantic import BaseModel

from match_server import __version__
from match_server.config import Settings
from match_server.errors import CloseCode
from match_server.events.cloudevents import schemas
from match_server.events.data import EVENTS
from match_server.platform.kafka import KafkaSink
from match_server.protocol import CLIENT_MESSAGES, SERVER_MESSAGES

PAGE = "docs/asyncapi.yaml"
_HEAD = "# Written by `python -m tests.docs` from the models of the code.\n"
_SCHEMAS = "#/components/schemas/"
_LINE = 120

Json = dict[str, Any]


def page() -> str:
    """The document as it stands in the file."""
    return _HEAD + yaml.safe_dump(document(), sort_keys=False, allow_unicode=True, width=_LINE)


def document() -> Json:
    schemas_by_name: Json = {}
    messages: Json = {}
    for model in (*CLIENT_MESSAGES, *SERVER_MESSAGES):  # by their classes: `status` is said by both sides
        name = model.__name__
        schema = model.model_json_schema(ref_template=f"{_SCHEMAS}{{model}}")
        schemas_by_name |= schema.pop("$defs", {})
        schemas_by_name[name] = schema
        messages[name] = _message(name, type_of(model), inspect.cleandoc(model.__doc__ or ""))
    for name, schema in schemas().items():
        described = _hoisted({key: value for key, value in schema.items() if key != "$schema"})
        schemas_by_name |= described.pop("$defs", {})
        schemas_by_name[name] = described
        messages[name] = _message(name, name, described["description"])
        messages[name] |= {"contentType": "application/cloudevents+json"}
        messages[name]["bindings"] = {"kafka": {"key": {"type": "string", "description": "The subject"}}}
    types = [data.type for data in EVENTS]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "match-server",
            "version": __version__,
            "description": "The messages of players (docs/protocol.md) and the events (docs/events.md).",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": _servers(),
        "channels": {"players": _players(), **_of_events(types)},
        "operations": dict(_operations(types)),
        "components": {
            "messages": messages,
            "schemas": dict(sorted(schemas_by_name.items())),
            "securitySchemes": {
                "player": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "player-in-query": {"type": "httpApiKey", "name": "token", "in": "query"},
                "operator": {"type": "http", "scheme": "bearer", "description": "Where a key is set"},
            },
        },
    }


def type_of(model: type[BaseModel]) -> str:
    """What a message's `type` says."""
    return str(model.model_fields["type"].default)


def _message(key: str, name: str, summary: str) -> Json:
    return {"name": name, "summary": summary, "payload": {"$ref": _SCHEMAS + key}}


def _hoisted(schema: Any) -> Any:
    """The same with references to where the definitions stand in this document."""
    match schema:
        case {"$ref": str(reference)}:
            return {**schema, "$ref": reference.replace("#/$defs/", _SCHEMAS)}
        case dict():
            return {key: _hoisted(value) for key, value in schema.items()}
        case list():
            return [_hoisted(each) for each in schema]
    return schema


def _servers() -> Json:
    settings = Settings()
    return {
        "node": {
            "host": f"{settings.host}:{settings.port}",
            "protocol": "ws",
            "description": "Any node. Without MATCH_PLAYER_KEY and MATCH_PLAYER_JWKS nobody needs a token.",
            "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in ("player", "player-in-query")],
        },
        "platform": {
            "host": f"{settings.admin_host}:{settings.platform_port}",
            "protocol": "http",
            "description": "The platform, for operators.",
            "security": [{"$ref": "#/components/securitySchemes/operator"}],
        },
        "kafka": {"host": "kafka.example.org:9092", "protocol": "kafka", "description": "MATCH_KAFKA_BROKERS"},
    }


def _players() -> Json:
    names = [model.__name__ for model in (*CLIENT_MESSAGES, *SERVER_MESSAGES)]
    text = {"type": "string"}
    return {
        "address": "/ws/",
        "title": "Players",
        "description": "One JSON object for each text frame. Readers ignore fields that they do not know.",
        "servers": [{"$ref": "#/servers/node"}],
        "messages": _references(names),
        "bindings": {"ws": {"method": "GET", "query": {"type": "object", "properties": {"token": text, "pool": text}}}},
        "x-subprotocols": ["match.v1"],
        "x-close-codes": {str(int(code)): code.name.lower() for code in CloseCode},
    }


def _of_events(types: Sequence[str]) -> Json:
    channels: Json = {
        "events": {
            "address": "/events",
            "title": "Events as Server-Sent Events",
            "description": "`id` is the event's, `event` its type, `data` the document.",
            "servers": [{"$ref": "#/servers/platform"}],
            "messages": _references(types),
        },
        "webhooks": {
            "address": None,
            "title": "Webhooks",
            "description": "One POST for each event to the URLs of MATCH_WEBHOOKS, signed as Standard Webhooks has it.",
            "servers": [],
            "messages": _references(types),
        },
    }
    for topic, of_topic in _topics(types).items():
        channels[f"kafka-{topic.rpartition('.')[2]}"] = {
            "address": topic,
            "title": f"The topic {topic}",
            "description": "Keyed by subject.",
            "servers": [{"$ref": "#/servers/kafka"}],
            "parameters": {
                "prefix": {"description": "MATCH_KAFKA_TOPIC_PREFIX", "default": Settings().kafka_topic_prefix}
            },
            "messages": _references(of_topic),
        }
    return channels


def _topics(types: Iterable[str]) -> Mapping[str, list[str]]:
    sink = KafkaSink("127.0.0.1:1", topic_prefix="{prefix}")
    topics: dict[str, list[str]] = {}
    for each in types:
        topics.setdefault(sink.topic_of(each), []).append(each)
    return topics


def _references(types: Iterable[str]) -> Json:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in types}


def _operations(types: Sequence[str]) -> Iterator[tuple[str, Json]]:
    """What the service does."""
    yield "hear-players", _operation("receive", "players", [model.__name__ for model in CLIENT_MESSAGES])
    yield "tell-players", _operation("send", "players", [model.__name__ for model in SERVER_MESSAGES])
    for channel in ("events", "webhooks"):
        yield f"send-{channel}", _operation("send", channel, types)
    for topic, of_topic in _topics(types).items():
        channel = f"kafka-{topic.rpartition('.')[2]}"
        yield f"send-{channel}", _operation("send", channel, of_topic)


def _operation(action: str, channel: str, types: Iterable[str]) -> Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in types],
    }
