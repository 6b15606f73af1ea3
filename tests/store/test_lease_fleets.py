"""The lease of the node that looks after the fleets."""

from tests.store.pool import Pool


def test_one_node_has_it_until_it_runs_out(pool: Pool) -> None:
    assert pool.run("lease_fleets", "n1", 60_000) == 1
    assert pool.run("lease_fleets", "n2", 60_000) == 0
    assert pool.run("lease_fleets", "n1", 1) == 1, "the holder renews it, for a shorter time, too"

    pool.redis("DEL", f"{pool.prefix}fleets")  # as if it had run out

    assert pool.run("lease_fleets", "n2", 60_000) == 1
    assert pool.run("lease_fleets", "n1", 60_000) == 0, "who stood still does not renew what another has now"
