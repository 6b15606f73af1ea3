"""How the run is going: one live line on a terminal, else a plain line every few seconds. On stderr."""

import asyncio
import time

from rich.console import Console
from rich.live import Live
from rich.text import Text

from test_client.swarm import Swarm

LIVE_SECONDS = 0.25
PLAIN_SECONDS = 5.0


async def show_progress(swarm: Swarm, console: Console) -> None:
    """Show the run until cancelled."""
    started = time.monotonic()
    if not console.is_terminal:
        while True:
            await asyncio.sleep(PLAIN_SECONDS)
            console.print(describe(swarm, time.monotonic() - started), soft_wrap=True)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            live.update(Text(describe(swarm, time.monotonic() - started)), refresh=True)
            await asyncio.sleep(LIVE_SECONDS)


def describe(swarm: Swarm, seconds: float) -> str:
    """Say in one line how many players are where, the most first."""
    where = ", ".join(f"{place} {count}" for place, count in swarm.count().most_common())
    return f"{seconds:5.1f} s  {len(swarm.players)} players: {where}"
