"""The documentation's tables that follow from the code. `python -m tests.docs` writes them anew."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client.metrics import MetricWrapperBase
from pydantic import BaseModel

from match_server.config import describe_settings
from match_server.events.data import EVENTS
from match_server.events.node import Events
from match_server.platform.metrics import PlatformMetrics
from match_server.protocol import CLIENT_MESSAGES, SERVER_MESSAGES
from match_server.web.metrics import Metrics
from tests.docs.markdown import code


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n".replace("|  |", "| |") for cells in lines)


def settings() -> str:
    rows = [[code(variable), code(default), meaning] for variable, default, meaning in describe_settings()]
    return table(["variable", "default", "meaning"], rows)


def metrics(of: object) -> str:
    rows = [
        [
            code(metric._name + ("_total" if metric._type == "counter" else "")),
            str(metric._type),
            ", ".join(code(label) for label in metric._labelnames),
            str(metric._documentation),
        ]
        for metric in vars(of).values()
        if isinstance(metric, MetricWrapperBase)
    ]
    return table(["metric", "type", "labels", "meaning"], rows)


def messages(models: Iterable[type[BaseModel]]) -> str:
    rows = [
        [code(model.model_fields["type"].default), _fields(model), inspect.cleandoc(model.__doc__ or "")]
        for model in models
    ]
    return table(["type", "fields (`?`: may be missing)", "meaning"], rows)


def events() -> str:
    rows = [
        [code(data.type), inspect.cleandoc(data.__doc__ or ""), ", ".join(_data_fields(data)), code(data.about)]
        for data in EVENTS
    ]
    return table(["type", "what has happened", "`data` (`?`: may be missing)", "`subject`"], rows)


def _data_fields(data: type[BaseModel]) -> Iterator[str]:
    for name, field in data.model_fields.items():
        described = f" ({field.description[0].lower()}{field.description[1:]})" if field.description else ""
        yield f"{code(name)}{'' if field.is_required() else '?'}{described}"


def _fields(message: type[BaseModel]) -> str:
    schema = message.model_json_schema()
    described = []
    for name, field in schema["properties"].items():
        if name == "type":
            continue
        optional = any(choice.get("type") == "null" for choice in field.get("anyOf", ()))
        described.append(f"{code(name)}{'?' if optional else ''}: {_form(field)}")
    return "; ".join(described)


def _form(field: Mapping[str, Any]) -> str:
    """A field's JSON type in words; the one enumeration with a name of its own has a table of its own, too."""
    if "$ref" in field:
        return "see below"
    if "anyOf" in field:
        return " or ".join(_form(choice) for choice in field["anyOf"] if choice.get("type") != "null")
    if "enum" in field:
        return " or ".join(code(value) for value in field["enum"])
    if field["type"] == "array":
        return f"array of {_form(field['items'])}s"
    return str(field["type"])


TABLES: Mapping[tuple[str, str], Callable[[], str]] = {
    ("README.md", "table: settings"): settings,
    ("docs/operations.md", "table: metrics"): lambda: metrics(Metrics(Events())),
    ("docs/platform.md", "table: platform metrics"): lambda: metrics(PlatformMetrics()),
    ("docs/events.md", "table: events"): events,
    ("docs/protocol.md", "table: client messages"): lambda: messages(CLIENT_MESSAGES),
    ("docs/protocol.md", "table: server messages"): lambda: messages(SERVER_MESSAGES),
}
