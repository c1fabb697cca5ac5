"""Tables of text, and their rendering as console output, HTML, Markdown and LaTeX."""

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
LONG = 36  # characters; on a page, columns with longer cells may wrap


@dataclass(frozen=True)
class Table:
    """Titles and rows of text.

    Args:
        titles: titles of the columns.
        rows: rows of one text per column.
        marked: indices of the rows to highlight.
        alignment: "l" or "r" per column; by default, the first column is left-aligned and all
            others are right-aligned. HTML ignores it and aligns columns by their content.
        title: line above the table. Only the console shows it, since pages and documents have
            their own headings.
        caption: line below the table, also shown by the console only.

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
        compact: draw a rule below the titles only, and no frame.
    """
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape as literal
    from rich.table import Table as ConsoleTable
    from rich.text import Text

    frame: dict[str, Any] = {}
    if compact:
        frame = dict(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    rendered = ConsoleTable(
        title=literal(table.title) or None,
        caption=literal(table.caption) or None,
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


def to_html(table: Table) -> str:
    """Render a table as HTML; columns that contain only numbers are right-aligned."""
    kinds = [_kind([row[i] for row in table.rows]) for i in range(len(table.titles))]

    def cells(tag: str, texts: Sequence[str]) -> str:
        pairs = zip(kinds, texts, strict=True)
        return "".join(f'<{tag} class="{kind}">{escape(str(t))}</{tag}>' for kind, t in pairs)

    body = "".join(
        f"<tr{' class=marked' if i in table.marked else ''}>{cells('td', row)}</tr>\n"
        for i, row in enumerate(table.rows)
    )
    head = f"<thead><tr>{cells('th', table.titles)}</tr></thead>"
    return f'<div class="scroll"><table>{head}\n<tbody>\n{body}</tbody></table></div>\n'


def _kind(texts: Sequence[str]) -> str:
    """Return the CSS class of a column, see the style in :mod:`.page`."""
    if all(NUMBER.fullmatch(str(text)) for text in texts):
        return "number"
    return "long" if max(len(str(text)) for text in texts) > LONG else "words"


def to_markdown(table: Table) -> str:
    """Render a table in Markdown; marked rows are bold."""
    rule = ["---" if side == "l" else "---:" for side in table.alignment]

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |\n"

    titles, rows = _converted(table, lambda text: text.replace("|", r"\|"), "**{}**")
    return "".join(map(line, [titles, rule, *rows]))


def to_latex(table: Table) -> str:
    """Render a table as a LaTeX ``tabular`` for booktabs; marked rows are bold."""

    def line(cells: Sequence[str]) -> str:
        return f"{' & '.join(cells)} \\\\\n"

    titles, rows = _converted(table, _latex_text, r"\textbf{{{}}}")
    return (
        f"\\begin{{tabular}}{{{table.alignment}}}\n\\toprule\n{line(titles)}\\midrule\n"
        f"{''.join(map(line, rows))}\\bottomrule\n\\end{{tabular}}\n"
    )


def _latex_text(text: str) -> str:
    special = {c: f"\\{c}" for c in "%_&#${}"} | {"\\": r"\textbackslash{}"}
    return "".join(special.get(character, character) for character in text)


def _converted(
    table: Table, convert: Callable[[str], str], bold: str
) -> tuple[list[str], list[list[str]]]:
    """Convert every text of a table.

    Args:
        table: the table.
        convert: escapes a text.
        bold: format string of the cells in marked rows.

    Returns:
        The titles and the rows.
    """
    rows = [
        [bold.format(convert(t)) if i in table.marked and t else convert(t) for t in row]
        for i, row in enumerate(table.rows)
    ]
    return [convert(title) for title in table.titles], rows
