"""What is wrong in a file of game modes, in one line each: path, what is expected, what stands there."""

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

# pydantic's kinds of error, and what it would have taken. `{}` are the fields of the error's context.
_EXPECTED = {
    "missing": "a value here, and there is none",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "string_type": "a text in quotes",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "tuple_type": "a list",
    "list_type": "a list",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "less_than_equal": "a number of at most {le:g}",
    "literal_error": "{expected}",
    "union_tag_invalid": "one of the kinds {expected_tags}",
    "union_tag_not_found": "a `kind` that says which rule this is",
    "too_long": "at most {max_length} entries",
    "string_pattern_mismatch": "a name of letters, digits and _",
}


def lines_of(error: ValidationError, data: Mapping[str, Any], *, known: Iterable[str]) -> list[str]:
    """One line for each mistake that pydantic found in `data`: `game_modes.duel.rules[0].max: expected …, not "x"`.

    `known` are the entries that may stand in one of the tables; a misspelt one is answered with the nearest.
    """
    names = sorted(known)
    return [_line(dict(detail), data, names) for detail in error.errors(include_url=False)]


def _line(detail: dict[str, Any], data: Mapping[str, Any], known: list[str]) -> str:
    kind, context = str(detail["type"]), detail.get("ctx", {})
    path = _path(detail["loc"], data, missing=kind == "missing")
    if kind == "extra_forbidden":
        nearest = difflib.get_close_matches(str(detail["loc"][-1]), known, n=1)
        return f"{path}: no such entry" + (f"; did you mean {nearest[0]}?" if nearest else "")
    if kind == "missing":
        return f"{path}: expected {_EXPECTED[kind]}"
    if kind == "value_error":
        expected = str(context["error"])
    else:
        expected = _EXPECTED.get(kind, str(detail["msg"])).format(**context)
    found = detail["input"]
    if kind == "union_tag_invalid":
        return f"{path}.kind: expected {expected}, not {_shown(context['tag'])}"
    if kind == "value_error" and isinstance(found, dict):  # what its entries say together; the text names them
        return f"{path}: expected {expected}"
    return f"{path}: expected {expected}, not {_shown(found)}"


def _path(where: tuple[int | str, ...], data: Any, *, missing: bool) -> str:
    """The path in the file. What pydantic adds to it, such as the kind of a rule, is no place there and is left out."""
    path = ""
    for index, part in enumerate(where):
        inside = (isinstance(data, dict) and part in data) or (
            isinstance(data, list | tuple) and isinstance(part, int) and part < len(data)
        )
        if inside:
            data = data[part]
        elif not (missing and index == len(where) - 1):
            continue
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.removeprefix(".")


def _shown(found: object) -> str:
    text = json.dumps(found, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"
