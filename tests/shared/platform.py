"""`match-server platform` in a process of its own."""

from pathlib import Path
from typing import Any

import httpx

from tests.shared.node import Process, eventually

READY = r"match-server platform ready on (http://\S+)"


class PlatformProcess(Process):
    """A platform on a pool, with its history in the folder."""

    def __init__(self, folder: Path, url: str, prefix: str, *arguments: str, **settings: Any) -> None:
        defaults: dict[str, Any] = {
            "redis_url": url,
            "key_prefix": prefix,
            "platform_port": 0,
            "database_url": f"sqlite+aiosqlite:///{folder / 'history.db'}",
        }
        super().__init__(folder, "match_server", "platform", *arguments, **(defaults | settings))

    @property
    def http(self) -> httpx.Client:
        return httpx.Client(base_url=self.wait_for_output(READY)[1], trust_env=False)

    def get(self, path: str, **query: Any) -> Any:
        with self.http as http:
            return http.get(path, params=query).raise_for_status().json()

    def all_matches(self) -> list[dict[str, Any]]:
        """Page by page."""
        found: list[dict[str, Any]] = []
        query: dict[str, Any] = {"limit": 500}
        while True:
            page = self.get("/matches", **query)
            found += page["matches"]
            if page["next"] is None:
                return found
            query["cursor"] = page["next"]

    def wait_until_all_is_stored(self, sink: str = "history") -> None:
        with self.http as http:
            expected = f'match_platform_events_behind{{sink="{sink}"}} 0.0'
            eventually(lambda: expected in http.get("/metrics").text, within_seconds=30)
