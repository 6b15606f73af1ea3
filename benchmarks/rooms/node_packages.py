"""The packages of the Node side, installed once into a cache folder outside of this repository."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.load.processes import BenchmarkError

SOURCES = Path(__file__).parent / "node"
_INSTALL_SECONDS = 300
_LISTS = ("package.json", "package-lock.json")
_NPM_CI = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error")


def missing() -> list[str]:
    """The programs that this machine lacks."""
    return [program for program in ("node", "npm") if shutil.which(program) is None]


def install() -> Path:
    """Install what the lock file names, unless it is there; return its `node_modules`.

    Raises:
        BenchmarkError: npm failed; the text has its last words.
    """
    digest = hashlib.sha256(b"".join((SOURCES / name).read_bytes() for name in _LISTS)).hexdigest()[:16]
    folder = _cache() / f"rooms-{digest}"
    done = folder / "installed"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in _LISTS:
            shutil.copy(SOURCES / name, folder)
        npm = subprocess.run(_NPM_CI, cwd=folder, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
        if npm.returncode:
            raise BenchmarkError(f"npm ci failed: {npm.stderr.strip()[-1000:]}")
        done.touch()
    return folder / "node_modules"


def lay_out(folder: Path, modules: Path) -> None:
    """Put the programs into a folder where they find their packages."""
    for source in SOURCES.glob("*.mjs"):
        shutil.copy(source, folder)
    (folder / "node_modules").symlink_to(modules)


def _cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "match-server-benchmarks"
