"""HTML pages and the SVG of their figures."""

import base64
import io
import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from reading import ParsedPage

from moonas.views import page
from moonas.views.drawing import ACCENT, INK, QUIET, finish, one_plot
from moonas.views.tables import Table, to_html

EVIL = """<script>alert("1")</script> & 'x' </p>"""


def complex_figure():
    """A figure with many kinds of matplotlib artists."""
    rng = np.random.default_rng(0)
    figure = Figure(layout="constrained")
    one, two = figure.subplots(1, 2)
    drawn = one.scatter(*rng.random((2, 9)), s=np.arange(9) * 9 + 5, c=np.arange(9))
    figure.colorbar(drawn, ax=one)
    one.bar([0.2, 0.4], [0.5, 0.6], hatch="//", facecolor=QUIET, edgecolor=INK)
    one.annotate("there", (0.5, 0.5), (0.1, 0.1), arrowprops=dict(arrowstyle="-|>", color=QUIET))
    two.imshow(rng.random((3, 3)))
    two.plot([0, 2], [0, 2], color="black", marker="o", label="a line")
    two.fill_between([0, 1], [0, 1], [1, 2], color=ACCENT, alpha=0.3)
    two.set_title("$x^2$", color=INK)
    box = dict(boxstyle="round", fc="white", ec=INK)
    two.text(1, 1, "in a box", color=INK, bbox=box)
    finish(two)
    return figure


@pytest.fixture(scope="module")
def complex_svg():
    return page.svg(complex_figure())


def elements(svg):
    return list(ElementTree.fromstring(svg).iter())


def tag_of(element):
    return element.tag.rpartition("}")[2]


def make_page(*sections):
    return page.page("A title", "A lead.", *sections)


def test_all_texts_are_escaped():
    figure, axes = one_plot()
    axes.set_title(EVIL)
    sections = [
        page.section(EVIL, page.heading(EVIL), page.paragraph(EVIL)),
        to_html(Table([EVIL, "b"], [[EVIL, EVIL]])),
        page.picture(figure, EVIL, [page.Point(axes, 0.5, 0.5, EVIL)]),
        page.image(b"", EVIL),
    ]
    read = ParsedPage(page.page(EVIL, EVIL, *sections))
    assert read.words("script") == [page.SCRIPT.strip()]
    for name in ("title", "h1", "h2", "h3", "text"):
        assert EVIL in read.words(name), name
    assert read.words("p") == [EVIL] * 2 and read.words("figcaption") == [EVIL] * 2
    assert read.words("td") == [EVIL] * 2 and read.words("th") == [EVIL, "b"]
    assert [a["data-tip"] for a in read.attributes("circle")] == [EVIL]
    assert [a["alt"] for a in read.attributes("img")] == [EVIL]


@pytest.mark.parametrize(("layout", "dpi"), [(None, 100), ("constrained", 72)])
def test_a_point_is_at_the_position_where_matplotlib_draws_it(layout, dpi):
    figure = Figure(figsize=(5, 3), dpi=dpi, layout=layout)
    one, two = figure.subplots(1, 2)
    two.set_yscale("log")
    data = {one: [(1, 3), (2, 9), (5, 4)], two: [(-1, 1e-3), (7, 1e4)]}
    points = []
    for axes, pairs in data.items():
        axes.scatter(*np.transpose(pairs), color="#ff0000")
        points += [page.Point(axes, x, y, f"{x} {y}") for x, y in pairs]
    figure.savefig(io.BytesIO(), dpi=150, format="png")  # as reports do before
    found = elements(page.svg(figure, points))
    drawn = [e.attrib for e in found if tag_of(e) == "use" and "#ff0000" in e.attrib["style"]]
    circles = [e.attrib for e in found if tag_of(e) == "circle"]
    assert [c["data-tip"] for c in circles] == [point.tip for point in points]
    assert len(drawn) == len(circles) == 5
    for circle, marker in zip(circles, drawn, strict=True):
        for key in "xy":  # a twentieth of a point is lost in writing
            assert float(circle[f"c{key}"]) == pytest.approx(float(marker[key]), abs=0.06)


def test_ink_takes_the_color_of_the_text_and_white_that_of_the_surface(complex_svg):
    text = complex_svg
    for color in (INK, "#000000", ": black", "#ffffff", "white"):
        assert color not in text
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        complex_figure().savefig(file := io.StringIO(), format="svg", transparent=True)
    drawn = file.getvalue()
    assert text.count(": currentColor") == drawn.count(f": {INK}") + drawn.count(": #000000")
    assert text.count(": var(--surface)") == drawn.count(": #ffffff") > 0
    for color in (ACCENT, QUIET):
        assert text.count(f": {color}") == drawn.count(f": {color}") > 0


def test_an_element_has_an_id_if_and_only_if_it_is_referenced(complex_svg):
    text = complex_svg
    names = [e.attrib["id"] for e in elements(text) if "id" in e.attrib]
    referred = re.findall(r'(?:url\(|href=")#([^")]+)', text)
    assert len(names) == len(set(names)) and set(names) == set(referred)
    assert len(names) >= 5  # markers, clips and a hatch


def test_equal_figures_give_equal_text(complex_svg):
    assert page.svg(complex_figure()) == complex_svg
    figure, axes = one_plot()
    axes.scatter([1, 2], [3, 4])
    assert page.svg(figure) == page.svg(figure)


def test_an_svg_has_the_aspect_ratio_of_its_figure_and_no_size():
    root = elements(page.svg(Figure(figsize=(4, 2.5))))[0]
    assert root.attrib["viewBox"] == "0 0 288 180"
    assert not {"width", "height"} & set(root.attrib)


def test_a_page_has_no_external_references():
    picture = page.picture(complex_figure(), "All.")
    text = make_page(page.section("One", picture, page.image(b"\x89PNG", "a picture")))
    outside = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)
    assert "//" not in re.sub(r"base64,[\w+/=]*", "", outside)  # neither http:// nor //host
    assert "@import" not in text
    assert set(re.findall(r"url\((.)", text)) == {"#"}
    read = ParsedPage(text)
    refers = ("src", "href", "xlink:href", "srcset", "data", "action")
    found = [a[key] for _, a, _ in read.elements for key in refers if key in a]
    assert found and all(value.startswith(("#", "data:image/png;base64,")) for value in found)
    names = {name for name, _, _ in read.elements}
    assert not {"link", "iframe", "object", "embed", "base"} & names


def test_a_page_declares_its_policy_viewport_and_encoding():
    heads = ParsedPage(make_page()).attributes("meta")
    policy = next(a["content"] for a in heads if a.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.split(None, 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:"
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in heads
    assert heads[0] == {"charset": "utf-8"}
    assert make_page().startswith("<!DOCTYPE html>")


def test_a_row_has_one_cell_per_nonempty_part():
    read = ParsedPage(page.row(page.paragraph("a"), "", page.paragraph("b")))
    assert [name for name, _, _ in read.elements] == ["div", "div", "p", "div", "p"]


def test_an_image_is_embedded_in_the_page():
    data = bytes(range(256))
    (attributes,) = ParsedPage(page.image(data, "all bytes")).attributes("img")
    assert base64.b64decode(attributes["src"].partition("base64,")[2]) == data
