import asyncio
import io
import re

import pytest
from rich.console import Console

from test_client import progress
from test_client.options import SwarmOptions
from test_client.swarm import Swarm
from tests.client.fake_matchmaker import FakeMatchmaker
from tests.shared.tcp_redis import free_ports


@pytest.mark.parametrize("terminal", [False, True])
def test_shows_where_the_players_are(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "FIRST_SECONDS", 0)
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0)
    monkeypatch.setattr(progress, "LIVE_SECONDS", 0)
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100)

    async def scenario() -> None:
        async with FakeMatchmaker().running() as fake:
            swarm = Swarm(SwarmOptions(urls=(fake.url,)))
            async with asyncio.TaskGroup() as group:
                showing = group.create_task(progress.show_progress(swarm, console))
                await swarm.run()
                showing.cancel()

    asyncio.run(scenario())
    assert "2 players: loading 2" in out.getvalue()


def test_says_why_no_player_comes_in() -> None:
    async def scenario() -> str:
        swarm = Swarm(SwarmOptions(urls=(f"ws://127.0.0.1:{free_ports(1)[0]}/ws/",)))
        running = asyncio.create_task(swarm.run())
        while not swarm.trouble:  # noqa: ASYNC110 - the first attempt tells nobody that it has failed
            await asyncio.sleep(0)
        line = progress.describe(swarm, 2.0)
        swarm.stop()
        await running
        return line

    line = asyncio.run(scenario())
    assert re.search(r"2 players: .*\(ws://127\.0\.0\.1:\d+/ws/: .*Errno", line), line
