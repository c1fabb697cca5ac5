"""HTML pages and their figures as SVG."""

import base64
import io
import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from reading import ParsedPage, faults_of

from moonas.plot.style import ACCENT, INK, QUIET, create_figure, finish
from moonas.views import page
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
    finish(right)
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
        to_html(Table([SPECIAL_TEXT, "b"], [[SPECIAL_TEXT, SPECIAL_TEXT]], title=SPECIAL_TEXT)),
        page.picture(figure, SPECIAL_TEXT, [page.Point(axes, 0.5, 0.5, SPECIAL_TEXT)]),
        page.image(b"", SPECIAL_TEXT),
    ]
    read = ParsedPage(page.page(SPECIAL_TEXT, SPECIAL_TEXT, *sections))
    assert read.words("script") == [page.SCRIPT.strip()]
    for name in ("title", "h1", "h2", "h3", "text"):
        assert SPECIAL_TEXT in read.words(name), name
    assert read.words("p") == [SPECIAL_TEXT] * 2 and read.words("figcaption") == [SPECIAL_TEXT] * 2
    assert read.words("td") == [SPECIAL_TEXT]
    assert read.words("th") == [SPECIAL_TEXT, "b", SPECIAL_TEXT]
    assert [a["data-tip"] for a in read.attributes("circle")] == [SPECIAL_TEXT]
    assert read.words("caption") == [SPECIAL_TEXT]
    assert read.attributes("svg")[0]["aria-label"] == SPECIAL_TEXT
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
    assert root.attrib["style"] == "width: 384px; min-width: 261px"  # 96 pixels per inch


def test_a_wide_figure_can_be_scrolled_with_the_keyboard():
    narrow, wide = (page.picture(Figure(figsize=(w, 2)), "<All>.") for w in (5.2, 6.4))
    assert "scroll" not in narrow
    (box,) = ParsedPage(wide).attributes("div")
    assert box == {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": "<All>."}


def test_a_figure_with_dark_colors_is_on_white_in_dark_mode():
    figure = Figure(figsize=(4, 2))
    assert 'class="paper"' not in page.picture(figure, "Light.")
    (attributes,) = ParsedPage(page.picture(figure, "Dark.", on_paper=True)).attributes("svg")
    assert attributes["class"] == "paper" and ".paper { background: #fff;" in page.STYLE


def test_figures_side_by_side_have_the_same_scale():
    figures = [Figure(figsize=(w, 2)) for w in (2, 4)]
    text = page.flow([(figure, page.picture(figure, "", alt="one")) for figure in figures])
    cells = [a["style"] for a in ParsedPage(text).attributes("div") if "style" in a]
    assert cells == ["width: max(192px, 16rem)", "width: max(384px, 16rem)"]
    assert [a["style"] for a in ParsedPage(text).attributes("svg")] == [
        "width: 192px; min-width: 131px",
        "width: 384px; min-width: 261px",
    ]


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


def full_page():
    """Return a page with every kind of part."""
    figure, axes = create_figure()
    axes.scatter([1, 2], [3, 4])
    points = [page.Point(axes, 1, 3, "first"), page.Point(axes, 2, 4, "second")]
    table = Table(["row", "n", "text"], [["0", "1", "a"], ["1", "2", "b"]], (1,), title="Numbers")
    return make_page(
        page.section(
            "One",
            page.row(page.picture(figure, "Two points.", points), to_html(table, last_below=True)),
            page.heading("More"),
            to_html(table),
            page.bullets(["a", "b"]),
            page.command("moonas list"),
            page.note("a note"),
        ),
        page.section(
            "Two", page.picture(complex_figure(), "", alt="many"), page.image(b"", "none")
        ),
        page.section("Three", page.picture(complex_figure(), "The same figure again.")),
    )


def test_a_page_is_valid_html_for_readers_with_a_keyboard_or_a_screen_reader():
    assert faults_of(full_page()) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("</section>", "", "end-tag"),
        ("</main>", "</p></main>", "unexpected-end-tag"),
        ("<td", "<tx", "unexpected"),
        (' scope="col"', "", "a th without scope"),
        (' aria-label="many"', ' aria-label=""', "a svg without aria-label"),
        ('alt="none"', 'alt=""', "a img without alt"),
        ("<h2>", "<h4>", "h1 before h4"),
        ('lang="en"', "", "no language"),
        ('id="f2-', 'id="f3-', "elements with the id f3-"),
        (' role="region"', "", "a name but no role"),
        ('tabindex="0"', 'tabindex="5"', "an order of its own"),
    ],
)
def test_the_check_of_pages_finds_faults(old, new, fault):
    assert old in full_page()
    assert any(fault in found for found in faults_of(full_page().replace(old, new)))


def test_the_points_of_a_figure_share_one_tab_stop():
    circles = ParsedPage(full_page()).attributes("circle")
    assert [a["tabindex"] for a in circles] == ["0", "-1"]
    assert [a["aria-label"] for a in circles] == [a["data-tip"] for a in circles]


def test_only_a_page_with_a_refresh_reads_itself_again():
    refreshing = {"http-equiv": "refresh", "content": "7"}
    assert refreshing in ParsedPage(page.page("a", "b", refresh=7)).attributes("meta")
    assert "refresh" not in make_page()


def luminance(color):
    """Return the relative luminance of a color such as #22313f (WCAG 2.2)."""
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(first, second):
    low, high = sorted([luminance(first), luminance(second)])
    return (high + 0.05) / (low + 0.05)


def text_contrasts():
    """Return mode, text color, background color -> contrast of every pair in the style.

    Text whose rule sets no background is on the page or on the surface of a section.
    """
    light, dark = (
        dict(re.findall(r"--(\w+): (#\w{6})", block))
        for block in re.findall(r":root {([^}]*)}", page.STYLE)
    )
    assert set(light) == set(dark) and len(light) >= 6
    contrasts = {}
    for rule in re.findall(r"{([^{}]*)}", page.STYLE):
        color = re.search(r"(?<![\w-])color: (?:var\(--(\w+)\)|(#\w+))", rule)
        behind = re.search(r"background: (?:var\(--(\w+)\)|(#\w+))", rule)
        if color is None:
            continue
        grounds = ["page", "surface"] if behind is None else [behind[1] or behind[2]]
        for mode, colors in (("light", light), ("dark", dark)):
            text = colors.get(color[1], color[2])
            for ground in grounds:
                back = colors.get(ground, ground)
                back = "#ffffff" if back == "#fff" else back
                contrasts[mode, color[0], ground] = contrast(text, back)
    return contrasts


def test_contrasts_are_those_of_the_guidelines():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_all_text_has_enough_contrast_in_light_and_dark_mode():
    contrasts = text_contrasts()
    assert {("dark", "color: var(--page)", "ink"), ("light", "color: var(--soft)", "page")} <= set(
        contrasts
    )
    assert min(contrasts.values()) >= 4.5, contrasts


def test_text_in_the_accent_color_of_figures_is_as_bright_as_that_of_the_page():
    figure, axes = create_figure()
    axes.text(0, 0, "skip", color=ACCENT)
    axes.plot([0, 1], [0, 1], color=ACCENT)
    drawn = page.svg(figure)
    assert "fill: var(--accent)" in drawn and f"stroke: {ACCENT}" in drawn
