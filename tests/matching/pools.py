"""Random pools of tickets and random modes, for the property tests."""

from typing import Any

from hypothesis import strategies as st

from match_server.matching.modes import GameMode
from match_server.matching.tables import parse_modes
from match_server.matching.tickets import Meeting, Member, Ticket

NOW = 1_000.0
ATTRIBUTES = {
    "rating": {"type": "number"},
    "build": {"type": "text"},
    "maps": {"type": "list"},
    "latency": {"type": "latencies"},
    "blocked": {"type": "list", "default": []},
    "roles": {"type": "list", "default": []},
}


def mode_of(**table: Any) -> GameMode:
    """A mode of this table of the file."""
    return parse_modes({"mode": table}, ATTRIBUTES)[0]


def solo(number: int, *, waited: float = 0.0, met: tuple[Meeting, ...] = (), **attributes: Any) -> Ticket:
    """A single player's ticket with everything that the modes here read."""
    given: dict[str, Any] = {"rating": 1500.0, "build": "a", "maps": ("x",), "latency": {"eu": 20.0}} | attributes
    return Ticket(f"t{number}", (Member(f"p{number}", given, met),), NOW - waited)


def party(number: int, size: int, *, waited: float = 0.0, ratings: tuple[float, ...] = (), **attributes: Any) -> Ticket:
    """A party's ticket."""
    given: dict[str, Any] = {"rating": 1500.0, "build": "a", "maps": ("x",), "latency": {"eu": 20.0}} | attributes
    members = tuple(Member(f"p{number}.{m}", given | ({"rating": ratings[m]} if ratings else {})) for m in range(size))
    return Ticket(f"t{number}", members, NOW - waited)


@st.composite
def widenings(draw: st.DrawFn, scale: int) -> dict[str, Any]:
    """A limit and how it widens."""
    first = draw(st.integers(0, scale))
    table: dict[str, Any] = {"max": first}
    match draw(st.sampled_from(["fixed", "steps", "second", "second up to"])):
        case "steps":
            table["widen"] = [{"after_seconds": 10, "max": 2 * first}, {"after_seconds": 30, "max": 5 * first}]
        case "second":
            table["widen_per_second"] = draw(st.sampled_from([0.5, 7]))
        case "second up to":
            table |= {"widen_per_second": 3, "up_to": 2 * first + 10}
    if draw(st.booleans()):
        table["age"] = draw(st.sampled_from(["ticket", "oldest"]))
    if draw(st.integers(0, 4)) == 0:
        table["optional_after_seconds"] = 40
    return table


@st.composite
def rule_lists(draw: st.DrawFn, *, teams: bool) -> list[dict[str, Any]]:
    """Some rules."""
    optional = st.sampled_from([{}, {}, {"optional_after_seconds": 20}])
    kinds: dict[str, st.SearchStrategy[dict[str, Any]]] = {
        "difference": widenings(300).map(lambda table: table | {"attribute": "rating"}),
        "latency": widenings(80).map(lambda table: table | {"attribute": "latency"}),
        "same": optional.map(lambda table: table | {"attribute": "build"}),
        "common": optional.map(lambda table: table | {"attribute": "maps"}),
        "apart": optional.map(lambda table: table | {"attribute": "blocked"}),
        "rematch": st.sampled_from([{"within_seconds": 60}, {"within_seconds": 60, "with_teammates": True}]),
    }
    if teams:
        kinds["team_difference"] = widenings(80).map(lambda table: table | {"attribute": "rating"})
        kinds["party_balance"] = st.just({"max": 1, "optional_after_seconds": 30})
    chosen = draw(st.lists(st.sampled_from(sorted(kinds)), max_size=4, unique=True))
    return [{"kind": kind} | draw(kinds[kind]) for kind in chosen]


@st.composite
def members(draw: st.DrawFn, player_id: str) -> Member:
    """A player with everything that rules read."""
    regions = draw(st.lists(st.sampled_from(["eu", "us", "asia"]), unique=True, max_size=3))
    others = st.integers(0, 12).map(lambda number: f"p{number}.0")
    return Member(
        player_id,
        {
            "rating": float(draw(st.integers(1000, 2000))),
            "build": draw(st.sampled_from(["a", "a", "a", "b"])),
            "maps": tuple(draw(st.lists(st.sampled_from("xyz"), unique=True, min_size=1))),
            "latency": {region: float(draw(st.integers(0, 150))) for region in regions},
            "blocked": tuple(draw(st.lists(others, unique=True, max_size=1))),
            "roles": tuple(draw(st.lists(st.sampled_from(["tank", "healer", "damage"]), unique=True))),
        },
        tuple(Meeting(other, NOW - draw(st.integers(0, 100))) for other in draw(st.lists(others, max_size=1))),
    )


@st.composite
def tickets(draw: st.DrawFn, *, most: int, party_max: int = 1) -> list[Ticket]:
    """A pool of tickets."""
    count = draw(st.integers(0, most))
    pool = []
    for number in range(count):
        size = min(draw(st.sampled_from([1, 1, 1, 2, 2, 3, 4, 5])), party_max)
        players = tuple(draw(members(f"p{number}.{member}")) for member in range(size))
        pool.append(Ticket(f"t{number}", players, NOW - draw(st.integers(0, 50))))
    return pool


@st.composite
def modes(draw: st.DrawFn) -> GameMode:
    """A mode of any form."""
    form: dict[str, Any] = draw(
        st.sampled_from(
            [
                {"players": 2},
                {"players": 3, "party_max": 2},
                {"teams": {"a": 1, "b": 1}},
                {"teams": {"a": 2, "b": 2}, "party_max": 4},
                {"teams": {"a": 3, "b": 2}, "party_max": 3},
                {"teams": {"a": 2, "b": 2, "c": 2}, "party_max": 2},
                {"players": {"min": 3, "max": 6, "fill_seconds": 20}, "party_max": 3},
                {"teams": {"a": 2, "b": 2}, "roles": {"a": {"tank": 1, "damage": 1}, "b": {"tank": 1, "damage": 1}}},
                {"teams": {"a": 3}, "roles": {"a": {"tank": 1, "healer": 1, "damage": 1}}, "party_max": 3},
            ]
        )
    )
    return mode_of(**form, rules=draw(rule_lists(teams=len(form.get("teams", {})) > 1)))
