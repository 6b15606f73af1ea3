"""What long-running commands need of the operating system: sockets to listen on, signals, children that die along."""

import asyncio
import contextlib
import ctypes
import errno
import gc
import resource
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Iterator, Mapping, Sequence

from match_server.errors import SettingsError

BACKLOG = 4096
ADMIN_NAMES = ("MATCH_ADMIN_HOST", "MATCH_ADMIN_PORT")
READY = b" ready on "  # in the line that each of our programs prints once it is
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """A `preexec_fn`: have the kernel end the child when this process dies, `kill -9` included. On Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


async def start_child(
    module: str,
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    output: bool = False,
    pass_fds: Sequence[int] = (),
) -> Process:
    """Start one of our programs, which ends with this one; `output` is whether this process reads what it prints."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # or a file of the current folder, `queue.py` say, would stand in for a module
        "-m",
        module,
        *arguments,
        stdout=PIPE if output else None,
        env=environment,
        pass_fds=pass_fds,
        start_new_session=True,  # Ctrl-C is for this process, which stops its children itself
        preexec_fn=die_with_parent,
    )


async def next_line(child: Process, *, within_seconds: float | None = None) -> bytes:
    """The next line that a child prints; empty when it ends instead, or prints none in time."""
    assert child.stdout  # noqa: S101 - start_child was asked for its output
    try:
        async with asyncio.timeout(within_seconds):
            return await child.stdout.readline()
    except TimeoutError:
        return b""


async def wait_for_end(child: Process, *, within_seconds: float) -> None:
    """Wait for a child that was asked to end, once: a second signal may mean "at once". Kill it when it is late."""
    try:
        async with asyncio.timeout(within_seconds):
            await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()


def allow_descriptors(wanted: int) -> int:
    """Raise this process's limit of open files to `wanted`, or as near as it may. Returns the limit in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted:
        return soft
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed


def calm_garbage_collector() -> None:
    """Look through what lives rarely: connections make few cycles, and each full pass stops the node for their sake.

    With the default thresholds a third of a burst's time went there; see docs/benchmarks.md. Passes over what is new
    stay short: over 50,000 objects, which lie scattered, each took 50 ms under 300 matches a second, and set the p99.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 500, 100)


def host_in_url(host: str) -> str:
    """An address as it stands before a port: IPv6 in brackets, whether it came with them or not."""
    return f"[{host.strip('[]')}]" if ":" in host else host


def host_to_call(host: str) -> str:
    """The same for whoever wants to call: a node that listens on every address is at this machine's own, too."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host.strip("[]"), host_in_url(host))


@contextlib.contextmanager
def bound_socket(
    host: str, port: int, *, names: tuple[str, str] = ("MATCH_HOST", "MATCH_PORT"), shared: bool = False
) -> Iterator[socket.socket]:
    """A TCP socket bound before anything else starts, so that what cannot be had is one readable line.

    `names` are those of the settings of host and port.

    `shared` lets other sockets of this user have the same port; the kernel spreads connections over them.

    Raises:
        SettingsError: the address or port cannot be had.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            listener.bind((host.strip("[]"), port))
            if not shared:
                listener.listen(BACKLOG)
        except (OSError, TypeError) as error:  # TypeError: a name that cannot be encoded
            name = names[0] if _is_of_the_host(error) else names[1]
            why = getattr(error, "strerror", None) or error
            raise SettingsError(f"{name}: cannot listen on {host_in_url(host)}:{port}: {why}") from None
        listener.setblocking(False)
        yield listener
    finally:
        listener.close()


def _is_of_the_host(error: OSError | TypeError) -> bool:
    """It is no name of anything, or the address is not this machine's."""
    return isinstance(error, socket.gaierror | TypeError) or error.errno == errno.EADDRNOTAVAIL


@contextlib.contextmanager
def inherited_socket(descriptor: int) -> Iterator[socket.socket]:
    """A socket that the parent has bound and handed down; it listens from now on."""
    listener = socket.socket(fileno=descriptor)
    try:
        listener.listen(BACKLOG)
        listener.setblocking(False)
        yield listener
    finally:
        listener.close()


@contextlib.contextmanager
def calling_on_hangup(call: Callable[[], None]) -> Iterator[None]:
    """SIGHUP calls this, and no longer ends the process."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, call)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


@contextlib.contextmanager
def stopping_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and Ctrl-C call `stop`, and nothing else."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
