"""Reads the documentation: its marked code blocks, its tables."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def marked(path: str, marker: str) -> str:
    """The code block that follows `<!-- marker -->`."""
    found = re.search(rf"^<!-- {re.escape(marker)} -->\n```\w*\n(.*?)^```$", read(path), re.DOTALL | re.MULTILINE)
    assert found, f"{path} has no code block marked {marker}"
    return found[1]


def blocks(path: str, language: str) -> list[str]:
    """Every code block of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", read(path), re.DOTALL | re.MULTILINE)


def table_after(path: str, marker: str) -> str:
    """The table that follows `<!-- marker -->`."""
    found = re.search(rf"^<!-- {re.escape(marker)} -->\n((?:\|.*\n)*)", read(path), re.MULTILINE)
    assert found, f"{path} has no table marked {marker}"
    return found[1]


def code(text: str) -> str:
    return f"`{text}`" if text else ""
