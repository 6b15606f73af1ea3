from tests.store.pool import GRACE_SECONDS, SECOND_US, Pool


def release(pool: Pool, *players: str, node: str = "n1") -> list[str]:
    reply = pool.run("release_players", node, GRACE_SECONDS * SECOND_US, items=[(player,) for player in players])
    return [entry.decode() for entry in reply]


def test_a_player_that_nobody_attends_to_is_held(pool: Pool) -> None:
    pool.enqueue("ann")

    assert release(pool, "ann") == ["held"]

    assert pool.record("ann")["connection"] == ""
    assert pool.score("held", "ann") is not None
    assert pool.members("queue:duel") == []
    assert pool.members("node_players:n1") == []


def test_the_repeat_of_a_release_does_not_prolong_the_grace(pool: Pool) -> None:
    pool.enqueue("ann")
    release(pool, "ann")
    until = pool.score("held", "ann")

    assert release(pool, "ann") == ["dropped"]

    assert pool.score("held", "ann") == until


def test_an_entry_without_a_player_is_dropped(pool: Pool) -> None:
    pool.redis("SADD", f"{pool.prefix}node_players:n1", "ghost")

    assert release(pool, "ghost") == ["dropped"]

    assert pool.members("node_players:n1") == []


def test_a_player_of_another_node_is_left_alone(pool: Pool) -> None:
    pool.enqueue("ann")
    pool.redis("SADD", f"{pool.prefix}node_players:n2", "ann")

    assert release(pool, "ann", node="n2") == ["dropped"]

    assert pool.record("ann")["connection"] == "ann/1"
    assert pool.members("queue:duel") == ["ann"]
    assert pool.members("node_players:n2") == []


def test_a_matched_player_has_nothing_to_be_held_for(pool: Pool) -> None:
    pool.register("s1")
    pool.confirm(pool.allocating("ann", "bob"))
    pool.redis("SADD", f"{pool.prefix}node_players:n1", "ann")

    assert release(pool, "ann") == ["dropped"]

    assert pool.score("held", "ann") is None
