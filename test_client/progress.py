"""How the run is going: one live line on a terminal, else a plain line every few seconds. On stderr."""

import asyncio
import time

from rich.console import Console
from rich.live import Live
from rich.text import Text

from test_client.swarm import Swarm

LIVE_SECONDS = 0.25
FIRST_SECONDS, PLAIN_SECONDS = 2.0, 5.0  # early at first: the address may be wrong


async def show_progress(swarm: Swarm, console: Console) -> None:
    """Show the run until cancelled."""
    started = time.monotonic()
    if not console.is_terminal:
        await asyncio.sleep(FIRST_SECONDS)
        while True:
            console.print(describe(swarm, time.monotonic() - started), soft_wrap=True)
            await asyncio.sleep(PLAIN_SECONDS)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            live.update(Text(describe(swarm, time.monotonic() - started)), refresh=True)
            await asyncio.sleep(LIVE_SECONDS)


def describe(swarm: Swarm, seconds: float) -> str:
    """Say in one line how many players are where, the most first; and as long as none has come in, why."""
    where = ", ".join(f"{place} {count}" for place, count in swarm.count().most_common())
    trouble = f"  ({swarm.trouble})" if swarm.trouble else ""
    return f"{seconds:5.1f} s  {len(swarm.players)} players: {where}{trouble}"
