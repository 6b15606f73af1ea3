"""A pool as it is beneath the typed store: its keys, and what was published, by two clients of the tests' own."""

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from match_server.events.cloudevents import read_entry
from match_server.events.data import EventData
from tests.shared.look import LOOK, Contents, read_contents
from tests.store.contents import write

Frame = dict[str, Any]


class RawPool:
    """The keys and channels under one prefix."""

    def __init__(self, url: str, prefix: str) -> None:
        self.prefix = prefix
        self._raw = redis.Redis.from_url(url, protocol=2, decode_responses=True)
        self._listener = self._raw.pubsub()  # type: ignore[no-untyped-call]  # redis-py leaves it so
        self._listener.psubscribe(f"{prefix}*:*")
        self._listener.get_message(timeout=5)  # the confirmation: from here on nothing is missed
        self._published: defaultdict[str, list[str]] = defaultdict(list)
        self._last_seq: dict[str, int] = {}
        self._last_entry = ""

    def close(self) -> None:
        """Delete the pool's keys and close both connections."""
        self.delete_everything()
        self._listener.close()
        self._raw.close()

    def redis(self, *command: Any) -> Any:
        """Run a command of the test's own; keys need the prefix."""
        return self._raw.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py leaves it so

    # --- what is there ---

    def record(self, player: str) -> dict[str, str]:
        return self.hash(f"player:{player}")

    def session_of(self, player: str) -> str:
        return self.record(player).get("loading_session_id", "")

    def hash(self, key: str) -> dict[str, str]:
        return dict(self.redis("HGETALL", self.prefix + key))

    def members(self, key: str) -> list[str]:
        """The members of a set, sorted, or of a sorted set, in its order."""
        if self.redis("TYPE", self.prefix + key) == "zset":
            return list(self.redis("ZRANGE", self.prefix + key, 0, -1))
        return sorted(self.redis("SMEMBERS", self.prefix + key))

    def score(self, key: str, member: str) -> int | None:
        score = self.redis("ZSCORE", self.prefix + key, member)
        return None if score is None else round(float(score))

    def ttl(self, key: str) -> int:
        return int(self.redis("TTL", self.prefix + key))

    def key_names(self) -> set[str]:
        """Every key of this pool, without the prefix."""
        cursor, names = "0", set[str]()
        while True:
            cursor, found = self.redis("SCAN", cursor, "MATCH", f"{self.prefix}*", "COUNT", 1000)
            names.update(key.removeprefix(self.prefix) for key in found)
            if int(cursor) == 0:
                return names

    def contents(self) -> Contents:
        """Every key with what it holds but for its time to live, in one atomic look."""
        return read_contents(self.redis("EVAL", LOOK, 0, self.prefix)[0])

    def put_back(self, contents: Contents) -> None:
        """Redis is rolled back to what `contents()` said earlier, under a new epoch."""
        self.delete_everything()
        write(self.redis, self.prefix, contents)
        self.redis("HSET", f"{self.prefix}clock", "epoch", "after-the-rollback")

    def delete_everything(self) -> None:
        if keys := self.key_names():
            self.redis("UNLINK", *(self.prefix + key for key in keys))

    @contextmanager
    def nothing_changes(self) -> Iterator[None]:
        """Within this, no key changes and no player is told anything."""
        self._listen()
        before, heard = self.contents(), {channel: list(texts) for channel, texts in self._published.items()}
        yield
        self._listen()
        assert self.contents() == before
        assert {channel: texts for channel, texts in self._published.items() if texts} == {
            channel: texts for channel, texts in heard.items() if texts
        }

    # --- what was said ---

    def entries(self) -> list[tuple[str, str]]:
        """The entries of the stream of events since the last call, each with its id."""
        start = f"({self._last_entry}" if self._last_entry else "-"
        found = [
            (entry_id, fields["e"]) for entry_id, fields in self.redis("XRANGE", f"{self.prefix}events", start, "+")
        ]
        if found:
            self._last_entry = found[-1][0]
        return found

    def events(self) -> list[EventData]:
        """What has happened since the last call."""
        return [
            event.data
            for entry_id, text in self.entries()
            for event in read_entry(entry_id, text, source="/match-server/test")
        ]

    def texts(self, player: str) -> list[str]:
        """The frames published for this player since the last call, as they were sent."""
        self._listen()
        texts = self._published.pop(f"notifications:{player}", [])
        for text in texts:
            seq = json.loads(text)["seq"]
            assert self._last_seq.get(player, 0) < seq < 2**53, "seq only grows"
            self._last_seq[player] = seq
        return texts

    def frames(self, player: str) -> list[Frame]:
        """The frames published for this player since the last call."""
        return [json.loads(text) for text in self.texts(player)]

    def everything_said(self) -> list[str]:
        """Every frame published for any player since the last call."""
        self._listen()
        players = [channel.partition(":")[2] for channel in self._published if channel.startswith("notifications:")]
        return [text for player in players for text in self.texts(player)]

    def said_to_node(self, node: str) -> list[str]:
        self._listen()
        return self._published.pop(f"node:{node}", [])

    def _listen(self) -> None:
        """Take what was published up to now: a marker of our own is the last message."""
        self.redis("PUBLISH", f"{self.prefix}test:marker", "")
        while True:
            message = self._listener.get_message(timeout=5)
            assert message is not None, "the marker never came"
            if message["type"] != "pmessage":
                continue
            channel = message["channel"].removeprefix(self.prefix)
            if channel == "test:marker":
                return
            self._published[channel].append(message["data"])
