"""The service's constant waits, shorter: a run is then a few simulated seconds long, for idle ones cost time too.

Their order stays what it is: a loading timeout is longer than a silent link goes unnoticed, an `ask` outlasts the
store's repeats, and those outlast one socket timeout.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

from match_server.actors import client, services, session, subscriber
from match_server.store import scripts
from match_server.web import gateway

SOCKET_TIMEOUT_SECONDS = 0.5
_STOPPING_GRACE_SECONDS = 3.0

_SHORTER = (
    (subscriber, "HEARTBEAT_SECONDS", 0.3),
    (subscriber, "_CATCH_UP_SECONDS", 4.0),
    (services, "_ASK_SECONDS", 3.0),
    (services, "_SUBSCRIBE_SECONDS", 1.5),
    (client, "RETRY_AFTER_SECONDS", 0.3),
    (session, "STOPPING_GRACE_SECONDS", _STOPPING_GRACE_SECONDS),
    (gateway, "STOPPING_GRACE_SECONDS", _STOPPING_GRACE_SECONDS),
    (scripts, "_GIVE_UP_SECONDS", 1.0),
)


@contextmanager
def hurried() -> Iterator[None]:
    """Within this, the service waits less. An AttributeError names a wait that is no longer where it was."""
    with ExitStack() as stack:
        for module, name, seconds in _SHORTER:
            stack.enter_context(mock.patch.object(module, name, seconds))
        yield
