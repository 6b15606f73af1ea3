"""A fake Kubernetes API with Agones fleets in it, on a socket. It takes what fits the schema, and can go wrong.

Allocation goes as in Agones' pkg/gameserverallocations: the selectors in their order, the priorities among those that
fit, labels, annotations and counters in one update.
"""

import asyncio
import itertools
import json
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias
from urllib.parse import parse_qsl, urlsplit

import jsonschema_rs
import yaml

from tests.shared.fake_server import Call, Reply, read_call

NAMESPACE = "default"
TOKEN = "the-token-of-the-service-account"
FLEET_LABEL = "agones.dev/fleet"

Object: TypeAlias = dict[str, Any]
# What goes wrong with a call. `conflict`, `contention`, `busy`, `broken`, `cut`: nothing has happened. `lost`, `hang`,
# `garbage`, `broken_after`: it has, and the answer does not say so. `late`: the connection breaks, and then it happens.
Fault: TypeAlias = str
Faults: TypeAlias = Callable[[Call], Fault | None]


@cache
def _validator(name: str) -> Any:
    schema = yaml.safe_load((Path(__file__).parent / "agones_schema.yaml").read_text(encoding="utf-8"))
    return jsonschema_rs.Draft202012Validator({**schema, "$ref": f"#/$defs/{name}"})


def fits(document: Any, name: str) -> Any:
    """The document, which must be of this form."""
    _validator(name).validate(document)
    return document


@dataclass
class FleetSize:
    """How a fleet is set up."""

    replicas: int
    counter: str = ""
    capacity: int = 0  # of that counter on each game server


