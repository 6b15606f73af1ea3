"""What the figures were measured on. No names, paths or addresses of the machine."""

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

from match_server import __version__
from match_server.store.embedded import find_binary

_PACKAGES = ("uvicorn", "websockets", "uvloop", "httptools", "starlette", "redis", "hiredis", "httpx", "pydantic")


def machine() -> dict[str, str]:
    """The hardware and the system."""
    return {
        "cpu": _field("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "memory": _gib(_field("/proc/meminfo", "MemTotal")),
        "virtual": "yes" if "hypervisor" in _field("/proc/cpuinfo", "flags").split() else "no or unknown",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
    }


def versions() -> dict[str, str]:
    """The software whose speed is measured."""
    found = {"match-server": __version__, platform.python_implementation(): platform.python_version()}
    found["Redis"] = _redis_version()
    return found | {package: version(package) for package in _PACKAGES}


def _redis_version() -> str:
    said = subprocess.run([find_binary(), "--version"], capture_output=True, text=True, check=True).stdout
    number = re.search(r"v=([\w.]+)", said)
    name = "Valkey" if "valkey" in said.lower() else "Redis"
    return f"{name} {number[1] if number else said.strip()}"


def _field(path: str, name: str) -> str:
    """The first value of a field in a file of `name : value` lines; empty where there is none."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(rf"^{re.escape(name)}\s*:\s*(.*)$", text, re.MULTILINE)
    return found[1] if found else ""


def _gib(kib: str) -> str:
    return f"{int(kib.split(maxsplit=1)[0]) / 1024 / 1024:.0f} GiB" if kib else "unknown"
