import pytest

from tests.docs.markdown import table_after
from tests.docs.tables import TABLES


@pytest.mark.parametrize(("page", "marker"), TABLES)
def test_a_table_says_what_the_code_does(page: str, marker: str) -> None:
    assert table_after(page, marker) == TABLES[page, marker](), "python -m tests.docs writes it anew"
