"""The service's own Lua, with the two functions replaced that a seed must decide: the clock and the pop."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from match_server.store.scripts import Script, load_scripts

CLOCK_KEY = "simulation:us"  # beside the pool's keys: an emptied pool keeps its time

_CLOCK = """  local time = call('TIME')
  local redis_us = time[1] * 1000000 + time[2]
"""
_SEEDED_CLOCK = f"""  local redis_us = tonumber(call('GET', '{CLOCK_KEY}'))
"""
_POP = """  return call('SPOP', queue, count)
"""
_SEEDED_POP = """  local members, popped = call('SMEMBERS', queue), {}
  table.sort(members)
  for i = 1, math.min(count, #members) do
    local pick = 1 + tonumber(string.sub(redis.sha1hex(seed .. i), 1, 8), 16) % #members
    popped[i] = table.remove(members, pick)
    call('SREM', queue, popped[i])
  end
  return popped
"""


class NotFound(Exception):
    """The text to be replaced is not where it was: somebody changed the Lua, and has to change this file too."""


def simulated_scripts(planted: Mapping[str, str] | None = None) -> dict[str, Script]:
    """Every script, seeded. `planted` replaces further texts: bugs that the simulation is to find.

    Raises:
        NotFound: a text to be replaced stands in no script, or one that has it has it twice.
    """
    return _replace(_replace(load_scripts(), {_CLOCK: _SEEDED_CLOCK, _POP: _SEEDED_POP}), planted or {})


def _replace(scripts: dict[str, Script], texts: Mapping[str, str]) -> dict[str, Script]:
    for old, new in texts.items():
        counts = {name: script.text.count(old) for name, script in scripts.items()}
        if not any(counts.values()) or max(counts.values()) > 1:
            raise NotFound(f"expected once in at least one script: {old.strip()!r}")
        scripts = {
            name: _with_text(script, script.text.replace(old, new)) if counts[name] else script
            for name, script in scripts.items()
        }
    if left := [name for name, script in scripts.items() if "'TIME'" in script.text or "'SPOP'" in script.text]:
        raise NotFound(f"scripts that ask for chance or time elsewhere: {', '.join(left)}")
    return scripts


def _with_text(script: Script, text: str) -> Script:
    return replace(script, text=text, sha=hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
