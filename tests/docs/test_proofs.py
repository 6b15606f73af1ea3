"""What the documentation calls proved is a test that is there, and is expected to pass."""

import ast
import re
from functools import cache

import pytest

from tests.docs.markdown import ROOT, read

PAGES = sorted(str(page.relative_to(ROOT)) for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
RACES = "docs/races.md"
MATRIX = "docs/operations.md"
CITED_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
CITED_RACE = re.compile(r"races\.md,? (P?\d+b?)")
SOURCE = {".lua", ".md", ".py"}


@cache
def proofs_in(path: str) -> dict[str, str]:
    """The tests of a file, each with its decorators."""
    tree = ast.parse(read(path))
    return {
        node.name: " ".join(map(ast.unparse, node.decorator_list))
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def entries() -> dict[str, str]:
    """The races by their numbers."""
    _, *parts = re.split(r"^### ", read(RACES), flags=re.MULTILINE)
    return {part.partition(".")[0]: part for part in parts}


@pytest.mark.parametrize("page", PAGES)
def test_a_test_that_is_cited_exists_and_is_expected_to_pass(page: str) -> None:
    for path, name in CITED_TEST.findall(read(page)):
        assert (ROOT / path).is_file(), path
        assert name in proofs_in(path), f"{path}::{name}"
        assert not re.search(r"xfail|skip", proofs_in(path)[name]), f"{path}::{name} proves nothing yet"


def test_every_race_has_its_number_its_cure_and_its_proof() -> None:
    of_parties = [number for number in entries() if number.startswith("P")]
    assert of_parties == [f"P{number}" for number in range(1, len(of_parties) + 1)]
    numbers = [str(number) for number in range(1, len(entries()) - len(of_parties))]
    assert list(entries()) == [*numbers[:13], "13b", *numbers[13:], *of_parties]
    for number, text in entries().items():
        proof = text.partition("\n**Proof**: ")[2]
        assert "\n**Cure**: " in text, number
        assert CITED_TEST.search(proof) or "—" in proof, f"{number}: a test, or a word where there is none"


def test_a_race_that_is_cited_has_an_entry() -> None:
    folders = ("match_server", "lua", "tests", "docs", "test_client", "dedicated_server_stub", "benchmarks")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in SOURCE]
    cited = {(number, path) for path in files for number in CITED_RACE.findall(path.read_text(encoding="utf-8"))}
    assert cited
    assert {number for number, _ in cited} <= set(entries()), sorted(map(str, cited))


def test_every_row_of_the_fault_matrix_is_proved() -> None:
    section = read(MATRIX).partition("## Faults and their outcomes")[2].partition("### Not proved")[0]
    rows = [line for line in section.splitlines() if re.match(r"\| (?!---|fault \|)", line)]
    assert rows
    for row in rows:
        assert CITED_TEST.search(row.split("|")[3]), row


def test_every_fault_that_is_tested_stands_in_the_matrix() -> None:
    cited = set(CITED_TEST.findall(read(MATRIX)))
    for file in sorted((ROOT / "tests/faults").glob("test_*.py")):
        path = str(file.relative_to(ROOT))
        proofs = {name for name, decorators in proofs_in(path).items() if "xfail" not in decorators}
        assert proofs <= {name for cited_path, name in cited if cited_path == path}, path
