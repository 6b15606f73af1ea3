"""Write anew what follows from the code, the tables and asyncapi.yaml: `python -m tests.docs`."""

from tests.docs import asyncapi
from tests.docs.markdown import ROOT, read, table_after
from tests.docs.tables import TABLES

for (page, marker), make in TABLES.items():
    head = f"<!-- {marker} -->\n"
    text = read(page).replace(head + table_after(page, marker), head + make())
    (ROOT / page).write_text(text, encoding="utf-8")

(ROOT / asyncapi.PAGE).write_text(asyncapi.page(), encoding="utf-8")
