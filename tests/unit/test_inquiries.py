"""Inquiries: questions that only the node that proposes for a mode can answer. Two nodes, on virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from match_server.actors.core import ActorSystem, Supervision
from match_server.actors.inquiries import ANSWER_SECONDS, Document, Elsewhere, Inquiries, InquiriesPort
from match_server.errors import StoreUnavailable
from tests.unit.virtual_time import run


class FakeProposer:
    """Answers what the test lays down, with what it was asked."""

    def __init__(self, answer: Document | Elsewhere | None = None) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.open = asyncio.Event()
        self.open.set()

    async def inquire(self, player_id: str) -> Document | Elsewhere | None:
        self.asked.append(player_id)
        await self.open.wait()
        return self.answer


class Pool:
    """Two nodes with a proposer each, and the channels between them."""

    def __init__(self, system: ActorSystem) -> None:
        self.proposers = {"one": FakeProposer(), "two": FakeProposer()}
        self.ports = {name: InquiriesPort() for name in self.proposers}
        self.said: list[str] = []
        self.away = False
        for name in self.proposers:
            self._start(system, name)

    def _start(self, system: ActorSystem, name: str) -> None:
        self.ports[name].attach(
            system.spawn(
                f"inquiries/{name}",
                lambda: Inquiries(
                    node=name,
                    channel_of=lambda node: f"node:{node}",
                    publish=self._publish,
                    proposers={"ranked": self.proposers[name]},
                ),
                mailbox_limit=10,
                phase=0,
                supervision=Supervision(),
            )
        )

    async def _publish(self, channel: str, words: str) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.said.append(words)
        if port := self.ports.get(channel.removeprefix("node:")):
            port.heard(words)


@asynccontextmanager
async def two_nodes() -> AsyncIterator[Pool]:
    async with ActorSystem() as system:
        yield Pool(system)
        await system.stop(1.0)


def test_the_proposers_own_node_asks_nobody() -> None:
    async def scenario() -> None:
        async with two_nodes() as pool:
            pool.proposers["one"].answer = {"stage": "waiting"}
            assert await pool.ports["one"].explanation("ranked", "ann") == {"stage": "waiting"}
            assert (pool.proposers["one"].asked, pool.said) == (["ann"], [])

    run(scenario())


def test_another_node_asks_the_one_that_proposes() -> None:
    async def scenario() -> None:
        async with two_nodes() as pool:
            pool.proposers["one"].answer = Elsewhere("two")
            pool.proposers["two"].answer = {"waiting": 3, "rules": [{"kind": "difference", "limit": None}]}
            assert await pool.ports["one"].explanation("ranked", "ann") == pool.proposers["two"].answer
            assert await pool.ports["one"].overview("ranked") == pool.proposers["two"].answer
            assert pool.proposers["two"].asked == ["ann", ""]

    run(scenario())


def test_a_question_does_not_go_round_when_both_think_the_other_proposes() -> None:
    async def scenario() -> None:
        async with two_nodes() as pool:
            pool.proposers["one"].answer = Elsewhere("two")
            pool.proposers["two"].answer = Elsewhere("one")
            assert await pool.ports["one"].explanation("ranked", "ann") is None
            assert len(pool.said) == 2

    run(scenario())


def test_without_an_answer_within_a_second_there_is_none() -> None:
    async def ended_after(pool: Pool) -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert await pool.ports["one"].explanation("ranked", "ann") is None
        return loop.time() - began

    async def scenario() -> None:
        async with two_nodes() as pool:
            pool.proposers["one"].answer = Elsewhere("gone")
            assert await ended_after(pool) == ANSWER_SECONDS
            pool.away = True
            assert await ended_after(pool) == ANSWER_SECONDS
            pool.away = False
            pool.proposers["one"].answer = Elsewhere("two")
            pool.proposers["two"].answer = {"late": True}
            pool.proposers["two"].open.clear()
            assert await ended_after(pool) == ANSWER_SECONDS
            pool.proposers["two"].open.set()  # its answer comes now, and nobody waits for it
            assert await pool.ports["one"].explanation("ranked", "ann") == {"late": True}

    run(scenario())


def test_one_slow_answer_holds_up_no_other() -> None:
    async def scenario() -> None:
        async with two_nodes() as pool:
            pool.proposers["one"].answer = Elsewhere("two")
            slow: asyncio.Task[Any] = asyncio.ensure_future(pool.ports["one"].explanation("ranked", "ann"))
            await asyncio.sleep(0.1)
            pool.proposers["one"].answer = {"fast": True}
            pool.proposers["two"].open.clear()
            assert await pool.ports["one"].explanation("ranked", "bob") == {"fast": True}
            await slow

    run(scenario())


def test_a_node_without_such_modes_has_nobody_to_ask() -> None:
    async def scenario() -> None:
        port = InquiriesPort()
        port.heard("ask 1 n ranked ann")
        assert await port.overview("ranked") is None
        assert not port.attached

    run(scenario())
