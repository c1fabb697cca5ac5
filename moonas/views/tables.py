"""Tables of strings, and their rendering as console output, HTML, Markdown and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import rich.table

NUMBER = re.compile(
    r"[-+]?[\d,.]+(e[-+]\d+)?( ?(%|[kMG]|ms|s))?\*?|-|never|none||[\d.]+ (of|and|to) [\d.]+"
)
LONG_CELL = 36  # characters; on a page, columns with longer cells may wrap


@dataclass(frozen=True)
class Table:
    """A table of strings.

    Args:
        titles: titles of the columns.
        rows: rows, each with one string per column.
        marked: indices of the rows to highlight.
        alignment: "l" or "r" per column; by default, the first column is left-aligned and all
            others are right-aligned. HTML ignores it and aligns columns by their content.
        title: line above the table on the console; a page, which has headings, has it for screen
            readers only. Other documents omit it.
        caption: line below the table, on the console and on a page.

    Raises:
        ValueError: the alignment or a row does not match the number of titles.
    """

    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: Sequence[int] = ()
    alignment: str = ""
    title: str = ""
    caption: str = ""

    def __post_init__(self) -> None:
        n = len(self.titles)
        if not self.alignment:
            object.__setattr__(self, "alignment", "l" + "r" * (n - 1))
        if len(self.alignment) != n or set(self.alignment) - {"l", "r"}:
            raise ValueError(
                f"alignment={self.alignment!r} is invalid: expected {n} letters, each l or r."
            )
        for i, row in enumerate(self.rows):
            if len(row) != n:
                raise ValueError(f"Row {i} is invalid: expected {n} columns, got {len(row)}.")


def to_console(table: Table, *, compact: bool = False) -> rich.table.Table:
    """Render a table for ``rich.console.Console.print``; marked rows begin with a star.

    Args:
        table: the table.
        compact: whether to draw only a rule below the titles instead of a frame.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as ConsoleTable
    from rich.text import Text

    frame: dict[str, Any] = {}
    if compact:
        frame = dict(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    rendered = ConsoleTable(
        title=Text(table.title, "table.title") if table.title else None,
        caption=Text(table.caption, "table.caption") if table.caption else None,
        title_justify="left",
        caption_justify="left",
        **frame,
    )
    if table.marked:
        rendered.add_column("")
    last = len(table.titles) - 1
    for i, (title, side) in enumerate(zip(table.titles, table.alignment, strict=True)):
        long = 0 < i == last and side == "l"  # text that must not be truncated
        rendered.add_column(
            Text(title),
            justify="left" if side == "l" else "right",
            overflow="fold" if long else "ellipsis",
        )
    for i, row in enumerate(table.rows):
        star = ["*" if i in table.marked else ""] if table.marked else []
        rendered.add_row(*star, *map(Text, row))  # a Text does not interpret brackets as markup
    return rendered


def to_html(table: Table, *, last_below: bool = False) -> str:
    """Render a table as HTML; columns that contain only numbers are right-aligned.

    The first cell of a row is its header. Screen readers announce the title of the table.

    Args:
        table: the table.
        last_below: whether the last column, which may be long, is below the others.
    """
    css_classes = [_css_class([row[i] for row in table.rows]) for i in range(len(table.titles))]
    n = len(table.titles) - 1

    def cell(tag: str, i: int, text: str, more: str = "") -> str:
        return f'<{tag} class="{css_classes[i]}"{more}>{escape(str(text))}</{tag}>'

    def line(i: int, row: Sequence[str]) -> str:
        star = '<span role="img" aria-label="marked"> *</span>' if i in table.marked else ""
        scope = ' scope="rowgroup" rowspan="2"' if last_below else ' scope="row"'
        header = (
            f'<th class="{css_classes[0]}{" spans" * last_below}"{scope}>'
            f"{escape(str(row[0]))}{star}</th>"
        )
        middle = "".join(cell("td", j, row[j]) for j in range(1, n if last_below else n + 1))
        marked = " marked" if i in table.marked else ""
        if last_below:
            last = f'<td colspan="{n - 1}">{escape(str(row[n]))}</td>'
            return (
                f'<tbody>\n<tr class="above{marked}">{header}{middle}</tr>\n'
                f'<tr class="below{marked}">{last}</tr>\n</tbody>\n'
            )
        css = ' class="marked"' if marked else ""
        return f"<tr{css}>{header}{middle}</tr>\n"

    body = "".join(line(i, row) for i, row in enumerate(table.rows))
    if last_below:
        first = f'<th class="{css_classes[0]} spans" scope="col" rowspan="2">'
        titles = f"{first}{escape(table.titles[0])}</th>" + "".join(
            cell("th", i, table.titles[i], ' scope="col"') for i in range(1, n)
        )
        last = f'<th colspan="{n - 1}" scope="col">{escape(table.titles[n])}</th>'
        head = f'<tr class="above">{titles}</tr>\n<tr class="below">{last}</tr>'
    else:
        titles = "".join(
            cell("th", i, title, ' scope="col"') for i, title in enumerate(table.titles)
        )
        head, body = f"<tr>{titles}</tr>", f"<tbody>\n{body}</tbody>\n"
    caption = f'<caption class="hidden">{escape(table.title)}</caption>' if table.title else ""
    region = f' role="region" aria-label="{escape(table.title)}"' if table.title else ""
    note = f'<p class="note">{escape(table.caption)}</p>\n' if table.caption else ""
    return (
        f'<div class="scroll" tabindex="0"{region}><table>{caption}<thead>{head}</thead>\n'
        f"{body}</table></div>\n{note}"
    )


def _css_class(texts: Sequence[str]) -> str:
    """Return the CSS class of a column of texts, see ``STYLE`` in :mod:`.page`."""
    if all(NUMBER.fullmatch(str(text)) for text in texts):
        return "number"
    return "long" if max(len(str(text)) for text in texts) > LONG_CELL else "words"


def to_markdown(table: Table) -> str:
    """Render a table in Markdown; marked rows are bold."""
    rule = ["---" if side == "l" else "---:" for side in table.alignment]

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |\n"

    titles, rows = _escaped_cells(table, lambda text: text.replace("|", r"\|"), "**{}**")
    return "".join(map(line, [titles, rule, *rows]))


def to_latex(table: Table) -> str:
    """Render a table as a LaTeX ``tabular`` for booktabs; marked rows are bold."""

    def line(cells: Sequence[str]) -> str:
        return f"{' & '.join(cells)} \\\\\n"

    titles, rows = _escaped_cells(table, _latex_text, r"\textbf{{{}}}")
    return (
        f"\\begin{{tabular}}{{{table.alignment}}}\n\\toprule\n{line(titles)}\\midrule\n"
        f"{''.join(map(line, rows))}\\bottomrule\n\\end{{tabular}}\n"
    )


def _latex_text(text: str) -> str:
    special = {c: f"\\{c}" for c in "%_&#${}"} | {"\\": r"\textbackslash{}"}
    return "".join(special.get(character, character) for character in text)


def _escaped_cells(
    table: Table, escape_text: Callable[[str], str], bold: str
) -> tuple[list[str], list[list[str]]]:
    """Escape every text of a table, and format marked rows in bold.

    Args:
        table: the table.
        escape_text: function that escapes a text.
        bold: format string for the cells of marked rows.

    Returns:
        The escaped titles and rows.
    """
    rows = [
        [bold.format(escape_text(t)) if i in table.marked and t else escape_text(t) for t in row]
        for i, row in enumerate(table.rows)
    ]
    return [escape_text(title) for title in table.titles], rows
