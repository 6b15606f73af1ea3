"""What the documentation points at is there: links, files, scripts, functions."""

import re

import pytest

from tests.docs.markdown import ROOT, read

PAGES = sorted(str(page.relative_to(ROOT)) for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def anchors(path: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", read(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", read(page)):
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(str(file.resolve().relative_to(ROOT))), target


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page: str) -> None:
    for name in re.findall(r"`((?:[a-z_]+/)+[\w.]*)`", read(page)):
        assert (ROOT / name).exists(), name


def test_what_the_architecture_names_exists() -> None:
    text = read("docs/architecture.md")
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "match_server").rglob("*.py"))
    for owner, method in re.findall(r"`([A-Z]\w+)\.(\w+)`", text):
        body = re.split(rf"\nclass {owner}\b", source)[1].partition("\nclass ")[0]
        assert re.search(rf"def {method}\(", body), f"{owner}.{method}"
    for name in re.findall(r"`([a-z_]+\.py)`", text):
        assert list((ROOT / "match_server").rglob(name)), name
    scripts = {path.stem for path in (ROOT / "lua").glob("*/*.lua")}
    chart = text.partition("```mermaid\n")[2].partition("```")[0]
    named = {word for label in re.findall(r": (.*)", chart) for word in re.findall(r"\b[a-z]+_[a-z]+\b", label)}
    assert named
    assert named <= scripts


@pytest.mark.parametrize("page", PAGES)
def test_a_lua_function_stands_where_a_page_says(page: str) -> None:
    for function, path in re.findall(r"`(\w+)`\s+in\s+`(lua/[\w/]+\.lua)`", read(page)):
        assert re.search(rf"^local function {function}\(", read(path), re.MULTILINE), f"{function} in {path}"
