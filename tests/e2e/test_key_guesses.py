"""Who guesses operators' keys is slowed down, and only who does."""

from pathlib import Path
from typing import Any

import httpx

from tests.shared.dashboard import log_in
from tests.shared.node import Node, eventually

KEY = "operate-0123456789"
MANY = 300  # more than the 60 at once, however slow the machine


def test_who_guesses_keys_is_slowed_down_and_nobody_else(redis_url: str, prefix: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"admin_keys": f"ada:{KEY}:operate", "trusted_proxies": "127.0.0.0/8"}
    with Node(tmp_path, redis_url, prefix, **settings) as node, log_in(node, KEY) as ada, httpx.Client() as client:

        def call(key: str, address: str) -> httpx.Response:
            headers = {"Authorization": f"Bearer {key}", "X-Forwarded-For": address}
            return client.get(f"{node.base}/queues", headers=headers)

        answers = [call(f"guess-{number}", "203.0.113.7") for number in range(MANY)]
        statuses = [answer.status_code for answer in answers]
        assert statuses[:60] == [401] * 60
        assert statuses.count(429) > MANY / 2
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["content-type"] == "application/problem+json"
        form = {"key": f"guess-{MANY}"}
        logins = [
            client.post(f"{node.base}/login", data=form, headers={"X-Forwarded-For": "203.0.113.7"}).status_code
            for _ in range(10)
        ]
        assert 429 in logins, "a login is a guess, too"

        assert call(KEY, "203.0.113.8").status_code == 200
        assert ada.get("/queues", headers={"X-Forwarded-For": "203.0.113.7"}).status_code == 200
        eventually(lambda: call(KEY, "203.0.113.7").status_code == 200)
        node.wait_for_log("operator_refused")
