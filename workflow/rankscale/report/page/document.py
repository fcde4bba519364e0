"""The report as one page that opens anywhere: the answer first, figures in the text, one of them to explore."""

import base64
import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from rankscale.report.figures.registry import FIGURES
from rankscale.report.page.library import packed_library

HERE = Path(__file__).parent
ANSWER = "The answer"
LONG = 45  # letters of a cell from which it wraps
PICTURE = re.compile(r"^!\[([^]]*)\]\([^)]*\)$", re.MULTILINE)
# Only "<" and "&" could end a script or begin a comment in it.
IN_SCRIPT = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


def page(summary: str, data: Mapping[str, Any], figures: Mapping[str, str]) -> str:
    """The page of a study, as HTML that needs nothing beside it.

    `summary` is its text in Markdown, in which no "<" begins a tag; `data` what `figure_data` makes; `figures` the
    drawn ones by name, as SVG. Raises ModuleNotFoundError where plotly is not installed.
    """
    top, *sections = re.split(r"^## ", summary, flags=re.MULTILINE)
    titles = [section.partition("\n")[0] for section in sections]
    left = dict(figures)
    body = [_markdown(top)]
    for number, section in enumerate(sections):
        title, _, text = section.partition("\n")
        if title == ANSWER:
            before, _, after = _split_at_picture(text)
            static = _figure("model_scale", left.pop("model_scale")) if "model_scale" in left else ""
            content = _markdown(before) + _explorer(data, static) + _markdown(after)
        else:
            mine = [name for name in left if FIGURES[name].section and title.startswith(FIGURES[name].section)]
            content = _markdown(text) + "".join(_figure(name, left.pop(name)) for name in mine)
        body.append(_section(number, title, content))
        if title == ANSWER:
            body.append(_contents(titles, bool(left)))
    if left:
        body.append(_section(len(sections), "More figures", "".join(_figure(*item) for item in left.items())))
    name = top.strip().partition("\n")[0].removeprefix("# ")
    return PAGE.format(
        title=html.escape(html.unescape(name)),
        style=(HERE / "page.css").read_text(encoding="utf-8"),
        body="\n".join(body),
        data=json.dumps(data, allow_nan=False, separators=(",", ":")).translate(IN_SCRIPT),
        library=packed_library(),
        script=(HERE / "page.js").read_text(encoding="utf-8"),
    )


def _split_at_picture(text: str) -> tuple[str, str, str]:
    """What stands before and after the first picture of a text, which the page draws itself."""
    found = PICTURE.search(text)
    return (text, "", "") if found is None else (text[: found.start()], found[0], text[found.end() :])


def _markdown(text: str) -> str:
    """A text in Markdown as HTML, its tables each in a box of its own that scrolls; HTML in it is shown, not run."""
    shown = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    shown = shown.replace("<th", '<th scope="col"').replace('<th scope="col"ead', "<thead")
    # A sentence in a cell wraps, where numbers do not.
    shown = re.sub(rf"<td([^>]*)>(?=[^<]{{{LONG},}}</td>)", r'<td class="long"\1>', shown)
    opened = '<div class="scroll" tabindex="0" role="region" aria-label="table"><table>'
    return shown.replace("<table>", opened).replace("</table>", "</table></div>")


def _section(number: int, title: str, content: str) -> str:
    return f'<section id="s{number}"><h2>{_inline(title)}</h2>{content}</section>'


def _contents(titles: list[str], more: bool) -> str:
    titles = [*titles, *(["More figures"] if more else [])]
    links = "".join(f'<li><a href="#s{number}">{_inline(title)}</a></li>' for number, title in enumerate(titles))
    return f'<nav aria-label="Contents"><ul>{links}</ul></nav>'


def _inline(text: str) -> str:
    return MarkdownIt("commonmark", {"html": False}).renderInline(text)


def _figure(name: str, svg: str) -> str:
    """A drawn figure, as a picture: whatever its text holds, nothing in it runs."""
    title = FIGURES[name].title
    source = base64.b64encode(svg.encode()).decode()
    picture = f'<img alt="{html.escape(title)}" src="data:image/svg+xml;base64,{source}">'
    box = f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(title)}">{picture}</div>'
    return f"<figure>{box}<figcaption>{html.escape(title)}.</figcaption></figure>"


def _explorer(data: Mapping[str, Any], static: str) -> str:
    """The figure that is drawn from data: its choices, and the static one where no script runs."""
    choices = [
        _choice("test", "Test set", [(number, test["label"]) for number, test in enumerate(data["tests"])]),
        _choice("variant", "Trained by", [(name, name) for name in data["variants"]]),
        _choice("metric", "Metric", [(metric["name"], metric["label"]) for metric in data["metrics"]]),
        _choice("axis", "Over", [(axis["name"], axis["label"]) for axis in data["axes"]]),
        _choice("slice", "Laws", [("", "")]),
    ]
    laws = "".join(_tick(f"law-{law['name']}", law["label"], True) for law in data["laws"])
    looks = _tick("bands", "bands", True) + _tick("intervals", "intervals of points", True)
    scales = _tick("log-x", "logarithmic axis", True) + _tick("log-y", "logarithmic metric", True)
    return EXPLORER.format(choices="".join(choices), laws=laws, looks=looks, scales=scales, static=static)


def _choice(name: str, label: str, options: list[tuple[Any, str]]) -> str:
    """A menu; hidden where there is nothing to choose."""
    hidden = " hidden" if len(options) < 2 and name != "slice" else ""
    inner = "".join(f'<option value="{html.escape(str(v))}">{html.escape(text)}</option>' for v, text in options)
    return f'<label{hidden}>{label} <select name="{name}">{inner}</select></label>'


def _tick(name: str, label: str, on: bool) -> str:
    box = f'<input type="checkbox" name="{html.escape(name)}"{" checked" if on else ""}>'
    return f"<label>{box} {html.escape(label)}</label>"


EXPLORER = """<figure id="explorer"><form hidden aria-label="What the figure shows">
<div class="menus">{choices}</div>
<fieldset><legend>Shown</legend>{laws}{looks}{scales}</fieldset></form>
<div id="chart" role="img" aria-label="Figure">{static}</div>
<figcaption id="figure-says"></figcaption>
<p id="point" aria-live="polite"></p>
<details id="points" hidden><summary>The points of this figure as a table</summary>
<div class="scroll" tabindex="0" role="region" aria-label="Points of the figure"><table></table></div></details>
</figure>"""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head>
<body><main>{body}</main>
<script type="application/json" id="figure-data">{data}</script>
<script type="text/plain" id="library">{library}</script>
<script>{script}</script></body></html>
"""
