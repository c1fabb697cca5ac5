"""HTML pages and their figures as SVG."""

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
from moonas.views.drawing import ACCENT, INK, QUIET, apply_style, create_figure
from moonas.views.tables import Table, to_html

SPECIAL_TEXT = """<script>alert("1")</script> & 'x' </p>"""


def complex_figure():
    """Return a figure with many kinds of matplotlib artists."""
    rng = np.random.default_rng(0)
    figure = Figure(layout="constrained")
    left, right = figure.subplots(1, 2)
    dots = left.scatter(*rng.random((2, 9)), s=np.arange(9) * 9 + 5, c=np.arange(9))
    figure.colorbar(dots, ax=left)
    left.bar([0.2, 0.4], [0.5, 0.6], hatch="//", facecolor=QUIET, edgecolor=INK)
    left.annotate("there", (0.5, 0.5), (0.1, 0.1), arrowprops=dict(arrowstyle="-|>", color=QUIET))
    right.imshow(rng.random((3, 3)))
    right.plot([0, 2], [0, 2], color="black", marker="o", label="a line")
    right.fill_between([0, 1], [0, 1], [1, 2], color=ACCENT, alpha=0.3)
    right.set_title("$x^2$", color=INK)
    box = dict(boxstyle="round", fc="white", ec=INK)
    right.text(1, 1, "in a box", color=INK, bbox=box)
    apply_style(right)
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


def test_all_texts_on_a_page_are_escaped():
    figure, axes = create_figure()
    axes.set_title(SPECIAL_TEXT)
    sections = [
        page.section(SPECIAL_TEXT, page.heading(SPECIAL_TEXT), page.paragraph(SPECIAL_TEXT)),
        to_html(Table([SPECIAL_TEXT, "b"], [[SPECIAL_TEXT, SPECIAL_TEXT]])),
        page.picture(figure, SPECIAL_TEXT, [page.Point(axes, 0.5, 0.5, SPECIAL_TEXT)]),
        page.image(b"", SPECIAL_TEXT),
    ]
    read = ParsedPage(page.page(SPECIAL_TEXT, SPECIAL_TEXT, *sections))
    assert read.words("script") == [page.SCRIPT.strip()]
    for name in ("title", "h1", "h2", "h3", "text"):
        assert SPECIAL_TEXT in read.words(name), name
    assert read.words("p") == [SPECIAL_TEXT] * 2 and read.words("figcaption") == [SPECIAL_TEXT] * 2
    assert read.words("td") == [SPECIAL_TEXT] * 2 and read.words("th") == [SPECIAL_TEXT, "b"]
    assert [a["data-tip"] for a in read.attributes("circle")] == [SPECIAL_TEXT]
    assert [a["alt"] for a in read.attributes("img")] == [SPECIAL_TEXT]


@pytest.mark.parametrize(("layout", "dpi"), [(None, 100), ("constrained", 72)])
def test_a_tooltip_point_is_at_the_position_of_its_matplotlib_marker(layout, dpi):
    figure = Figure(figsize=(5, 3), dpi=dpi, layout=layout)
    left, right = figure.subplots(1, 2)
    right.set_yscale("log")
    data = {left: [(1, 3), (2, 9), (5, 4)], right: [(-1, 1e-3), (7, 1e4)]}
    points = []
    for axes, pairs in data.items():
        axes.scatter(*np.transpose(pairs), color="#ff0000")
        points += [page.Point(axes, x, y, f"{x} {y}") for x, y in pairs]
    figure.savefig(io.BytesIO(), dpi=150, format="png")  # reports save PNG files first
    svg_elements = elements(page.svg(figure, points))
    markers = [
        e.attrib for e in svg_elements if tag_of(e) == "use" and "#ff0000" in e.attrib["style"]
    ]
    circles = [e.attrib for e in svg_elements if tag_of(e) == "circle"]
    assert [c["data-tip"] for c in circles] == [point.tip for point in points]
    assert len(markers) == len(circles) == 5
    for circle, marker in zip(circles, markers, strict=True):
        for key in "xy":  # coordinates are rounded to 0.1
            assert float(circle[f"c{key}"]) == pytest.approx(float(marker[key]), abs=0.06)


def test_black_becomes_the_text_color_and_white_becomes_the_surface_color(complex_svg):
    text = complex_svg
    for color in (INK, "#000000", ": black", "#ffffff", "white"):
        assert color not in text
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        complex_figure().savefig(file := io.StringIO(), format="svg", transparent=True)
    original = file.getvalue()
    assert text.count(": currentColor") == original.count(f": {INK}") + original.count(": #000000")
    assert text.count(": var(--surface)") == original.count(": #ffffff") > 0
    for color in (ACCENT, QUIET):
        assert text.count(f": {color}") == original.count(f": {color}") > 0


def test_an_element_has_an_id_if_and_only_if_it_is_referenced(complex_svg):
    text = complex_svg
    names = [e.attrib["id"] for e in elements(text) if "id" in e.attrib]
    referenced = re.findall(r'(?:url\(|href=")#([^")]+)', text)
    assert len(names) == len(set(names)) and set(names) == set(referenced)
    assert len(names) >= 5  # markers, clips and a hatch


def test_equal_figures_result_in_equal_svg(complex_svg):
    assert page.svg(complex_figure()) == complex_svg
    figure, axes = create_figure()
    axes.scatter([1, 2], [3, 4])
    assert page.svg(figure) == page.svg(figure)


def test_an_svg_has_the_aspect_ratio_of_its_figure_and_no_fixed_size():
    root = elements(page.svg(Figure(figsize=(4, 2.5))))[0]
    assert root.attrib["viewBox"] == "0 0 288 180"
    assert not {"width", "height"} & set(root.attrib)


def test_a_page_has_no_external_references():
    picture = page.picture(complex_figure(), "All.")
    text = make_page(page.section("One", picture, page.image(b"\x89PNG", "a picture")))
    without_namespaces = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)
    assert "//" not in re.sub(
        r"base64,[\w+/=]*", "", without_namespaces
    )  # neither http:// nor //host
    assert "@import" not in text
    assert set(re.findall(r"url\((.)", text)) == {"#"}
    read = ParsedPage(text)
    reference_keys = ("src", "href", "xlink:href", "srcset", "data", "action")
    references = [a[key] for _, a, _ in read.elements for key in reference_keys if key in a]
    assert references and all(
        value.startswith(("#", "data:image/png;base64,")) for value in references
    )
    names = {name for name, _, _ in read.elements}
    assert not {"link", "iframe", "object", "embed", "base"} & names


def test_a_page_declares_a_content_security_policy_a_viewport_and_an_encoding():
    meta_tags = ParsedPage(make_page()).attributes("meta")
    policy = next(
        a["content"] for a in meta_tags if a.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.split(None, 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:"
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in meta_tags
    assert meta_tags[0] == {"charset": "utf-8"}
    assert make_page().startswith("<!DOCTYPE html>")


def test_a_row_of_a_page_has_one_cell_per_nonempty_part():
    read = ParsedPage(page.row(page.paragraph("a"), "", page.paragraph("b")))
    assert [name for name, _, _ in read.elements] == ["div", "div", "p", "div", "p"]


def test_an_image_is_embedded_in_the_page():
    data = bytes(range(256))
    (attributes,) = ParsedPage(page.image(data, "all bytes")).attributes("img")
    assert base64.b64decode(attributes["src"].partition("base64,")[2]) == data
