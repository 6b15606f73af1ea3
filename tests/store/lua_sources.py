"""The Lua scripts as text: what they call, which keys they name, and what their headers say of it."""

import re
from collections.abc import Iterator
from pathlib import Path

from match_server.store.scripts import Script

FOLDER = Path(__file__).parents[2] / "lua"
SCRIPT_FILES = {path.stem: path for path in sorted(FOLDER.glob("*/*.lua")) if path.parent.name != "lib"}
LIBRARIES = sorted((FOLDER / "lib").glob("*.lua"))

# What Redis offers to a script.
GLOBALS = {
    "ARGV",
    "KEYS",
    "cjson",
    "ipairs",
    "math",
    "next",
    "pairs",
    "pcall",
    "redis",
    "string",
    "table",
    "tonumber",
    "tostring",
    "type",
    "unpack",
}
_KEYWORDS = """
and break do else elseif end false for function if in local nil not or repeat return then true until while
"""
KEYWORDS = set(_KEYWORDS.split())

_STRING = r"'(?:\\.|[^'\\])*'"
_KEY = re.compile(rf"POOL \.\. ({_STRING})")
_PUBLISHED = re.compile(rf"PUBLISH, CHANNELS \.\. ({_STRING})")
_FUNCTION = re.compile(r"^local function (\w+)\(.*?^end$", re.MULTILINE | re.DOTALL)
_TOKEN = re.compile(r"\.\.|[.:]\s*\w+|\d[\w.]*|[A-Za-z_]\w*|==|~=|[^\s\w]")


def without_comments(text: str) -> str:
    lines = (line for line in text.splitlines() if not line.startswith("#!"))
    return "\n".join(re.sub(r"--.*$", "", line) for line in lines)


def body(name: str) -> str:
    return without_comments(SCRIPT_FILES[name].read_text(encoding="utf-8"))


def library_functions() -> dict[str, str]:
    """Every function of lib/, by name."""
    return {
        found[1]: found[0]
        for path in LIBRARIES
        for found in _FUNCTION.finditer(without_comments(path.read_text(encoding="utf-8")))
    }


def reachable(name: str) -> str:
    """A script's own text and that of every library function that it may come to call."""
    functions = library_functions()
    text, seen, pending = body(name), set[str](), [body(name)]
    while pending:
        for function in sorted(set(re.findall(r"\b(\w+)\(", pending.pop())) & functions.keys() - seen):
            seen.add(function)
            pending.append(functions[function])
            text += "\n" + functions[function]
    return text


def keys_of(text: str) -> set[str]:
    """The literal beginnings of the keys that a text names; channels are none."""
    keys = {literal.strip("'") for literal in _KEY.findall(_PUBLISHED.sub("", text))}
    return keys | ({"clock"} if "KEYS[1]" in text else set())


def channels_of(text: str) -> set[str]:
    return {literal.strip("'") for literal in _PUBLISHED.findall(text)}


def covers(pattern: str, key: str) -> bool:
    """Whether a pattern of a header (`player:*`, `clock`) takes in a key or the beginning of one."""
    return key.startswith(pattern[:-1]) if pattern.endswith("*") else key == pattern


def header_words(script: Script, field: str) -> list[str]:
    return [] if script.header[field] == "none" else script.header[field].split()


def codes(script: Script) -> set[str]:
    """The codes of a header, without what it says of them in brackets."""
    text = " ".join(script.header["CODES"].split())
    while (shorter := re.sub(r"\([^()]*\)", "", text)) != text:
        text = shorter
    return set() if text == "none" else {word.strip() for word in text.split(",")}


def readme_keys() -> set[str]:
    """The keys of lua/README.md's table, each placeholder as a star."""
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    table = text.partition("## The keys")[2].partition("Channels:")[0]
    cells = (line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    return {re.sub(r"<\w+>", "*", key) for cell in cells for key in re.findall(r"`([^`]+)`", cell)}


def undeclared_names(text: str) -> Iterator[str]:
    """Names that a Lua text uses or assigns without having declared them local."""
    text = re.sub(_STRING, "''", without_comments(text))
    declared: set[str] = set()
    for names in (
        *re.findall(r"\blocal (?:function )?((?:\w+,\s*)*\w+)", text),
        *re.findall(r"\bfunction\s*\w*\(([^)]*)\)", text),
        *re.findall(r"\bfor ([\w, ]+?)(?: in |\s*=)", text),
    ):
        declared |= set(re.findall(r"\w+", names))
    tokens = _TOKEN.findall(text)
    braces = 0
    for index, token in enumerate(tokens):
        braces += (token == "{") - (token == "}")
        following = tokens[index + 1] if index + 1 < len(tokens) else ""
        is_field = braces > 0 and following == "="
        if re.match(r"[A-Za-z_]", token) and not is_field and token not in KEYWORDS | GLOBALS | declared:
            yield token