@dataclass
class FakeAgones:
    """Listens on entering."""

    fleets: dict[str, FleetSize]
    faults: Faults = field(default=lambda call: None)
    token: str = TOKEN
    calls: list[Call] = field(default_factory=list)
    allocations: Counter[tuple[str, str]] = field(default_factory=Counter)  # times each session got each game server
    deleted: list[str] = field(default_factory=list)
    release: asyncio.Event = field(default_factory=asyncio.Event)  # of calls that are late
    page_size: int = 500
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        self.game_servers: dict[str, Object] = {}
        self._by_label: dict[tuple[str, str], dict[str, None]] = {}
        self._versions = itertools.count(1)
        self._numbers = itertools.count(1)
        self._connections: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()
        self._refused: list[Exception] = []  # what the schema does not take fails the test
        for fleet in self.fleets:
            self.fill(fleet)

    # The cluster

    def fill(self, fleet: str) -> None:
        """Start what is missing, as the fleet's controller does."""
        size = self.fleets[fleet]
        for _ in range(size.replicas - len(list(self.of_fleet(fleet)))):
            number = next(self._numbers)
            counters = {"counters": {size.counter: {"count": 0, "capacity": size.capacity}}} if size.counter else {}
            self.put(
                {
                    "apiVersion": "agones.dev/v1",
                    "kind": "GameServer",
                    "metadata": {
                        "name": f"{fleet}-{number:05d}",
                        "namespace": NAMESPACE,
                        "uid": f"uid-{number}",
                        "labels": {FLEET_LABEL: fleet},
                        "annotations": {"agones.dev/ready-container-id": "containerd://0"},
                        "managedFields": [{"manager": "controller", "operation": "Update"}],
                    },
                    "spec": {"ports": [{"containerPort": 7000}], "template": {"spec": {"containers": []}}},
                    "status": {
                        "state": "Ready",
                        "address": "203.0.113.7",
                        "nodeName": "node-1",
                        "ports": [{"name": "admin", "port": 1000}, {"name": "game", "port": 1000 + number}],
                        **counters,
                    },
                }
            )

    def of_fleet(self, fleet: str) -> Iterator[Object]:
        return (self.game_servers[name] for name in self._by_label.get((FLEET_LABEL, fleet), {}))

    def put(self, server: Object) -> Object:
        """Write a game server, as a new version."""
        self._unindex(server["metadata"]["name"])
        server["metadata"]["resourceVersion"] = str(next(self._versions))
        self.game_servers[server["metadata"]["name"]] = fits(server, "gameServer")
        for label in _labels(server):
            self._by_label.setdefault(label, {})[server["metadata"]["name"]] = None
        return server

    def change(self, name: str, *, state: str = "Allocated", labels: dict[str, str] | None = None) -> None:
        """Change a game server past the match server."""
        server = json.loads(json.dumps(self.game_servers[name]))
        server["status"]["state"] = state
        server["metadata"]["labels"] |= labels or {}
        self.put(server)

    def shut_down(self, name: str) -> None:
        """The game server ends; its fleet starts another."""
        fleet = self.game_servers[name]["metadata"]["labels"][FLEET_LABEL]
        self._unindex(name)
        del self.game_servers[name]
        self.fill(fleet)

    def _unindex(self, name: str) -> None:
        if server := self.game_servers.get(name):
            for label in _labels(server):
                self._by_label[label].pop(name)

    def address(self, name: str, port: str = "game") -> str:
        status = self.game_servers[name]["status"]
        return f"{status['address']}:{next(each['port'] for each in status['ports'] if each['name'] == port)}"

    def named(self, address: str) -> str:
        """The game server at this address."""
        return next(name for name in self.game_servers if self.address(name) == address)

    def allocated(self) -> list[str]:
        return sorted(name for name, server in self.game_servers.items() if server["status"]["state"] == "Allocated")

    async def called(self, method: str, times: int = 1) -> None:
        """Wait until there were so many calls of this method."""
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: sum(call.method == method for call in self.calls) >= times)

    # The socket

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        port = self._listener.sockets[0].getsockname()[1]
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        for _ in range(3):  # a connection that has just been accepted has its task only then
            await asyncio.sleep(0)
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        if self._refused and kind is None:
            raise self._refused[0]

    def file(self, folder: Path, **settings: Any) -> Path:
        """A file of MATCH_AGONES for all its fleets."""
        (folder / "token").write_text(f"{self.token}\n")
        lines = [f'api_url = "{self.url}"', f'token_file = "{folder}/token"', "poll_seconds = 0.1"]
        for name, size in self.fleets.items():
            more = {"counter": size.counter} if size.counter else {}
            fields = {"fleet": name, "port": "game", **more, **settings}
            lines += ["[[fleets]]", *(f"{key} = {json.dumps(value)}" for key, value in fields.items())]
        path = folder / "agones.toml"
        path.write_text("\n".join(lines))
        return path

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._connections.add(task)
        try:
            while call := await read_call(reader):
                async with self._changed:
                    self.calls.append(call)
                    self._changed.notify_all()
                reply = await self._answer(call)
                if reply is None:
                    break
                writer.write(reply.encode())
                await writer.drain()
        except (OSError, asyncio.CancelledError):
            pass  # the caller hung up, or the test is over, and asyncio would log that
        except (AssertionError, jsonschema_rs.ValidationError) as error:
            self._refused.append(error)
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _answer(self, call: Call) -> Reply | None:
        if call.headers.get("authorization") != f"Bearer {self.token}":
            return _status(401, "Unauthorized")
        fault = self.faults(call)
        before = {
            "conflict": _status(409, "the object has been modified; please apply your changes to the latest version"),
            "busy": Reply(429, b"Too many requests, please try again later.", {"Retry-After": "0"}),
            "broken": _status(500, "etcdserver: request timed out"),
            "forbidden": _status(403, "gameserverallocations.allocation.agones.dev is forbidden"),
        }
        if fault in before:
            return before[fault]
        if fault == "cut":
            return None
        if fault == "contention":
            return _allocation_answer(call.body, {"state": "Contention", "gameServerName": ""})
        if fault == "late":
            await self.release.wait()
        reply = self._route(call)
        if fault == "hang":
            await asyncio.Event().wait()
        after = {
            "garbage": Reply(200, b'{"kind":"GameServerAllocation","status":{"sta'),
            "broken_after": _status(500, "error updating allocated gameserver"),
            "lost": None,
            "late": None,
        }
        return after.get(fault or "", reply)

    def _route(self, call: Call) -> Reply:
        parts = urlsplit(call.path)
        group, _, _, namespace, kind, *names = parts.path.removeprefix("/apis/").split("/")
        assert namespace == NAMESPACE, call.path
        name = names[0] if names else ""
        match (call.method, group, kind):
            case ("POST", "allocation.agones.dev", "gameserverallocations"):
                return self._allocate(fits(call.body, "allocation"))
            case ("GET", "agones.dev", "fleets"):
                return self._fleet(name)
            case ("GET", "agones.dev", "gameservers"):
                return self._list(dict(parse_qsl(parts.query)))
            case ("DELETE", "agones.dev", "gameservers"):
                return self._delete(name, fits(call.body, "deleteOptions"))
            case ("PATCH", "agones.dev", "gameservers"):
                assert call.headers["content-type"] == "application/json-patch+json"
                return self._patch(name, fits(call.body, "patch"))
        raise AssertionError(f"no such call: {call.method} {call.path}")

    def _allocate(self, body: Object) -> Reply:
        spec = body["spec"]
        server = next(filter(None, (self._find(selector, spec) for selector in spec["selectors"])), None)
        if server is None:
            return _allocation_answer(body, {"state": "UnAllocated", "gameServerName": ""})
        server = json.loads(json.dumps(server))
        labels = spec["metadata"]["labels"]
        server["metadata"]["labels"] |= labels
        server["metadata"]["annotations"] |= spec["metadata"]["annotations"]
        server["status"]["state"] = "Allocated"
        for key, action in spec.get("counters", {}).items():
            counter = server["status"]["counters"][key]
            counter["count"] = min(counter["count"] + action["amount"], counter["capacity"])
        self.put(server)
        status = server["status"]
        (session,) = session_ids(body)
        self.allocations[session, server["metadata"]["name"]] += 1
        said = {key: status[key] for key in ("ports", "address", "nodeName")}
        return _allocation_answer(body, {"state": "Allocated", "gameServerName": server["metadata"]["name"], **said})

    def _find(self, selector: Object, spec: Object) -> Object | None:
        wanted = {("#state", selector.get("gameServerState", "Ready")), *selector["matchLabels"].items()}
        fewest = min((self._by_label.get(label, {}) for label in wanted), key=len)
        fitting = (
            server
            for server in map(self.game_servers.__getitem__, fewest)
            if wanted <= set(_labels(server)) and _has_room(server, selector.get("counters", {}))
        )
        priorities = spec.get("priorities")
        if not priorities:
            return next(fitting, None)
        (priority,) = priorities
        return min(fitting, key=lambda server: _available(server, priority["key"]), default=None)

    def _list(self, query: dict[str, str]) -> Reply:
        wanted = {tuple(label.split("=", 1)) for label in query["labelSelector"].split(",")}
        found = [server for _, server in sorted(self.game_servers.items()) if wanted <= set(_labels(server))]
        start, size = int(query.get("continue", "0")), min(self.page_size, int(query["limit"]))
        more = {"continue": str(start + size)} if start + size < len(found) else {}
        return Reply(
            200,
            {
                "apiVersion": "agones.dev/v1",
                "kind": "GameServerList",
                "metadata": {"resourceVersion": "1", **more},
                "items": found[start : start + size],
            },
        )

    def _fleet(self, name: str) -> Reply:
        if name not in self.fleets:
            return _status(404, f'fleets.agones.dev "{name}" not found')
        states = Counter(server["status"]["state"] for server in self.of_fleet(name))
        size = self.fleets[name]
        counters: Object = {}
        if size.counter:
            each = [server["status"]["counters"][size.counter] for server in self.of_fleet(name)]
            added_up = {key: sum(one[key] for one in each) for key in ("count", "capacity")}
            counters = {"counters": {size.counter: added_up}}
        status = {"replicas": size.replicas, "readyReplicas": states["Ready"], **counters}
        document = {"apiVersion": "agones.dev/v1", "kind": "Fleet", "metadata": {"name": name}, "spec": {}}
        return Reply(200, fits({**document, "status": status}, "fleet"))

    def _delete(self, name: str, options: Object) -> Reply:
        server = self.game_servers.get(name)
        if server is None:
            return _status(404, f'gameservers.agones.dev "{name}" not found')
        if any(server["metadata"][key] != value for key, value in options.get("preconditions", {}).items()):
            return _status(409, "Precondition failed")
        self.deleted.append(name)
        self.shut_down(name)
        return Reply(200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})

    def _patch(self, name: str, patch: list[Object]) -> Reply:
        if name not in self.game_servers:
            return _status(404, f'gameservers.agones.dev "{name}" not found')
        server = json.loads(json.dumps(self.game_servers[name]))
        for step in patch:
            *path, last = (part.replace("~1", "/").replace("~0", "~") for part in step["path"][1:].split("/"))
            at = server
            for part in path:
                at = at[part]
            if last not in at or (step["op"] == "test" and at[last] != step["value"]):
                return _status(422, "the server rejected our request due to an error in our request")
            if step["op"] == "remove":
                del at[last]
            elif step["op"] == "replace":
                at[last] = step["value"]
        return Reply(200, self.put(server))


def session_ids(thing: Object) -> list[str]:
    """The sessions that the labels of an allocation or a game server name."""
    labels = (
        thing["spec"]["metadata"]["labels"] if thing["kind"] == "GameServerAllocation" else thing["metadata"]["labels"]
    )
    single = [labels["match-server/session"]] if "match-server/session" in labels else []
    return single + [key.partition("/")[2] for key in labels if key.startswith("session.match-server/")]


def _labels(server: Object) -> list[tuple[str, str]]:
    return [("#state", server["status"]["state"]), *server["metadata"]["labels"].items()]


def _available(server: Object, key: str) -> int:
    counter = server["status"].get("counters", {}).get(key, {"capacity": 0, "count": 0})
    return int(counter["capacity"] - counter["count"])


def _has_room(server: Object, counters: Object) -> bool:
    return all(_available(server, key) >= wanted.get("minAvailable", 0) for key, wanted in counters.items())


def _allocation_answer(body: Object, status: Object) -> Reply:
    return Reply(201, fits({**body, "status": {"source": "local", **status}}, "allocation"))


def _status(code: int, message: str) -> Reply:
    return Reply(code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code})
