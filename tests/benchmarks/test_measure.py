"""CPU and memory of processes, and the cores they run on."""

import os
import subprocess
import sys
import time

import pytest

from benchmarks.load import measure
from benchmarks.load.cores import layout

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_cpu_of_another_process_is_its_user_and_system_time() -> None:
    code = "import time\nwhile time.process_time() < 0.2: pass\nprint(time.process_time(), flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        said = float(child.stdout.readline())
        assert measure.cpu_seconds(child.pid) == pytest.approx(said, abs=0.05)
        child.communicate(b"\n")


def test_a_process_that_is_gone_costs_nothing() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert measure.cpu_seconds(child.pid) == 0


def test_children_count_with_their_parent() -> None:
    code = "import time\nwhile time.process_time() < 0.2: pass\nprint('done', flush=True)\ninput()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        child.stdout.readline()
        assert measure.spent({"it": child.pid}).seconds["it"] >= 0.2
        child.communicate(b"\n")


def test_spent_since() -> None:
    before, after = measure.Spent({"node": 1.0}), measure.Spent({"node": 1.5, "stub": 0.25})
    assert after.since(before) == {"node": 0.5, "stub": 0.25}


def test_resident_bytes_of_this_process() -> None:
    assert measure.resident_bytes(os.getpid()) > 1_000_000


def test_pss_is_read_in_bytes() -> None:
    assert measure.pss_bytes("00400000-7fff [rollup]\nRss:  900 kB\nPss:   500 kB\nPss_Dirty:  5 kB\n") == 512_000
    with pytest.raises(ValueError, match="Pss"):
        measure.pss_bytes("Rss: 1 kB\n")


def test_the_parent_is_found_behind_any_name() -> None:
    assert measure.parent_pid("12 (a) b (c) S 7 12 12 0") == 7


@pytest.mark.parametrize("cores", [1, 2, 3, 4, 8])
def test_every_role_has_a_core_and_the_first_node_shares_its_own_only_when_it_must(cores: int) -> None:
    found = layout(frozenset(range(cores)))
    roles = [found.redis, found.stub, found.load]
    assert all(role <= set(range(cores)) and len(role) == 1 for role in [*roles, *found.nodes])
    assert cores == 1 or found.node(0) not in roles
    alone = found.redis_alone()
    assert alone.redis == found.redis
    assert cores == 1 or alone.redis not in [alone.stub, alone.load, *alone.nodes]


def test_time_passes_for_this_process() -> None:
    began, pid = measure.cpu_seconds(os.getpid()), os.getpid()
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    assert measure.cpu_seconds(pid) - began >= 0.04
