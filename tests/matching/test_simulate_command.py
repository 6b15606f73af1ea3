"""`match-server simulate`, as a designer of games meets it."""

import csv
import json
from pathlib import Path

import pytest

from tests.matching.modes_page import TEXT
from tests.shared.node import run

TRIAL = ("--players-per-minute", "60", "--minutes", "5", "--seed", "7")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "modes.toml").write_text(TEXT)
    return tmp_path


def simulate(folder: Path, *options: str) -> str:
    told = run("match_server", "simulate", "modes.toml", *options, folder=folder)
    assert told.returncode == 0, told.stderr
    return told.stdout


@pytest.mark.parametrize("mode", ["ranked_duel", "ranked_5v5", "raid", "royale"])
def test_every_mode_of_the_page_forms_matches(folder: Path, mode: str) -> None:
    simulate(folder, "--mode", mode, *TRIAL, "--json", "out.json")
    (figures,) = json.loads((folder / "out.json").read_text())
    assert figures["matches"] > 0
    assert figures["players"]["matched"] > figures["players"]["unmatched"]


def test_the_same_seed_gives_the_same_bytes(folder: Path) -> None:
    outputs = []
    for name in ("first", "second"):
        files = [f"{name}.{kind}" for kind in ("csv", "json", "html")]
        options = ("--matches", files[0], "--json", files[1], "--html", files[2])
        text = simulate(folder, "--mode", "ranked_5v5", *TRIAL, *options)
        outputs.append([text.encode(), *((folder / file).read_bytes() for file in files)])
    assert outputs[0] == outputs[1]
    assert b"http" not in outputs[0][3], "the page loads nothing from elsewhere"


def test_a_trace_is_tried_with_two_files(folder: Path) -> None:
    (folder / "wide.toml").write_text(
        TEXT.replace("max = 50,", "max = 500,").replace("max = 150", "max = 600").replace("max = 400", "max = 700")
    )
    (folder / "trace.csv").write_text(
        "at_seconds,player_id,party_id,rating,cancel_at_seconds\n1,a,,1000,\n2,b,,1400,\n3,c,,2500,4\n4.5,d,,2500,\n"
    )
    simulate(
        folder, "--mode", "ranked_duel", "--trace", "trace.csv", "--compare", "wide.toml",
        "--json", "out.json", "--matches", "matches.csv",
    )  # fmt: skip
    narrow, wide = json.loads((folder / "out.json").read_text())
    assert (narrow["matches"], wide["matches"]) == (0, 1)
    assert narrow["players"] == {"matched": 0, "gave_up": 1, "unmatched": 3}
    with (folder / "matches.csv").open() as file:
        assert list(csv.DictReader(file)) == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--mode", "duel"), "--mode: expected one of Normal_1v1, ranked_duel,"),
        (("--mode", "Normal_1v1"), "--mode: Normal_1v1 is drawn at random"),
        (("--mode", "ranked_duel", "--trace", "none.csv"), "--trace: none.csv:"),
        (
            ("--mode", "ranked_duel", "--trace", "typo.csv"),
            "--trace: line 1: 'ratng': no such column; did you mean rating?",
        ),
        (("--mode", "ranked_duel", "--trace", "other.csv"), "--trace: line 1: 'when': no such column; expected some"),
        (("--mode", "ranked_duel", "--trace", "short.csv"), "--trace: line 1: expected a column player_id, and any of"),
        (("--mode", "ranked_duel", "--html", "none/page.html"), "--html: none/page.html: No such file or directory"),
        (("--mode", "ranked_duel", "--minutes", "9999", "--json", "."), "--json: .: Is a directory"),
    ],
)
def test_a_wrong_option_is_one_line_and_status_2(folder: Path, options: tuple[str, ...], told: str) -> None:
    for name, header in {
        "typo": "at_seconds,player_id,ratng",
        "other": "when,who",
        "short": "at_seconds,rating",
    }.items():
        (folder / f"{name}.csv").write_text(f"{header}\n1,a,1500\n")
    ended = run("match_server", "simulate", "modes.toml", *options, folder=folder)
    assert ended.returncode == 2
    assert ended.stderr.startswith(told)
