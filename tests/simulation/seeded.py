"""Where the service gets its chance and its time from, while it is simulated: the seed."""

import secrets
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from random import Random
from unittest import mock


@contextmanager
def seeded(chance: Random, now: Callable[[], float]) -> Iterator[None]:
    """Within this, ids and secrets come from `chance`, and every clock shows `now`, in seconds.

    What the service calls by these modules' names is replaced; tests/simulation/test_seeded.py holds that it asks
    nobody else.
    """

    def token_bytes(count: int = 32) -> bytes:
        return chance.randbytes(count)

    replaced = {
        (uuid, "uuid4"): lambda: uuid.UUID(bytes=chance.randbytes(16), version=4),
        (secrets, "token_bytes"): token_bytes,
        (secrets, "token_hex"): lambda count=32: token_bytes(count).hex(),
        (time, "time"): now,
        (time, "time_ns"): lambda: int(now() * 1e9),
        (time, "monotonic"): now,
        (time, "monotonic_ns"): lambda: int(now() * 1e9),
        (time, "perf_counter"): now,
    }
    with ExitStack() as stack:
        for (module, name), stand_in in replaced.items():
            stack.enter_context(mock.patch.object(module, name, stand_in))
        yield
