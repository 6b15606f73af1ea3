"""What stands in a `.env` file and sets nothing: a line that is broken may have been meant to set a key."""

from pathlib import Path

from dotenv.parser import parse_stream


def broken_lines(path: Path) -> list[str]:
    """One sentence for each line that cannot be read; none without such a file.

    Raises:
        UnicodeDecodeError: the file is not UTF-8.
    """
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as file:
        broken = [binding.original.line for binding in parse_stream(file) if binding.error]
    return [f"{path}, line {line}: expected NAME=value" for line in broken]
