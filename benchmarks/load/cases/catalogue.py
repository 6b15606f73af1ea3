"""Every case there is, in the order in which they run."""

from benchmarks.load.bench import Case
from benchmarks.load.cases import burst, connections, fleet, idle, knee, paced, pools, queued, reconnect, waiting
from benchmarks.load.cases.burst import Burst

_TO_LOADING = "players at once, to start_loading"
_SINGLE = "players at once, to match_found; one HTTP call per session"
_BATCHED = "players at once, to match_found; up to 64 sessions per HTTP call"

CASES: tuple[Case, ...] = (
    burst.case("burst-1000-loading", f"1,000 {_TO_LOADING}", Burst(count=1000, whole=False)),
    burst.case("burst-1000-single", f"1,000 {_SINGLE}", Burst(count=1000, batch=False)),
    burst.case("burst-1000", f"1,000 {_BATCHED}", Burst(count=1000)),
    burst.case("burst-5000-loading", f"5,000 {_TO_LOADING}", Burst(count=5000, whole=False)),
    burst.case("burst-5000-single", f"5,000 {_SINGLE}", Burst(count=5000, batch=False)),
    burst.case("burst-5000", f"5,000 {_BATCHED}", Burst(count=5000), quick=True),
    burst.case("burst-5000-fifth", f"5,000 {_BATCHED}; the fifth time in a row", Burst(count=5000, earlier=4)),
    burst.case("burst-5000-aof", f"5,000 {_BATCHED}; Redis with AOF", Burst(count=5000, append_only=True)),
    burst.case("teams-2", "matches of 2, 3,000 players at once", Burst(count=3000)),
    burst.case("teams-10", "matches of 10, 3,000 players at once", Burst(count=3000, players=10)),
    burst.case("teams-60", "matches of 60, 3,000 players at once", Burst(count=3000, players=60)),
    burst.case("nodes-2", "two nodes, 5,000 players at once", Burst(count=5000, nodes=2)),
    burst.case("workers-2", "--workers 2, 5,000 players at once", Burst(count=5000, workers=2)),
    paced.case(100),
    paced.case(300, quick=True),
    paced.case(600),
    knee.case(),
    connections.echo_case(),
    connections.accept_case(),
    connections.memory_case(),
    waiting.case(1_000),
    waiting.case(10_000, quick=True),
    waiting.case(100_000),
    queued.case(10_000),
    reconnect.case(5_000),
    pools.case(20_000),
    fleet.case(1_000),
    fleet.case(5_000),
    idle.case(300),
)
