"""The file that docs/matching.md begins with is a good one, and its table names every kind of rule."""

import re
import tomllib
from typing import get_args

from match_server.matching.rules import Rule
from match_server.matching.tables import parse_modes
from tests.docs.markdown import ROOT

PAGE = (ROOT / "docs/matching.md").read_text(encoding="utf-8")


def test_the_file_is_a_good_one() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tables,) = (tomllib.loads(block) for block in blocks)
    modes = parse_modes(tables["game_modes"], tables["attributes"])
    assert all(mode.by_rules for mode in modes)
    for mode in modes:
        assert f"| `{mode.name}` |" in PAGE, "its figures"


def test_every_kind_of_rule_stands_in_the_table() -> None:
    kinds = {get_args(rule.model_fields["kind"].annotation)[0] for rule in get_args(Rule)}
    assert kinds == set(re.findall(r"^\| `([a-z_]+)` \| [^|]+ \| [^|]*`[^|]* \|$", PAGE, re.MULTILINE)) & kinds
