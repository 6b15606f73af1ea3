import asyncio
import io

import pytest
from rich.console import Console

from test_client import progress
from test_client.options import SwarmOptions
from test_client.swarm import Swarm
from tests.client.fake_matchmaker import FakeMatchmaker


@pytest.mark.parametrize("terminal", [False, True])
def test_shows_where_the_players_are(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
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
