"""A webhook gets each event at least once, signed, in order per subject, whatever its receiver does."""

import asyncio
import base64
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook as Verifier

from match_server.actors.core import ActorSystem
from match_server.errors import SettingsError
from match_server.events.cloudevents import CloudEvent, read_entry
from match_server.platform.consumer import SinkRefuses, SinkUnavailable
from match_server.platform.stream import DeadLetter, SinkStream
from match_server.platform.webhooks import WebhookConsumer, WebhookSink
from match_server.platform.webhooks_file import Webhook, read_webhooks
from match_server.setting_types import networks
from match_server.store.client import connect
from match_server.store.scripts import ScriptRunner
from tests.shared.platform import PlatformProcess
from tests.store.pool import Pool, scripts

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
LOOPBACK = networks("127.0.0.0/8")
DAY_SECONDS = 86_400

Answer = Callable[[dict[str, Any], asyncio.StreamWriter], Awaitable[int | None]]


class Receiver:
    """A receiver that answers as it is told, and keeps what it took."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.attempts: Counter[str] = Counter()
        self.answer: Answer = self.take
        self.url = ""
        self.changed = asyncio.Event()

    async def take(self, _event: dict[str, Any], _writer: asyncio.StreamWriter) -> int | None:
        return 204

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")
                assert lines[0] == "POST /hook/ HTTP/1.1", "as it is written in the file"
                headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:-2])}
                body = await reader.readexactly(int(headers["content-length"]))
                Verifier(SECRET).verify(body, headers)
                event = json.loads(body)
                assert headers["webhook-id"] == event["id"]
                assert headers["content-type"] == "application/cloudevents+json"
                self.attempts[event["subject"]] += 1
                status = await self.answer(event, writer)
                if status is None:
                    break
                if 200 <= status < 300:
                    self.taken.append(event)
                location = "Location: http://127.0.0.1:1/\r\n" if status in {301, 307} else ""
                writer.write(f"HTTP/1.1 {status} x\r\n{location}Content-Length: 0\r\n\r\n".encode())
                self.changed.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(15):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook/"
    try:
        yield receiver
    finally:
        server.close()


@asynccontextmanager
async def sink_for(url: str, *types: str) -> AsyncIterator[WebhookSink]:
    webhook = Webhook(url=url, secret=SecretStr(SECRET), types=list(types), name="test")
    async with httpx.AsyncClient(follow_redirects=False, trust_env=False) as client:
        yield WebhookSink(webhook, networks=LOOPBACK, client=client)


def events(*players: str) -> list[CloudEvent]:
    lines = [f"player.queued\t{player}\tduel\tfalse\t" for player in players]
    return read_entry(f"{100 + len(players)}-1000", "\n".join(lines), source="/match-server/test")


async def pour(_event: dict[str, Any], writer: asyncio.StreamWriter) -> int | None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n")
    for _ in range(2000):
        writer.write(b"x" * 100_000)
        await writer.drain()
    return None


def test_what_a_call_may_be_answered_with() -> None:
    async def check() -> None:
        async with receiving() as receiver, sink_for(receiver.url, "player.queued") as sink:
            await sink.store(events("ann"))
            (taken,) = receiver.taken
            assert (taken["type"], taken["subject"], taken["specversion"]) == ("player.queued", "ann", "1.0")
            for status in (301, 307, 404, 429, 500, 503):
                receiver.answer = _answering(status)
                with pytest.raises(SinkUnavailable, match=f"answered {status}"):
                    await sink.store(events("ann"))
            receiver.answer = _answering(410)
            with pytest.raises(SinkRefuses):
                await sink.store(events("ann"))
            receiver.answer = pour
            async with asyncio.timeout(5):
                await sink.store(events("ann"))  # 200, and nobody reads the rest
            attempts = receiver.attempts.total()
            await sink.store(read_entry("5-1", "queue.paused\tduel\t", source="/x"))
            assert receiver.attempts.total() == attempts, "not of a type that it wants"

    asyncio.run(check())


def _answering(status: int) -> Answer:
    async def answer(_event: dict[str, Any], _writer: asyncio.StreamWriter) -> int | None:
        return status

    return answer


def test_a_receiver_that_hangs_is_given_up_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("match_server.platform.webhooks.CALL_SECONDS", 0.2)

    async def hang(_event: dict[str, Any], _writer: asyncio.StreamWriter) -> int | None:
        await asyncio.sleep(60)
        return None

    async def check() -> None:
        async with receiving() as receiver, sink_for(receiver.url) as sink:
            receiver.answer = hang
            with pytest.raises(SinkUnavailable, match="no answer within"):
                await sink.store(events("ann"))

    asyncio.run(check())


REFUSED = {
    "http://10.0.0.1/hook": "its host is outside MATCH_WEBHOOK_NETWORKS (127.0.0.0/8",
    "http://2130706433/": "its host must be a dotted quad",
    "ftp://127.0.0.1/": "expected http://host:port or https://host:port",
    "http://a:b@127.0.0.1/": "expected no user, query or fragment",
    "http://127.0.0.1/?key=x": "expected no user, query or fragment",
}


@pytest.mark.parametrize("url", REFUSED)
def test_a_target_outside_the_networks_is_never_called(url: str) -> None:
    async def check() -> None:
        async with sink_for(url) as sink:
            with pytest.raises(SinkUnavailable, match="url: "):
                await sink.store(events("ann"))

    asyncio.run(check())


@asynccontextmanager
async def consuming(redis_url: str, pool: Pool, receiver: Receiver, **options: Any) -> AsyncIterator[SinkStream]:
    redis = connect(redis_url)
    runner = ScriptRunner(redis, prefix=pool.prefix, scripts=scripts())
    stream = SinkStream(redis, runner, prefix=pool.prefix, sink="webhook-test")
    async with sink_for(receiver.url) as sink, ActorSystem() as system:
        consumer = WebhookConsumer(
            sink,
            stream,
            source="/match-server/test",
            holder="a",
            start=lambda work: system.own(work, name="webhook"),
            **{"pauses": (0.02, 0.1), "clock": time.time, **options},
        )
        task = system.own(consumer.run(), name="consumer")
        yield stream
        task.cancel()
        await asyncio.wait([task])
        await system.stop(0)
    await redis.aclose()


async def dead_letter(stream: SinkStream) -> DeadLetter:
    """Wait for the only one."""
    async with asyncio.timeout(15):
        while not (letters := await stream.dead_letters()):  # noqa: ASYNC110 - Redis tells nobody
            await asyncio.sleep(0.02)
    (letter,) = letters
    return letter


class Clock:
    """The time of day, which can be moved."""

    def __init__(self, ahead_seconds: float = 0) -> None:
        self.ahead_seconds = ahead_seconds

    def __call__(self) -> float:
        return time.time() + self.ahead_seconds


async def until_stored(stream: SinkStream) -> None:
    async with asyncio.timeout(15):
        while (await stream.position()).behind:  # noqa: ASYNC110 - Redis tells nobody
            await asyncio.sleep(0.02)


def test_each_event_arrives_in_order_per_subject_though_calls_fail(redis_url: str, pool: Pool) -> None:
    async def sometimes(event: dict[str, Any], _writer: asyncio.StreamWriter) -> int | None:
        return (
            204
            if len(event["id"] + event["subject"]) % 2 or receiver_of[0].attempts[event["subject"]] % 3 == 0
            else 500
        )

    receiver_of: list[Receiver] = []

    async def check() -> None:
        async with receiving() as receiver:
            receiver_of.append(receiver)
            receiver.answer = sometimes
            async with consuming(redis_url, pool, receiver) as stream:
                await receiver.until(lambda: len(receiver.taken) >= len(expected))
                await until_stored(stream)
            ids: dict[str, list[str]] = {}
            for event in receiver.taken:
                ids.setdefault(event["subject"], []).append(event["id"])
            assert {subject: list(dict.fromkeys(of)) for subject, of in ids.items()} == wanted

    players = [f"p{number}" for number in range(20)]
    for number in range(4):
        pool.enqueue(*players, operation=2 * number + 1)
        for player in players:
            pool.leave(player, operation=2 * number + 2)
    expected = [event for entry in pool.entries() for event in read_entry(*entry, source="/match-server/test")]
    wanted: dict[str, list[str]] = {}
    for event in expected:
        wanted.setdefault(event.subject, []).append(event.id)
    asyncio.run(check())


def test_an_event_that_is_not_taken_holds_up_only_its_subject(redis_url: str, pool: Pool) -> None:
    async def not_ann(event: dict[str, Any], _writer: asyncio.StreamWriter) -> int | None:
        return 500 if event["subject"] == "ann" else 204

    time_of_day = Clock()

    async def check() -> None:
        async with receiving() as receiver:
            receiver.answer = not_ann
            async with consuming(redis_url, pool, receiver, clock=time_of_day) as stream:
                await receiver.until(lambda: len(receiver.taken) == 2 and receiver.attempts["ann"] > 3)
                assert {event["subject"] for event in receiver.taken} == {"bob", "cid"}
                assert await stream.dead_letters() == []
                time_of_day.ahead_seconds = DAY_SECONDS
                assert "given up: answered 500" in (await dead_letter(stream)).reason
                await until_stored(stream)

    pool.enqueue("ann", "bob")
    pool.enqueue("cid")
    asyncio.run(check())


def test_an_event_of_yesterday_is_tried_once_by_a_process_that_has_just_started(redis_url: str, pool: Pool) -> None:
    async def check() -> None:
        async with receiving() as receiver:
            receiver.answer = _answering(500)
            async with consuming(redis_url, pool, receiver, clock=Clock(DAY_SECONDS)) as stream:
                await dead_letter(stream)
            assert receiver.attempts["ann"] == 1

    pool.enqueue("ann")
    asyncio.run(check())


def test_a_lost_lease_ends_deliveries_and_the_next_one_begins_them_anew(redis_url: str, pool: Pool) -> None:
    async def check() -> None:
        async with receiving() as receiver:
            receiver.answer = _answering(500)
            async with consuming(redis_url, pool, receiver) as stream:
                await receiver.until(lambda: receiver.attempts["ann"] > 2)
                lease = f"{pool.prefix}events:lease:webhook-test"
                pool.redis("SET", lease, "another", "PX", 1500)
                await asyncio.sleep(1.2)
                before = receiver.attempts["ann"]
                receiver.answer = receiver.take
                await asyncio.sleep(0.2)
                assert receiver.attempts["ann"] == before, "another process delivers it now"
                await receiver.until(lambda: len(receiver.taken) == 1)
                await until_stored(stream)

    pool.enqueue("ann")
    asyncio.run(check())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("webhooks = 1", "webhooks: "),
        ("x", "is not TOML"),
        ('[[webhooks]]\nurl = "http://a/"', "webhooks.0.secret: Field required"),
        ('[[webhooks]]\nurl = "http://a/"\nsecret = "whsec_x"', "expected whsec_"),
        (f'[[webhooks]]\nurl = "http://a/"\nsecret = "{SECRET}"\ntypes = ["match.lost"]', "no such types of events"),
        (f'[[webhooks]]\nurl = "http://a/"\nsecret = "{SECRET}"\nsecrets = 1', "webhooks.0.secrets"),
        (f'[[webhooks]]\nurl = "http://a/"\nsecret = "{SECRET}"\n' * 2, "named twice"),
    ],
)
def test_a_wrong_file_is_answered_with_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "webhooks.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match="MATCH_WEBHOOKS: ") as wrong:
        read_webhooks(path)
    assert said in str(wrong.value)
    assert SECRET not in str(wrong.value)


def test_a_url_that_will_never_be_called_ends_the_start(tmp_path: Path) -> None:
    path = tmp_path / "webhooks.toml"
    urls = ("http://127.0.0.1/", "http://nowhere.invalid/", *REFUSED)
    path.write_text("".join(f'[[webhooks]]\nurl = "{url}"\nsecret = "{SECRET}"\n' for url in urls))
    platform = PlatformProcess(tmp_path, "redis://127.0.0.1:1", "", webhooks=path)
    with platform:
        assert platform.wait() == 2
    lines = platform.log.splitlines()[-len(REFUSED) :]
    for number, (line, why) in enumerate(zip(lines, REFUSED.values(), strict=True), 2):
        assert line.startswith(f"MATCH_WEBHOOKS: webhooks.{number}.url: {why}")
    assert "the name nowhere.invalid does not resolve" in platform.log


def test_a_good_file(tmp_path: Path) -> None:
    path = tmp_path / "webhooks.toml"
    path.write_text(f'[[webhooks]]\nurl = "https://a.example/"\nsecret = "{SECRET}"\nname = "shop"\n')
    (webhook,) = read_webhooks(path)
    assert (webhook.sink, webhook.types) == ("webhook-shop", [])
    with pytest.raises(SettingsError, match="cannot be read"):
        read_webhooks(tmp_path / "nothing.toml")
