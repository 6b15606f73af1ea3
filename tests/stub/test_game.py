"""The rules alone."""

from dedicated_server_stub.game import CATCH_UP_SECONDS, SPEED, WINNING_SCORE, Player, Reason, World

HZ = 20


def move_by(world: World, player: Player, x: int) -> Reason | None:
    return world.move(player, x=player.x + x, y=player.y, z=player.z, yaw=0)


def test_a_player_moves_as_fast_as_the_rules_allow_and_no_faster() -> None:
    world = World(tick_hz=HZ)
    ann = world.enter("ann", None)
    start = ann.x
    steps = 0
    for _ in range(2 * HZ):
        world.step()
        while move_by(world, ann, -SPEED // HZ) is None:
            steps += 1
    assert start - ann.x <= SPEED * (2 + CATCH_UP_SECONDS)
    assert steps >= 2 * HZ
    assert move_by(world, ann, -SPEED // HZ) is Reason.TOO_FAST


def test_a_tag_needs_a_near_player_and_a_pause() -> None:
    world = World(tick_hz=HZ)
    ann, bob = world.enter("ann", "red"), world.enter("bob", "blue")
    assert world.tag(ann, "ann") is Reason.NO_SUCH_PLAYER
    assert world.tag(ann, "eve") is Reason.NO_SUCH_PLAYER
    bob.set(world.tick, x=ann.x + 3_001, y=ann.y)
    assert world.tag(ann, "bob") is Reason.TOO_FAR
    bob.set(world.tick, x=ann.x + 3_000)
    assert world.tag(ann, "bob") is None
    assert world.tag(ann, "bob") is Reason.COOLDOWN
    for _ in range(HZ):
        world.step()
    assert world.tag(ann, "bob") is None
    world.leave("ann")
    assert world.result() == {"scores": {"ann": 2, "bob": 0}, "winner": "ann"}


def test_the_game_is_won_at_the_winning_score() -> None:
    world = World(tick_hz=HZ)
    ann, bob = world.enter("ann", None), world.enter("bob", None)
    bob.set(world.tick, x=ann.x, y=ann.y)
    for score in range(WINNING_SCORE):
        assert not world.won, score
        assert world.tag(ann, "bob") is None
        for _ in range(HZ):
            world.step()
    assert world.won
