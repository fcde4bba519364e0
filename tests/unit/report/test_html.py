"""Names that are HTML are shown in pages and never run."""

import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from rankscale.report.html import page, text_page, without_tags

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "<!--",
    "<svg/onload=alert(1)>",
    "[x](javascript:alert(1))",
)


class Tags(HTMLParser):
    """The tags of a page, and its links."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.comments = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.links += [value for name, value in attributes if name == "href"]

    def handle_comment(self, data):
        self.comments.append(data)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_split_s_name_is_text_in_every_page(name):
    table = pd.DataFrame({"split": [name], "loss": [1.0]})
    plain = Tags(text_page("Summary", "# a\n\nb\n\n|a|b|\n|-|-:|\n|c|d|\n"))
    for text in (f"# Study\n\n{name} queries\n\n{name}", f"a {name} b\n\n{table.to_markdown(index=False)}"):
        for written in (text, without_tags(text)):
            hostile = Tags(text_page("S", written))
            assert hostile.tags <= plain.tags
            assert not hostile.links
            assert not hostile.comments
        assert not re.search("<[a-zA-Z/!]", without_tags(text))
    assert Tags(page("Metrics", table)).tags == Tags(page("Metrics", table.assign(split="test"))).tags


def test_a_smaller_than_stays():
    assert without_tags("p < 0.05, x <= 2, 1<2") == "p < 0.05, x <= 2, 1<2"
