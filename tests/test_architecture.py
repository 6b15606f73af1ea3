"""Reads the product's own source, and holds the directions and the habits that docs/architecture.md promises."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("match_server", "test_client", "dedicated_server_stub")
PRODUCT = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
SERVICE = [path for path in PRODUCT if path.is_relative_to(ROOT / "match_server")]

# From the top of the service to its bottom. A part imports from itself and from what stands below it.
LAYERS = (
    {"__main__"},
    {"entry"},
    {"cli"},
    {"shown_commands"},
    {"demo", "local_set", "platform", "workers", "check_command", "keys_command", "simulate", "token_command"},
    {"app"},
    {"hosted_pool"},
    {"pool", "start_report"},
    {"proposers"},
    {"web"},
    {"actors"},
    {"store", "resume_tokens"},
    {"servers", "signing"},
    {"redis_clock"},
    {"config"},
    {"setting_types"},
    {"events"},
    {"matching"},
    {"redis_urls"},
    {"protocol"},
    {"console", "processes", "throttled_log"},
    {"env_file", "errors"},
    {"__init__"},
)
# Narrower than the layers: what a module may import of the service at most.
NARROWER = {
    "match_server.actors.core": {"match_server.actors.request", "match_server.errors"},
    "match_server.config": {
        "match_server.env_file",
        "match_server.errors",
        "match_server.matching.modes",
        "match_server.redis_urls",
        "match_server.setting_types",
    },
    "match_server.errors": set[str](),
    "match_server.events.cloudevents": {"match_server.events.data"},
    "match_server.events.data": set[str](),
    "match_server.events.node": set[str](),
    "match_server.events.node_log": {"match_server.events.node", "match_server.throttled_log"},
    "match_server.protocol": {"match_server.errors"},
    "match_server.redis_clock": set[str](),
    "match_server.redis_urls": set[str](),
    "match_server.resume_tokens": {"match_server.redis_clock"},
    "match_server.signing": set[str](),
}
# The last is what every client of rooms has, too: the code that is generated from their schema.
CLIENTS_MAY_IMPORT = {
    "match_server.protocol",
    "match_server.console",
    "match_server.entry",
    "dedicated_server_stub.room_pb2",
}
MOST_LINES = 400
# Actors; a node inside a program's own loop; the application of each WebSocket, whose task uvicorn's stop waits for.
CREATE_TASK_FILES = {
    "match_server.actors.core",
    "match_server.actors.fleet_keeper",
    "match_server.app",
    "match_server.web.websocket_protocol",
}

NOQA_WITH_REASON = re.compile(r"# noqa: [A-Z]+[0-9]+(, ?[A-Z]+[0-9]+)* - \S+")
TYPE_IGNORE_WITH_REASON = re.compile(r"# type: ignore\[[a-z-]+(, ?[a-z-]+)*\]  # \S+")


def name_of(path: Path) -> str:
    """`match_server.actors.core`, or `match_server.actors.__init__`."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def part_of(module: str) -> str:
    """The part of the service that a module belongs to: a package, or a file at its top."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def level_of(module: str) -> int:
    return next(level for level, parts in enumerate(LAYERS) if part_of(module) in parts)


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


MODULES = {name_of(path).removesuffix(".__init__") for path in PRODUCT}


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of each of our modules that a file imports, wherever the import stands."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: a relative import"
            # `from match_server.web import limits` imports a module, `... import Limits` from one.
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else str(node.module) for name in whole]
        else:
            continue
        yield from ((node.lineno, name) for name in names if name.split(".")[0] in PACKAGES)


def comments_of(path: Path) -> Iterator[tuple[int, str]]:
    with path.open("rb") as file:
        for token in tokenize.tokenize(io.BytesIO(file.read()).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


def by_file(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=name_of)


def test_there_is_something_to_look_at() -> None:
    assert {path.parts[len(ROOT.parts)] for path in PRODUCT} == set(PACKAGES)
    assert len(SERVICE) > 25


@by_file(SERVICE)
def test_every_part_of_the_service_has_its_layer(path: Path) -> None:
    assert any(part_of(name_of(path)) in parts for parts in LAYERS), "say in LAYERS where it stands"


@by_file(SERVICE)
def test_imports_of_the_service_point_down(path: Path) -> None:
    importer = name_of(path)
    for line, imported in imports_of(path):
        where = f"{path.relative_to(ROOT)}:{line}: {imported}"
        assert imported.startswith("match_server"), f"{where}: the service knows none of its clients"
        same_part = part_of(imported) == part_of(importer)
        assert same_part or level_of(imported) > level_of(importer), f"{where}: not below {part_of(importer)}"


@by_file([path for path in SERVICE if part_of(name_of(path)) == "actors"])
def test_actors_see_of_dedicated_servers_only_the_interface(path: Path) -> None:
    servers = {name for _, name in imports_of(path) if part_of(name) == "servers"}
    assert servers <= {"match_server.servers.provider"}


def test_who_records_an_event_knows_none_of_its_listeners() -> None:
    listeners = {"match_server.events.node_log", "match_server.web.metrics"}
    assert {name_of(path) for path in SERVICE for _, name in imports_of(path) if name in listeners} == {
        "match_server.hosted_pool",
        "match_server.platform.service",
    }


def test_each_event_of_a_node_is_recorded_and_heard() -> None:
    (port,) = (path for path in SERVICE if name_of(path) == "match_server.events.node")
    events = {node.name for node in tree_of(port).body if isinstance(node, ast.ClassDef) and node.bases}
    calls = [node for path in SERVICE for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)]
    made = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
    listens = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "listen"]
    heard = {ast.unparse(call.args[0]).rpartition(".")[2] for call in listens}
    assert (events - made, events - heard) == (set(), set())
    assert len(events) > 10


@pytest.mark.parametrize(("module", "allowed"), NARROWER.items())
def test_the_foundations_import_only_what_they_need(module: str, allowed: set[str]) -> None:
    path = ROOT / Path(*module.split(".")).with_suffix(".py")
    assert {name for _, name in imports_of(path)} <= allowed


@by_file([path for path in PRODUCT if path not in SERVICE])
def test_clients_know_of_the_service_only_its_wire_and_its_console(path: Path) -> None:
    own = path.relative_to(ROOT).parts[0]
    others = {name for _, name in imports_of(path) if name.split(".")[0] != own}
    assert others <= CLIENTS_MAY_IMPORT


def test_no_two_modules_import_each_other() -> None:
    below = {name_of(path): {name for _, name in imports_of(path)} for path in PRODUCT}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, f"a circle: {' -> '.join([*trail, module])}"
        if module not in done:
            for name in sorted(below.get(module, ())):
                visit(name, (*trail, module))
            done.add(module)

    for module in sorted(below):
        visit(module, ())


def test_tasks_are_created_in_few_files() -> None:
    makers = {"create_task", "ensure_future", "run_coroutine_threadsafe"}
    files = {
        name_of(path)
        for path in SERVICE
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in makers
    }
    assert files == CREATE_TASK_FILES


@by_file(PRODUCT)
def test_a_check_that_is_switched_off_is_named_and_says_why(path: Path) -> None:
    for line, comment in comments_of(path):
        where = f"{path.relative_to(ROOT)}:{line}: {comment}"
        if "noqa" in comment:
            assert NOQA_WITH_REASON.search(comment), where
        if "type: ignore" in comment:
            assert TYPE_IGNORE_WITH_REASON.search(comment), where
        assert "pragma: no cover" not in comment, where


@by_file(PRODUCT)
def test_nothing_is_printed_past_the_log(path: Path) -> None:
    printed = [
        node.lineno
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"print", "pprint"}
    ]
    assert printed == []


@by_file(PRODUCT)
def test_a_cancellation_is_never_swallowed(path: Path) -> None:
    """Whoever catches CancelledError, or everything, raises it again."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "BaseException"
            if re.search(r"\b(CancelledError|BaseException)\b", caught):
                raises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
                assert raises, f"{path.relative_to(ROOT)}:{node.lineno}: except {caught}"


@by_file(PRODUCT)
def test_a_file_has_one_job_and_fits_it(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES, f"{lines} lines"


@by_file(PRODUCT)
def test_redis_is_never_searched_by_keys_and_never_flushed(path: Path) -> None:
    """KEYS and SCAN look at every key of a Redis that others may use; FLUSHALL takes it from them."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\b(scan_iter|flushall|flushdb|FLUSHALL|FLUSHDB)\b|redis\w*\.keys\(", text)
