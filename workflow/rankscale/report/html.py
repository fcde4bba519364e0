"""Texts and tables as pages for the report."""

import re

import pandas as pd
from markdown_it import MarkdownIt

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title><style>
.scroll {{ overflow-x: auto; max-width: 100% }} @media print {{ .scroll {{ overflow: visible }} }}
body {{ font: 14px/1.5 system-ui, sans-serif; margin: 1.5em; color: #111; background: #fff }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .8em 0 }}
th, td {{ padding: .2em .7em; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap }}
th:first-child, td:first-child {{ text-align: left }}
th {{ border-bottom: 2px solid #888; position: sticky; top: 0; background: #fff }}
td:last-child {{ white-space: normal; text-align: left; min-width: 9em }}
p, li {{ max-width: 60em }}
</style></head><body>{body}</body></html>
"""


def page(title: str, table: pd.DataFrame) -> str:
    """A table as an HTML page of its own."""
    filled = table.dropna(axis=1, how="all")
    body = filled.to_html(index=False, na_rep="", border=0, float_format=lambda v: f"{v:.4g}")
    return PAGE.format(title=title, body=f"<h1>{title}</h1>{_scrolling(body)}")


def text_page(title: str, text: str) -> str:
    """A text in Markdown as an HTML page of its own; HTML in it is shown, not run."""
    shown = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    return PAGE.format(title=title, body=_scrolling(shown))


def _scrolling(body: str) -> str:
    """The tables of a body, each in a box that scrolls by itself: a wide one does not widen the page."""
    box = '<div class="scroll" tabindex="0" role="region" aria-label="table">'
    return re.sub("<table", f"{box}<table", body).replace("</table>", "</table></div>")


def without_tags(text: str) -> str:
    """A text in Markdown in which no "<" begins a tag, whatever shows it."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text)


def report_pages(read: dict[str, pd.DataFrame], summary: str) -> dict[str, str]:
    """The pages of a report by name: each table, and the summary, whose figures stand beside it there."""
    shown = "\n".join(line for line in summary.splitlines() if not line.startswith("!["))
    return {
        **{name: page(name.capitalize(), table) for name, table in read.items()},
        "summary": text_page("Summary", shown),
    }
