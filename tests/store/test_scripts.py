"""The loader, and what the scripts' headers promise of their text."""

import re
import shutil
from pathlib import Path

import pytest

from match_server.errors import ScriptError
from match_server.store.scripts import SCRIPTS, load_scripts
from tests.store import lua_sources
from tests.store.pool import scripts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the scripts that a test may spoil."""
    return Path(shutil.copytree(lua_sources.FOLDER, tmp_path / "lua"))


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_every_file_is_declared_and_every_declaration_has_its_file() -> None:
    assert set(lua_sources.SCRIPT_FILES) == set(SCRIPTS) == set(load_scripts())


def test_a_missing_file_ends_the_start(folder: Path) -> None:
    (folder / "players" / "leave.lua").unlink()

    with pytest.raises(ScriptError, match=r"lua/\*/leave\.lua: there is none"):
        load_scripts(folder)


def test_a_missing_part_ends_the_start(folder: Path) -> None:
    (folder / "lib" / "pool.lua").unlink()

    with pytest.raises(ScriptError, match=r"lua/lib/pool\.lua cannot be read"):
        load_scripts(folder)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("-- leave: ", "-- left: ", r"expected a first line '-- leave: "),
        ("player_id connection operation reason", "player_id connection reason", r"its header says ARGV"),
        ("per player: player_id", "player_id", r"its header says ARGV"),
        ("-- TOUCHES", "-- touches", r"its header lacks TOUCHES"),
        ("-- CODES", "-- Codes", r"its header lacks CODES"),
        ("#!lua", "--!lua", r"leave\.lua: expected"),
        ("-- INCLUDE pool", "-- INCLUDE pond", r"lua/lib/pond\.lua cannot be read"),
    ],
)
def test_a_header_that_does_not_fit_ends_the_start(folder: Path, old: str, new: str, complaint: str) -> None:
    replace(folder / "players" / "leave.lua", old, new)

    with pytest.raises(ScriptError, match=complaint):
        load_scripts(folder)


def test_a_script_is_loaded_with_its_parts_before_it() -> None:
    text = scripts()["ready"].text

    assert text.startswith("#!lua flags=allow-oom\n")
    order = [text.index(line) for line in ("local POOL", "local function reserve", "local function place", "-- ready:")]
    assert order == sorted(order)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_header_names_every_key_that_the_script_can_reach_and_no_other(name: str) -> None:
    patterns = lua_sources.header_words(scripts()[name], "TOUCHES")
    keys = lua_sources.keys_of(lua_sources.reachable(name))

    assert [key for key in sorted(keys) if not any(lua_sources.covers(pattern, key) for pattern in patterns)] == []
    assert [p for p in patterns if not any(lua_sources.covers(p, key) for key in keys)] == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_header_names_every_channel_that_the_script_can_reach_and_no_other(name: str) -> None:
    patterns = lua_sources.header_words(scripts()[name], "SENDS")
    channels = lua_sources.channels_of(lua_sources.reachable(name))

    assert {pattern.removesuffix("*") for pattern in patterns} == channels


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_header_names_every_code_that_the_script_answers_with(name: str) -> None:
    text = lua_sources.reachable(name)
    answered = set(re.findall(r"(?:return|#reply \+ 1\] =|local answer =) \{ '(\w+)'", text))
    literals = set(re.findall(r"'(\w+)'", text))

    assert answered <= lua_sources.codes(scripts()[name]) <= literals


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_header_includes_what_the_script_calls(name: str) -> None:
    functions = lua_sources.library_functions()
    called = set(re.findall(r"\b(\w+)\(", lua_sources.reachable(name))) & functions.keys()

    assert [function for function in sorted(called) if f"function {function}(" not in scripts()[name].text] == []


def test_the_readme_describes_every_key_and_no_other() -> None:
    documented = lua_sources.readme_keys()
    patterns = {p for script in scripts().values() for p in lua_sources.header_words(script, "TOUCHES")}
    literals = set().union(*(lua_sources.keys_of(lua_sources.reachable(name)) for name in SCRIPTS))

    assert len(documented) > 25, "the table was found"
    assert [key for key in literals if not any(known.startswith(key) for known in documented)] == []
    by_python = {key for key in documented if not any(lua_sources.covers(p, key) for p in patterns)}
    assert by_python == {"events:dead:*", "secret"}, "no script sets or reads these"


def test_only_enqueue_is_refused_by_a_full_redis() -> None:
    """Every other script frees, finishes what has begun, or serves those who are in."""
    refused = [name for name, script in scripts().items() if script.text.startswith("#!lua\n")]

    assert refused == ["enqueue", "enqueue_ticket"]


@pytest.mark.parametrize(
    "path", [*lua_sources.SCRIPT_FILES.values(), *lua_sources.LIBRARIES], ids=lambda path: path.stem
)
def test_no_script_searches_the_key_space(path: Path) -> None:
    assert not re.search(r"'(KEYS|[HSZ]?SCAN)'", path.read_text(encoding="utf-8"), re.IGNORECASE)


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_leaks_a_global(name: str) -> None:
    assert sorted(set(lua_sources.undeclared_names(scripts()[name].text))) == []


def test_a_leaked_global_would_be_found() -> None:
    text = "local a = 1\nb = a\nlocal function f(x)\n  return { y = x, z = c }\nend\nfor i = 1, 2 do f(i) end\n"

    assert list(lua_sources.undeclared_names(text)) == ["b", "c"]


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in [*lua_sources.SCRIPT_FILES.values(), *lua_sources.LIBRARIES]
        if path.stem not in {"membership", "queue"}
    ],
    ids=lambda path: path.stem,
)
def test_only_membership_writes_the_indexes_of_players(path: Path) -> None:
    index = r"POOL \.\. '(queue:|waiting:|held|node_players:)"
    written = re.findall(rf"'(?:SADD|SREM|ZADD|ZREM)', {index}", path.read_text(encoding="utf-8"))

    assert written == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_state_and_frame_is_written_in_one_place(name: str) -> None:
    text = lua_sources.body(name)

    assert not re.search(r"state\w*'?(?:\]|,| [=~]=) '(queued|loading|allocating|matched)'", text)
    assert '{"type":' not in text


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_clock_is_read_in_one_place(name: str) -> None:
    assert "'TIME'" not in lua_sources.body(name)
