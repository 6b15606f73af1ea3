"""The stream of events stays as long as its slowest sink needs it, within a bound."""

from match_server.store.upkeep import LostEvents
from tests.store.pool import Pool


def write(pool: Pool, count: int) -> None:
    """Each event is an entry of its own; the first is number 1."""
    key, clock = f"{pool.prefix}events", f"{pool.prefix}clock"
    add = "for i = 1, ARGV[1] do local n = redis.call('HINCRBY', KEYS[2], 'events', 1)\n"
    add += "redis.call('XADD', KEYS[1], n .. '-1', 'e', 'node.lost\\tn' .. n) end"
    pool.redis("EVAL", add, 2, key, clock, count)


def length(pool: Pool) -> int:
    return int(pool.redis("XLEN", f"{pool.prefix}events"))


def trim(pool: Pool, *, recent: int = 100, kept: int = 5000) -> list[LostEvents]:
    return [
        LostEvents.parse([part if isinstance(part, bytes) else str(part).encode() for part in entry])
        for entry in pool.run("trim_events", recent, kept)
    ]


def sink(pool: Pool, name: str, *, reads: int, acknowledges: int) -> None:
    key = f"{pool.prefix}events"
    pool.redis("XGROUP", "CREATE", key, name, "0")
    if reads:
        pool.redis("XREADGROUP", "GROUP", name, "a", "COUNT", reads, "STREAMS", key, ">")
    if acknowledges:
        pool.redis("XACK", key, name, *(f"{number}-1" for number in range(1, acknowledges + 1)))


def test_without_a_stream_there_is_nothing_to_do(pool: Pool) -> None:
    assert trim(pool) == []


def test_without_sinks_the_recent_ones_stay(pool: Pool) -> None:
    write(pool, 1000)
    assert trim(pool) == []
    assert 100 <= length(pool) < 300  # whole nodes of the stream are deleted


def test_what_a_sink_has_not_stored_stays(pool: Pool) -> None:
    write(pool, 2000)
    sink(pool, "fast", reads=2000, acknowledges=2000)
    sink(pool, "slow", reads=1500, acknowledges=1000)
    assert trim(pool) == []
    assert 1000 <= length(pool) < 1200
    assert pool.redis("XPENDING", f"{pool.prefix}events", "slow")["min"] == "1001-1"


def test_a_sink_that_has_read_nothing_yet_is_waited_for(pool: Pool) -> None:
    write(pool, 2000)
    sink(pool, "new", reads=0, acknowledges=0)
    assert trim(pool) == []
    assert length(pool) == 2000


def test_beyond_the_bound_events_go_and_their_loss_is_counted_once(pool: Pool) -> None:
    write(pool, 2000)
    sink(pool, "slow", reads=500, acknowledges=300)
    (lost,) = trim(pool, kept=1000)
    assert (lost.sink, lost.first) == ("slow", 301)
    assert 1000 <= length(pool) == 2000 - lost.last < 1200
    assert trim(pool, kept=1000) == []
    assert pool.hash("events:lost") == {"slow": str(lost.last - 300), "slow to": str(lost.last)}

    write(pool, 500)
    (more,) = trim(pool, kept=1000)
    assert more.first == lost.last + 1
    assert pool.hash("events:lost")["slow"] == str(more.last - 300)
