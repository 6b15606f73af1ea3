"""Who is called by a webhook, well or badly behaved, and what it has been told."""

import base64
import json
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

_POURED_BYTES, _PIECE = 200 * 2**20, b"x" * 2**16
_HANG_SECONDS = 30.0


class Told:
    """Events as one reader got them: each once, and whether those of a subject first came in their order."""

    def __init__(self) -> None:
        self.subjects: dict[str, set[str]] = defaultdict(set)  # by type
        self.repeated = 0
        self.out_of_order: list[str] = []
        self._seen: set[str] = set()
        self._last: dict[tuple[str, str], int] = {}

    def take(self, event: dict[str, Any]) -> None:
        """Note an event, a CloudEvent in JSON."""
        if event["id"] in self._seen:
            self.repeated += 1
            return
        self._seen.add(event["id"])
        number, subject = int(event["id"].partition("-")[0]), event["subject"]
        key = (event["type"].partition(".")[0], subject)  # Kafka's topics are such kinds
        if number < self._last.get(key, 0):
            self.out_of_order.append(f"{event['type']} of {subject}: {number} after {self._last[key]}")
        self._last[key] = number
        self.subjects[event["type"]].add(subject)


class Hook(ThreadingHTTPServer):
    """Takes what a webhook brings. `manner`: ok, seventh (the one call that fails), 500, hang, redirect or pour."""

    daemon_threads = True

    def __init__(self, *types: str) -> None:
        """`types` are those of the events that it asks for."""
        super().__init__(("127.0.0.1", 0), _Call)
        self.manner = "ok"
        self.calls = 0
        self._types = types
        self.told = Told()
        self._lock = threading.Lock()
        self.calm = threading.Event()  # set: whoever hangs goes on
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.calm.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def take(self, event: dict[str, Any]) -> None:
        """Note an event; calls come in threads."""
        with self._lock:
            self.told.take(event)

    def handle_error(self, *_: object) -> None:
        """The platform was killed while it called, or has heard enough."""

    def file(self, folder: Path) -> Path:
        """The file of MATCH_WEBHOOKS."""
        path = folder / "webhooks.toml"
        secret = "whsec_" + base64.b64encode(b"s" * 32).decode()
        url = f"http://127.0.0.1:{self.server_address[1]}/"
        types = json.dumps(self._types)
        path.write_text(f'[[webhooks]]\nname = "hook"\nurl = "{url}"\nsecret = "{secret}"\ntypes = {types}\n')
        return path


class _Call(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls += 1
        manner = self.server.manner
        if manner == "seventh":
            manner = "ok" if self.server.calls % 7 else "500"
        if manner == "hang":
            self.server.calm.wait(_HANG_SECONDS)
        if manner in {"ok", "pour"}:  # whatever comes behind it, 200 says that it was taken
            self.server.take(json.loads(body))
        status = {"ok": 204, "redirect": 307, "pour": 200}.get(manner, 500)
        self.send_response(status)
        if manner == "redirect":
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.send_header("Content-Length", str(_POURED_BYTES if manner == "pour" else 0))
        self.end_headers()
        if manner == "pour":
            for _ in range(_POURED_BYTES // len(_PIECE)):
                self.wfile.write(_PIECE)

    def log_message(self, *_: object) -> None:
        """Says nothing."""
