"""A node dies, and all its players come to another at once."""

from benchmarks.load.bench import Bench, Case
from benchmarks.load.cases.queued import enqueue
from benchmarks.load.cores import Layout
from benchmarks.load.figures import Figures, latency_figures
from benchmarks.load.results import Result
from benchmarks.load.stack import Stack

_ENQUEUES_PER_SECOND = 2_000
_DEADLINE_SECONDS = 60.0
_REPEATS = 3


def case(players: int) -> Case:
    """A case of so many players."""

    def run(this: Case, bench: Bench) -> Result:
        return Result.of(
            this.name, this.about, [measure(bench.layout, players) for _ in range(bench.repeats(_REPEATS))]
        )

    about = f"{players:,} players wait at a node that is killed; they resume at another, then slots are released"
    return Case(f"reconnect-{players}", about, run)


def measure(layout: Layout, players: int) -> Figures:
    """How long they take from the kill until they are queued again, and what each costs."""
    with Stack(layout, nodes=2) as stack:
        dies, lives = 1, 0
        stack.generator.connect([stack.addresses[dies]], players, stack.game_mode)
        enqueue(stack, players, _ENQUEUES_PER_SECOND)
        before = stack.spent()
        stack.kill_node(dies)
        left = stack.generator.reconnect(stack.addresses[lives], stack.game_mode, deadline_seconds=_DEADLINE_SECONDS)
        used = stack.spent().since(before)
        resumed = [journey.queued - journey.due for journey in stack.generator.journeys() if journey.queued is not None]
        stack.start_server(capacity=players // 2)
        unmatched = stack.generator.ask("await_matches", deadline_seconds=_DEADLINE_SECONDS)["left"]
    return {
        "players_not_resumed": left,
        "players_left": unmatched,
        "players_resumed_per_second": 1e6 * len(resumed) / max(resumed),
        "node_cpu_us_per_resumed_player": 1e6 * used[f"node-{lives}"] / len(resumed),
        "redis_cpu_us_per_resumed_player": 1e6 * used["redis"] / len(resumed),
        **latency_figures("resumed", resumed),
    }
