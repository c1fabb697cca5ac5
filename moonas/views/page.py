"""HTML pages: self-contained files that can be read offline, in light and in dark mode.

Matplotlib figures are embedded as SVG, and their black elements take the color of the page's text.
A point of a figure can show a tooltip when the user hovers over it or touches it.
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..plot.style import ACCENT, INK

STYLE = """
:root { color-scheme: light dark; --ink: #22313f; --soft: #52616d; --page: #f4f6f7;
  --surface: #ffffff; --line: #dde3e7; --accent: #a8432c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ed; --soft: #a6b5c1; --page: #14191d;
  --surface: #1d242a; --line: #35404a; --accent: #f0957f; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 0 0 .6rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p, li { margin: 0 0 .7rem; max-width: 46rem; overflow-wrap: anywhere; }
ul { margin: 0 0 .7rem; padding-left: 1.2rem; }
li { margin-bottom: .1rem; }
.lead, figcaption, .note { color: var(--soft); }
figcaption, .note { font-size: .9rem; }
section { background: var(--surface); border: 1px solid var(--line); border-radius: .6rem;
  padding: 1rem; margin-top: 1rem; }
.row { display: grid; gap: 1.2rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 25rem), 1fr)); }
.row > * { min-width: 0; }
.row > :has(> figure) { position: sticky; top: 1rem; }
.flow { display: flex; flex-wrap: wrap; gap: 1.2rem; }
.flow > * { max-width: 100%; }
pre { background: var(--page); color: var(--ink); margin: 0 0 .7rem; padding: .5rem .7rem;
  border-radius: .4rem; font: .85rem/1.5 ui-monospace, monospace; white-space: pre-wrap;
  overflow-wrap: anywhere; }
code span { display: inline-block; }
figure { margin: 0 0 .8rem; }
figcaption { margin-top: .2rem; }
svg { display: block; max-width: 100%; height: auto; color: var(--ink); fill: currentColor;
  stroke-linejoin: round; }
