"""A browser's part of the dashboard without a browser: logging in, and listening to its stream."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.shared.node import Node

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@contextmanager
def log_in(node: Node, key: str) -> Iterator[httpx.Client]:
    """A client with the cookie of a session, and nothing else."""
    with httpx.Client(base_url=node.base, trust_env=False, timeout=10) as client:
        answer = client.post("/login", data={"key": key})
        assert answer.status_code == 204, answer.text
        yield client


def csrf_of(client: httpx.Client) -> dict[str, str]:
    """The header that each change brings."""
    token: str = client.get("/dashboard/session").json()["csrf"]
    return {"X-CSRF-Token": token}


@contextmanager
def stream_of(client: httpx.Client, query: str = "") -> Iterator[Iterator[tuple[str, Any]]]:
    """What a page hears: name and data of each Server-Sent Event."""
    with client.stream("GET", f"/dashboard/live{query}") as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _messages(answer.iter_lines())


def write_entry(node: Node, *lines: str) -> None:
    """Add an entry to the stream of events past the scripts, numbered as they do: they go on behind it."""
    now_us = time.time_ns() // 1000
    number = node.redis.hincrby(node.key("clock"), "events", len(lines))
    if number == len(lines):
        number = now_us
        node.redis.hset(node.key("clock"), "events", number)
    node.redis.xadd(node.key("events"), {"e": "\n".join(lines)}, id=f"{number}-{now_us}")


def _messages(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


def next_of(messages: Iterator[tuple[str, Any]], wanted: str) -> Any:
    """The data of the next message of that name."""
    return next(data for name, data in messages if name == wanted)
