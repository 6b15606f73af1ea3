"""`dedicated-server-stub`, which also says on SIGUSR1 how many tasks its event loop has."""

import asyncio
import signal

from dedicated_server_stub.cli import main


def _say(*_: object) -> None:
    print(f"tasks {len(asyncio.all_tasks())}", flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, _say)
    main()
