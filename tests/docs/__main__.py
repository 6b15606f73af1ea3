"""Write the tables anew: `python -m tests.docs`."""

from tests.docs.markdown import ROOT, read, table_after
from tests.docs.tables import TABLES

for (page, marker), make in TABLES.items():
    head = f"<!-- {marker} -->\n"
    text = read(page).replace(head + table_after(page, marker), head + make())
    (ROOT / page).write_text(text, encoding="utf-8")
