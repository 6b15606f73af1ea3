"""`python -m tests.soak.agones`: allocations at a rate from a fake Kubernetes API that conflicts and loses answers."""

import asyncio
import random
import tempfile
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.load.figures import percentile
from benchmarks.load.schedule import even_arrivals
from match_server.servers.provider import CALLS_TO_A_FLEET, Created, Order, Provisioned
from tests.shared.fake_agones import FakeAgones, FleetSize, session_ids
from tests.shared.fake_server import Call
from tests.unit.agones_calls import DUEL, order, provider_for

CONFLICTS, LOST = 0.05, 0.01
TIMEOUT_SECONDS = 30.0  # so that a full machine makes it late, not wrong
_NOT_CLEAN = 1

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def serve(pipe: Connection, game_servers: int, seed: int) -> None:
    """The fake, in a process of its own: says its URL, and when it is asked who holds which game server."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated

    def faults(call: Call) -> str | None:
        if call.method != "POST":
            return None
        drawn = chance.random()
        return "conflict" if drawn < CONFLICTS else "lost" if drawn < CONFLICTS + LOST else None

    async def story() -> None:
        async with FakeAgones({DUEL.fleet: FleetSize(game_servers)}, faults) as fake:
            pipe.send(fake.url)
            await asyncio.to_thread(pipe.recv)
            held = [(fake.address(name), session_ids(fake.game_servers[name])) for name in fake.allocated()]
            pipe.send((held, fake.allocations.total()))

    asyncio.run(story())


async def allocate(url: str, at: list[float]) -> tuple[list[Provisioned], list[float], float]:
    """Allocate when due, whatever came of the last ones: the outcomes, the seconds from due to done, and all of it."""
    there = FakeAgones({})
    there.url = url
    room = asyncio.Semaphore(CALLS_TO_A_FLEET)
    took: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        async with provider_for(there, Path(folder), timeout_seconds=TIMEOUT_SECONDS) as provider:
            began_at = time.monotonic()

            async def one(due: float, this: Order) -> Provisioned:
                await asyncio.sleep(began_at + due - time.monotonic())
                async with room:
                    (made,) = await provider.create([this])
                took.append(time.monotonic() - began_at - due)
                return made

            made = await asyncio.gather(*(one(due, order()) for due in at))
            return made, took, time.monotonic() - began_at


@app.command()
def drill(
    rate: Annotated[float, typer.Option(help="Allocations a second.")] = 500.0,
    seconds: Annotated[float, typer.Option(help="How long they come.")] = 6.0,
    seed: Annotated[int, typer.Option(help="Of what goes wrong.")] = 1,
) -> None:
    """Allocate at a rate with 5 % conflicts and 1 % lost answers; say what it took, and who holds what.

    Exit status: 0 each session has a game server of its own and no other is allocated, 1 not. The pace is only said.
    """
    at = even_arrivals(per_second=rate, count=int(rate * seconds))
    context = get_context("spawn")
    here, there = context.Pipe()
    fake = context.Process(target=serve, args=(there, len(at), seed), daemon=True)
    fake.start()
    used = time.process_time()
    made, took, whole = asyncio.run(allocate(here.recv(), at))
    used = time.process_time() - used
    here.send("who holds what?")
    held, allocations = here.recv()
    fake.join()
    told = {one.server_address: [one.session_id] for one in made if isinstance(one, Created)}
    double, leaked = len(made) - len(told), len(held) - len(told)
    typer.echo(
        f"{len(made)} allocations, {rate:g} a second wanted, {len(made) / whole:.0f} a second done;"
        f" p50 {1000 * percentile(took, 0.5):.0f} ms, p99 {1000 * percentile(took, 0.99):.0f} ms from due to done;"
        f" {1000 * used / len(made):.2f} ms of CPU each"
    )
    typer.echo(f"failed or double: {double}, leaked: {leaked}, allocated in vain: {allocations - len(made)}")
    if dict(held) != told or double or allocations != len(made):
        raise typer.Exit(_NOT_CLEAN)


if __name__ == "__main__":
    app(prog_name="python -m tests.soak.agones")
