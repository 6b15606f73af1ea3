"""Orders, what a dedicated server answers to them, and a call of the HTTP provider."""

import asyncio
from collections.abc import Sequence
from typing import Any

from match_server.servers.http_provider import HttpProvider
from match_server.servers.provider import Created, Order, Provisioned
from match_server.signing import SigningKeys, new_key

KEYS = SigningKeys()
KEYS.learn([new_key()])

ENDPOINT = "http://127.0.0.1:9000"
ADDRESS = "203.0.113.7:7777"
GOOD = {"session_id": "s-1", "server_address": ADDRESS}
MADE = Created("s-1", ADDRESS)
TIMEOUT_SECONDS = 5.0


def order(number: int = 1, *, endpoint: str = ENDPOINT, host: str = "game.example:9000", batch: bool = False) -> Order:
    key = f"{number:08d}-0000-4000-8000-000000000000"
    return Order(key, 1, "Normal_1v1", "s1", endpoint, host, batch, ("ann", "bob"))


def create(orders: Sequence[Order], *, timeout_seconds: float = TIMEOUT_SECONDS) -> list[Provisioned]:
    async def scenario() -> list[Provisioned]:
        provider = HttpProvider(timeout_seconds=timeout_seconds, sign=KEYS.call_token)
        try:
            return await provider.create(orders)
        finally:
            await provider.aclose()

    return asyncio.run(scenario())


def outcome(provisioned: Provisioned) -> str:
    return "created" if isinstance(provisioned, Created) else provisioned.outcome


def entry(number: int, **fields: Any) -> dict[str, Any]:
    return {"idempotency_key": order(number).loading_session_id, **fields}
