import base64
import hashlib
import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from jinja2 import UndefinedError

from experiments.html import Markup, fill, read, render
from experiments.html.colours import COLOURS
from tests.contrast import contrast

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!-- <script>",
    "a\u2028b\u2029c",
    "&lt;b&gt; &amp; 'x' \"y\"",
    "]]></style><img src=http://example.org/x onerror=alert(1)>",
    "\x00\x07 café 映画 🎬",
]


class Document(HTMLParser):
    """The elements of a document as a browser finds them, and what stands in them."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.elements, self.comments, self.is_open = [], 0, False
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), ""))
        self.is_open = True

    def handle_endtag(self, tag):
        self.is_open = False

    def handle_data(self, data):
        if self.is_open:
            tag, attributes, text = self.elements[-1]
            self.elements[-1] = (tag, attributes, text + data)

    def handle_comment(self, data):
        self.comments += 1

    def all(self, tag):
        return [(attributes, text) for name, attributes, text in self.elements if name == tag]


def data_of(source):
    (text,) = [text for attributes, text in Document(source).all("script") if attributes.get("id") == "data"]
    return json.loads(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_becomes_a_part_of_the_document(text):
    body = Markup("<p>{}</p>")
    plain = render("title", body.format("x"), {})
    page = render(text, body.format(text), {text: [text, {"a": text}]})
    tags = [tag for tag, *_ in Document(page).elements]
    assert tags == [tag for tag, *_ in Document(plain).elements]
    assert Document(page).comments == 0
    assert data_of(page) == {text: [text, {"a": text}]}
    # HTML itself has no NUL: the parser of a browser replaces it.
    assert Document(page).all("title")[0][1] == text
    assert "\u2028" not in page.split('id="data">')[1].split("</script>")[0]


def test_data_comes_back_as_it_was_but_for_numbers_that_json_does_not_have():
    data = {
        "a": math.nan,
        "b": [math.inf, -math.inf, 1.5, 2, True, None],
        "c": np.array([[0.1, np.nan]]),
        3: np.int64(4),
    }
    assert data_of(render("", Markup(), data)) == {
        "a": None,
        "b": [None, None, 1.5, 2, True, None],
        "c": [[0.1, None]],
        "3": 4,
    }
    random = np.random.default_rng(0).normal(size=100)
    np.testing.assert_array_equal(data_of(render("", Markup(), {"x": random}))["x"], random)


def test_half_a_surrogate_pair_does_not_keep_a_page_from_being_written():
    assert data_of(render("", Markup(), {"x": "a\ud800b"})) == {"x": "a?b"}


def test_the_policy_names_the_hash_of_each_script_and_nothing_else_runs():
    page = render(
        "t", Markup("<script>alert(1)</script>"), {}, [read("charts.js"), "let a = 1;\r\nlet b = 2;\r\n", "b = 'é';"]
    )
    document = Document(page)
    (policy,) = [each["content"] for each, _ in document.all("meta") if "http-equiv" in each]
    allowed = set(re.search(r"script-src ([^;]*);", policy)[1].split())
    in_body, _data, *programs = [text for _, text in document.all("script")]
    hashes = ["'sha256-" + base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() + "'" for each in programs]
    assert allowed == set(hashes)
    assert len(hashes) == 3
    assert programs[1:] == ["let a = 1;\nlet b = 2;\n", "b = 'é';"]
    assert in_body == "alert(1)"
    assert "default-src 'none'" in policy


def test_the_page_loads_nothing():
    page = render("t", Markup(), {"x": 1}, [read("charts.js"), "let a = 1;"], ["b { color: red }"])
    assert re.findall(r"https?://[^\"'\s]*", page) == ["http://www.w3.org/2000/svg"]  # the name of SVG, not a place
    assert not re.search(r"\b(src|href|action)\s*=|url\(|@import|\bfetch\(|XMLHttpRequest|import\(", page)
    assert "b { color: red }" in Document(page).all("style")[0][1]


def test_without_a_script_none_may_run():
    page = render("t", Markup("<script>alert(1)</script>"))
    (policy,) = [each["content"] for each, _ in Document(page).all("meta") if "http-equiv" in each]
    assert "script-src 'none'" in policy
    assert len(Document(page).all("script")) == 1  # the body's


@pytest.mark.parametrize("text", HOSTILE)
def test_a_plain_string_is_escaped_wherever_it_stands(text, tmp_path):
    (tmp_path / "own.html").write_text(
        '<p title="{{ it }}">{{ it }}</p>{% from "parts.html" import table %}{{ table(all) }}'
    )
    table = {"caption": text, "head": [text, text], "rows": [[text, text]]}
    filled, plain = fill(tmp_path / "own.html", it=text, all=table), fill(tmp_path / "own.html", it="x", all=table)
    tags = [tag for tag, *_ in Document(filled).elements]
    assert tags == [tag for tag, *_ in Document(plain).elements]
    assert tags == ["p", "div", "table", "caption", "thead", "tr", "th", "th", "tbody", "tr", "th", "td"]
    assert Document(filled).all("p") == [({"title": text}, text)]
    assert all(content == text for tag, _, content in Document(filled).elements if tag in ("caption", "td"))
    assert Document(render("t", text)).all("main")[0][1] == text


def test_a_value_that_a_template_lacks_is_an_error(tmp_path):
    (tmp_path / "own.html").write_text("{{ there }} {{ absent }}")
    with pytest.raises(UndefinedError, match="absent"):
        fill(tmp_path / "own.html", there=1)


@pytest.mark.parametrize("scripts, styles", [(["'</ScRipt>'"], []), ([], ["</style>"]), (["<!-- x"], [])])
def test_a_script_that_would_end_its_element_is_refused(scripts, styles):
    with pytest.raises(ValueError, match="write it in two parts"):
        render("t", Markup(), {}, scripts, styles)


@pytest.mark.parametrize("theme", [0, 1])
def test_contrast_is_enough_in_the_light_and_in_the_dark(theme):
    (style,) = Document(render("", Markup())).all("style")
    block = re.findall(r":root \{([^}]*)\}", style[1])[theme]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
    assert colours == {name: pair[theme] for name, pair in COLOURS.items()}
    assert len(colours) == 12
    for name, least in [
        ("text", 7),
        ("muted", 4.5),
        ("accent", 4.5),
        ("positive", 4.5),
        ("negative", 4.5),
        ("curve", 4.5),
    ]:
        for ground in ("background", "surface"):
            assert contrast(colours[name], colours[ground]) >= least, (name, ground)