img { display: block; max-width: 100%; height: auto; }
img, .paper { background: #fff; color: #22313f; }
.paper { --surface: #fff; --accent: #a8432c; }
.scroll { overflow-x: auto; margin-bottom: 1rem; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
thead th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 400; }
td.number, th.number { text-align: right; }
td.number, tbody th { white-space: nowrap; }
td.long, th.long { min-width: 16rem; overflow-wrap: anywhere; white-space: normal; }
td.words { white-space: nowrap; }
.below td, .below th { padding-top: 0; overflow-wrap: anywhere; white-space: normal; }
.above > * { border-bottom: 0; }
.above > .spans { border-bottom: 1px solid var(--line); }
.marked th, .marked td { font-weight: 600; color: var(--accent); }
figure .scroll { margin-bottom: 0; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap; }
circle[data-tip] { fill: transparent; cursor: pointer; outline: none; }
circle[data-tip]:hover, circle[data-tip]:focus { stroke: currentColor; stroke-width: 1.5; }
#tip { position: fixed; z-index: 1; max-width: min(24rem, 90vw); padding: .5rem .7rem;
  background: var(--ink); color: var(--page); border-radius: .4rem; font-size: .85rem;
  white-space: pre-line; overflow-wrap: anywhere; pointer-events: none; }
#tip[hidden] { display: none; }
@media (max-width: 30rem) { main { padding: 1rem .5rem 3rem; } section { padding: .8rem; }
  th, td { padding: .3rem .25rem; }
  td.words, td.long, th.long { min-width: 0; white-space: normal; } }
"""
# Points of a figure share one tab stop, and the arrow keys move between them.
SCRIPT = """
const tip = document.getElementById("tip");
function show(point) {
  tip.hidden = !point;
  if (!point) return;
  tip.textContent = point.dataset.tip;
  const at = point.getBoundingClientRect(), box = tip.getBoundingClientRect();
  const left = Math.min(at.right + 6, innerWidth - box.width - 8);
  const below = at.bottom + 6 + box.height < innerHeight;
  tip.style.left = Math.max(8, left) + "px";
  tip.style.top = (below ? at.bottom + 6 : Math.max(8, at.top - box.height - 6)) + "px";
}
for (const kind of ["pointerover", "focusin"])
  document.addEventListener(kind, event => show(event.target.closest("[data-tip]")));
document.addEventListener("focusout", () => show(null));
document.addEventListener("keydown", event => {
  if (event.key == "Escape") show(null);
  const point = event.target.closest("[data-tip]");
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!point || !step) return;
  event.preventDefault();
  const points = [...point.ownerSVGElement.querySelectorAll("[data-tip]")];
  const next = points[(points.indexOf(point) + step + points.length) % points.length];
  point.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
});
"""
PIXELS_PER_INCH = 96  # of CSS
LEAST_SCALE = 0.68  # of a figure on a narrow screen, where text of 9 points has 8 pixels
NARROW = 5.2  # inches; narrower figures fit a phone at this scale
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
)


@dataclass(frozen=True)
class Point:
    """A point in a figure, with a tooltip.

    Args:
        axes: axes that contain the point.
        x: horizontal position, in data coordinates.
        y: vertical position, in data coordinates.
        tip: plain text of the tooltip, of one or more lines.
    """

    axes: Axes
    x: float
    y: float
    tip: str


def page(title: str, lead: str, *sections: str, refresh: int | None = None) -> str:
    """Return a complete HTML page.

    Args:
        title: title, as plain text.
        lead: line below the title, as plain text.
        sections: sections, as HTML.
        refresh: number of seconds after which a browser reads the page again; None for never.
    """
    again = "" if refresh is None else f'<meta http-equiv="refresh" content="{refresh}">\n'
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{CONTENT_SECURITY_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"{again}<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{escape(title)}</h1>\n<p class="lead">{escape(lead)}</p>\n'
        f"{_with_unique_ids(''.join(sections))}</main>\n"
        '<div id="tip" role="tooltip" hidden></div>\n'
        f"<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def _with_unique_ids(html: str) -> str:
    """Number the ids of each SVG, because different figures can contain the same id."""
    numbers = itertools.count(1)

    def number(match: re.Match[str]) -> str:
        prefix = f"f{next(numbers)}-"
        return re.sub(r'(?<= id=")|(?<=url\(#)|(?<=href="#)', prefix, match[0])

    return re.sub(r"<svg.*?</svg>", number, html, flags=re.S)


def section(title: str, *parts: str) -> str:
    """Return a section of a page, from a plain-text title and HTML parts."""
    return f"<section>\n<h2>{escape(title)}</h2>\n{''.join(parts)}</section>\n"


def row(*parts: str) -> str:
    """Return HTML that shows nonempty parts side by side if the page is wide enough."""
    return f'<div class="row">{"".join(f"<div>{part}</div>" for part in parts if part)}</div>\n'


def flow(cells: Sequence[tuple[Figure, str]]) -> str:
    """Return HTML that shows figures side by side without changing their relative sizes.

    Args:
        cells: figures, each with the HTML that shows it.
    """
    parts = (
        f'<div style="width: max({_width(figure):.0f}px, 16rem)">{html}</div>'
        for figure, html in cells
    )
    return f'<div class="flow">{"".join(parts)}</div>\n'


def heading(text: str) -> str:
    """Return a heading within a section, from plain text."""
    return f"<h3>{escape(text)}</h3>\n"


def paragraph(text: str) -> str:
    """Return a paragraph, from plain text."""
    return f"<p>{escape(text)}</p>\n"


def note(text: str) -> str:
    """Return a paragraph in smaller type, from plain text."""
    return f'<p class="note">{escape(text)}</p>\n'


def bullets(texts: Sequence[str]) -> str:
    """Return a list of items, from plain text; empty without items."""
    items = "".join(f"<li>{escape(text)}</li>\n" for text in texts)
    return f"<ul>\n{items}</ul>\n" if items else ""


def command(text: str) -> str:
    """Return a command line, from plain text; lines are broken between its words only."""
    words = " ".join(f"<span>{escape(word)}</span>" for word in text.split(" "))
    return f"<pre><code>{words}</code></pre>\n"


def picture(
    figure: Figure,
    caption: str,
    points: Sequence[Point] = (),
    alt: str = "",
    *,
    on_paper: bool = False,
) -> str:
    """Return a matplotlib figure with a caption, as HTML.

    Its size is at most that of the figure. A screen that is too narrow to read it scrolls it.

    Args:
        figure: the figure; black and ``moonas.plot.style.INK`` become the color of the page's
            text.
        caption: caption, as plain text; none if it is empty.
        points: points with tooltips, which can be reached with the keyboard.
        alt: description for readers who cannot see the figure; by default, the caption.
        on_paper: whether the figure is on white in dark mode, too, since it has dark colors.
    """
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    drawn = svg(figure, points, alt or caption)
    if on_paper:
        drawn = drawn.replace("<svg", '<svg class="paper"', 1)
    if figure.get_figwidth() > NARROW:
        name = escape(alt or caption or "figure")
        drawn = f'<div class="scroll" tabindex="0" role="region" aria-label="{name}">{drawn}</div>'
    return f"<figure>{drawn}{below}</figure>\n"


def _width(figure: Figure) -> float:
    """Return the width of a figure in pixels of CSS."""
    return float(figure.get_figwidth() * PIXELS_PER_INCH)


def image(png: bytes, caption: str) -> str:
    """Return a PNG image with a caption, as HTML that embeds the image."""
    import base64

    data = base64.b64encode(png).decode()
    name = escape(caption)
    return (
        f'<figure><img alt="{name}" src="data:image/png;base64,{data}">'
        f"<figcaption>{name}</figcaption></figure>\n"
    )


def svg(figure: Figure, points: Sequence[Point] = (), alt: str = "") -> str:
    """Return a matplotlib figure as SVG that scales with the page.

    Equal figures result in equal text. See :func:`picture` for the arguments.
    """
    text = io.StringIO()
    figure.set_dpi(72)  # the unit of SVG is 1/72 inch
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "moonas"}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    drawn = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text.getvalue(), flags=re.S)
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", drawn, count=1)
    drawn = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", drawn, count=1)
    for ink in (INK, "#000000", "black"):
        drawn = drawn.replace(f": {ink}", ": currentColor")
    drawn = drawn.replace(": #ffffff", ": var(--surface)")
    # text in the accent color of figures is too dim on a dark page
    drawn = re.sub(rf"(<text[^>]*fill: ){ACCENT}", r"\1var(--accent)", drawn)
    used = set(re.findall(r"#([\w-]+)", drawn))
    # screen readers read the label and the points, not the numbers along the axes
    drawn = drawn.replace('<g id="figure_1"', '<g aria-hidden="true" id="figure_1"', 1)
    drawn = re.sub(r' id="([^"]*)"', lambda m: m[0] if m[1] in used else "", drawn)
    width = _width(figure)
    size = f' style="width: {width:.0f}px; min-width: {LEAST_SCALE * width:.0f}px"'
    role = f' role="{"group" if points else "img"}" aria-label="{escape(alt or "figure")}"'
    drawn = drawn.replace("<svg", f"<svg{role}{size}", 1)
    height = figure.get_figheight() * 72
    circles = []
    for i, point in enumerate(points):
        x, y = point.axes.transData.transform((point.x, point.y))
        tip = escape(point.tip)
        circles.append(
            f'<circle cx="{x:.1f}" cy="{height - y:.1f}" r="7" role="img" '
            f'tabindex="{-1 if i else 0}" aria-label="{tip}" data-tip="{tip}"/>\n'
        )
    end = drawn.rindex("</svg>")
    return drawn[:end] + "".join(circles) + drawn[end:]
