import asyncio

from dedicated_server_stub.backoff import Backoff
from dedicated_server_stub.faults import CallFault, Faults
from dedicated_server_stub.options import FaultOptions


def test_the_same_seed_draws_the_same_faults() -> None:
    options = FaultOptions(fail_rate=0.3, hang_rate=0.3, refuse_rate=0.5, seed=7)
    one, two = Faults(options), Faults(options)

    drawn = [(one.of_call(), one.refuses()) for _ in range(50)]

    assert drawn == [(two.of_call(), two.refuses()) for _ in range(50)]
    assert {fault for fault, _ in drawn} == set(CallFault)


def test_without_options_nothing_goes_wrong() -> None:
    faults = Faults(FaultOptions())

    assert not any(faults.refuses() or faults.of_call() is not CallFault.NONE for _ in range(50))
    asyncio.run(asyncio.wait_for(faults.hold(CallFault.NONE), timeout=1))


def test_certain_faults_always_happen() -> None:
    assert Faults(FaultOptions(fail_rate=1)).of_call() is CallFault.FAIL
    assert Faults(FaultOptions(hang_rate=1)).of_call() is CallFault.HANG
    assert Faults(FaultOptions(refuse_rate=1)).refuses()


def test_a_stop_releases_what_is_held_back() -> None:
    async def scenario() -> None:
        faults = Faults(FaultOptions(delay_seconds=3600))
        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            tasks.create_task(faults.hold(CallFault.NONE))
            tasks.create_task(faults.hold(CallFault.HANG))
            faults.release()

    asyncio.run(scenario())


def test_a_delay_ends_by_itself() -> None:
    faults = Faults(FaultOptions(delay_seconds=0.001))
    asyncio.run(asyncio.wait_for(faults.hold(CallFault.NONE), timeout=5))


def test_backoff_doubles_up_to_its_cap_and_starts_over_after_a_success() -> None:
    backoff = Backoff(first_seconds=0.1, cap_seconds=0.3)

    for ceiling in (0.1, 0.2, 0.3, 0.3):
        assert ceiling / 2 <= backoff.next_seconds() <= ceiling
    backoff.reset()
    assert backoff.next_seconds() <= 0.1
