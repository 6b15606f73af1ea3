"""From measured rows to JSON, the bars and the document."""

from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.load.bars import BARS, judge
from benchmarks.load.cases.catalogue import CASES
from benchmarks.load.cases.paced import latencies
from benchmarks.load.generator import Journey
from benchmarks.load.markdown import BEGIN, END, rewrite
from benchmarks.load.processes import BenchmarkError
from benchmarks.load.report import print_table, shown
from benchmarks.load.results import Result
from benchmarks.load.run import Run


@pytest.fixture
def run() -> Run:
    rows = [
        {"matches_per_second": speed, "players_left": 0.0, "node_cpu_us_per_match": 300.0, "redis_cpu_us_per_match": 90}
        for speed in (900.0, 1000.0, 1200.0)
    ]
    burst = Result.of("burst-5000", "a burst", rows, naive=[{"matches_per_second": 80.0}])
    waiting = Result.of(
        "waiting-100000", "waiting", [{"tick_median_us": 20.0, "put_back_seconds": 11.0}], notes=["a note"]
    )
    echo = Result.of("echo", "echoes", (), bare=[{"node_cpu_us_per_message": 15.0}])
    return Run(
        command="python -m benchmarks",
        started="2026-01-01T00:00:00+00:00",
        machine={"cores": "2"},
        versions={"CPython": "3.11.7"},
        layout="nodes on core 0",
        results=[burst, waiting, echo],
        failed={},
    )


def test_a_result_is_medians_with_their_spread_and_ratios(run: Run) -> None:
    burst = run.results[0]
    assert burst.figures["matches_per_second"] == 1000.0
    assert burst.spread["matches_per_second"] == (900.0, 1200.0)
    assert burst.to_naive == {"matches_per_second": 12.5}


def test_json_keeps_everything(run: Run, tmp_path: Path) -> None:
    run.write(tmp_path / "run.json")
    assert Run.read(tmp_path / "run.json") == run


@pytest.mark.parametrize("text", ["", "[]", '{"cases": []}'])
def test_another_file_is_refused_by_name(text: str, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(BenchmarkError, match=r"other\.json"):
        Run.read(tmp_path / "other.json")


def test_bars_are_judged_where_the_run_has_figures(run: Run) -> None:
    verdicts = {verdict.bar.text: verdict for verdict in judge(run.results)}
    assert verdicts["burst of 5,000, whole journey: matches/s over naive"].met
    assert not verdicts["100,000 waiting, Redis emptied: seconds until all are back"].met
    assert len(verdicts) < len(BARS)


def test_every_bar_names_a_case_that_exists() -> None:
    figures = _Anything()
    results = {case.name: Result(case=case.name, about="", repetitions=1, figures=figures) for case in CASES}
    for bar in BARS:
        if "bare" not in bar.text and "naive" not in bar.text:
            bar.read(results)


class _Anything(dict[str, float]):
    """Has every figure."""

    def __missing__(self, name: str) -> float:
        return 1.0

    def __contains__(self, name: object) -> bool:
        return True


def test_the_document_is_rewritten_between_its_markers(run: Run, tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    rewrite(document, run)
    once = document.read_text()
    assert once.startswith(f"before\n{BEGIN}\n")
    assert once.endswith(f"{END}\nafter\n")
    assert "old" not in once
    assert "| 12.5 |" in once
    assert "**no**" in once
    rewrite(document, run)
    assert document.read_text() == once


def test_a_document_without_markers_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("text")
    with pytest.raises(BenchmarkError, match=r"other\.md"):
        rewrite(tmp_path / "other.md", run)


def test_the_published_document_has_its_markers() -> None:
    text = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1


def test_the_table_names_each_figure(run: Run) -> None:
    console = Console(record=True, width=200, file=None)
    with console.capture() as captured:
        print_table(console, run.results, judge(run.results))
    for result in run.results:
        for name in result.figures:
            assert name in captured.get()


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0.0, "0"), (0.01234, "0.0123"), (3.14159, "3.14"), (1234.5, "1,234"), (-150, "-150")],
)
def test_shown(value: float | None, text: str) -> None:
    assert shown(value) == text


def test_latencies_count_from_the_player_that_fills_the_match() -> None:
    journeys = [
        Journey(due=0, sent=0, queued=2_000, started=11_000, found=20_000, session="a"),
        Journey(due=10_000, sent=10_500, queued=12_000, started=13_000, found=25_000, session="a"),
        Journey(due=11_000, sent=11_000, queued=12_000, started=None, found=None, session=""),
    ]
    found = latencies(journeys)
    assert found["queued_max_ms"] == 2
    assert found["start_loading_max_ms"] == 3
    assert found["match_found_max_ms"] == 15
    assert found["load_lag_p99_ms"] == 0.5
