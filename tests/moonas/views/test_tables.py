"""Rendering of tables as console output, HTML, Markdown and LaTeX."""

import dataclasses
import io

import pytest
from reading import ParsedPage
from rich.console import Console
from toy import Toy

from moonas.pareto import Row
from moonas.views.front import front_table
from moonas.views.tables import Table, to_console, to_html, to_latex, to_markdown

MARKED = Table(
    ["algorithm", "to 99 %", "rank"],
    [["nsga_2", "1,200", "1.50"], ["a|b [bold]", "never", ""]],
    marked=[1],
    title="[a] title",
    caption="* picked: [b]",
)
UNMARKED = dataclasses.replace(MARKED, marked=())


def console_lines(table, width=60, **options):
    """Return the lines of a table on a console, without trailing spaces."""
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(to_console(table, **options))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_console_table_has_a_title_a_caption_and_a_star_per_marked_row():
    assert console_lines(MARKED) == [
        "[a] title",
        "┏━━━┳━━━━━━━━━━━━┳━━━━━━━━━┳━━━━━━┓",
        "┃   ┃ algorithm  ┃ to 99 % ┃ rank ┃",
        "┡━━━╇━━━━━━━━━━━━╇━━━━━━━━━╇━━━━━━┩",
        "│   │ nsga_2     │   1,200 │ 1.50 │",
        "│ * │ a|b [bold] │   never │      │",
        "└───┴────────────┴─────────┴──────┘",
        "* picked: [b]",
    ]


def test_a_compact_console_table_has_a_rule_below_the_titles_and_no_frame():
    table = dataclasses.replace(UNMARKED, title="", caption="")
    assert console_lines(table, compact=True) == [
        "",
        " algorithm   to 99 %  rank",
        " ─────────────────────────",
        " nsga_2        1,200  1.50",
        " a|b [bold]    never",
        "",
    ]


def test_long_text_in_the_last_column_is_folded_and_not_truncated():
    table = Table(["n", "architecture"], [["1", "x" * 30]], alignment="rl")
    assert "".join(console_lines(table, width=20)).count("x") == 30
    assert "…" not in "".join(console_lines(table, width=20))


def test_html_tables_have_headers_with_scopes_marked_rows_and_escaped_text():
    table = Table(
        ["a<b", "n", "text"],
        [["x&y", "1.5", "z" * 37], ["", "-", "w"]],
        marked=(1,),
        title="<t>",
        caption="* <c>",
    )
    assert to_html(table) == (
        '<div class="scroll" tabindex="0" role="region" aria-label="&lt;t&gt;"><table>'
        '<caption class="hidden">&lt;t&gt;</caption>'
        '<thead><tr><th class="words" scope="col">a&lt;b</th>'
        '<th class="number" scope="col">n</th><th class="long" scope="col">text</th></tr></thead>\n'
        '<tbody>\n<tr><th class="words" scope="row">x&amp;y</th><td class="number">1.5</td>'
        f'<td class="long">{"z" * 37}</td></tr>\n'
        '<tr class="marked"><th class="words" scope="row">'
        '<span role="img" aria-label="marked"> *</span></th>'
        '<td class="number">-</td><td class="long">w</td></tr>\n'
        '</tbody>\n</table></div>\n<p class="note">* &lt;c&gt;</p>\n'
    )


def test_the_last_column_of_an_html_table_can_be_below_the_others():
    table = Table(["n", "a", "b", "text"], [["0", "1", "2", "long"], ["1", "3", "4", "x"]], (1,))
    html = to_html(table, last_below=True)
    assert ParsedPage(html).words("td") == ["1", "2", "long", "3", "4", "x"]
    assert [a.get("colspan") for a in ParsedPage(html).attributes("td")] == [None, None, "2"] * 2
    assert ParsedPage(html).words("th") == ["n", "a", "b", "text", "0", "1"]
    assert html.count("<tbody>") == 2
    marked = ["marked" in a.get("class", "") for a in ParsedPage(html).attributes("tr")]
    assert marked == [False] * 4 + [True] * 2


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("number", ["1", "-2.50", "+3"]),
        ("number", ["12,345", "0.62*", "-", ""]),
        ("number", ["3.1 %", "12k", "5 ms", "0.3 s"]),
        ("number", ["3 of 31", "0.1 to 0.2", "never", "none"]),
        ("words", ["1", "2 cats"]),
        ("words", ["0.1", "x" * 36]),
        ("long", ["0.1", "x" * 37]),
    ],
)
def test_the_class_of_an_html_column_depends_on_its_content(kind, texts):
    read = ParsedPage(to_html(Table(["first", "second"], [["a word", text] for text in texts])))
    assert [a["class"] for a in read.attributes("td")] == [kind] * len(texts)
    assert [a["class"] for a in read.attributes("th")] == ["words", kind] + ["words"] * len(texts)
    assert read.words("td") == texts


def test_only_marked_rows_of_html_tables_have_a_class():
    rows = ParsedPage(
        to_html(Table(["n"], [[str(i)] for i in range(4)], marked=(1, 3)))
    ).attributes("tr")
    assert [a.get("class") for a in rows] == [None, None, "marked", None, "marked"]


def test_markdown_escapes_bars_and_marks_rows_in_bold():
    assert to_markdown(UNMARKED) == (
        "| algorithm | to 99 % | rank |\n"
        "| --- | ---: | ---: |\n"
        "| nsga_2 | 1,200 | 1.50 |\n"
        "| a\\|b [bold] | never |  |\n"
    )
    assert to_markdown(MARKED).splitlines()[3] == "| **a\\|b [bold]** | **never** |  |"


def test_latex_escapes_special_characters_and_marks_rows_in_bold():
    assert to_latex(UNMARKED) == (
        "\\begin{tabular}{lrr}\n\\toprule\n"
        "algorithm & to 99 \\% & rank \\\\\n\\midrule\n"
        "nsga\\_2 & 1,200 & 1.50 \\\\\n"
        "a|b [bold] & never &  \\\\\n"
        "\\bottomrule\n\\end{tabular}\n"
    )
    marked = to_latex(MARKED).splitlines()[5]
    assert marked == "\\textbf{a|b [bold]} & \\textbf{never} &  \\\\"
    special = to_latex(Table(["a\\b"], [["#1 {$2} & 3"]]))
    assert "a\\textbackslash{}b \\\\\n" in special and "\\#1 \\{\\$2\\} \\& 3" in special


def test_rows_and_alignments_of_invalid_length_are_rejected():
    with pytest.raises(ValueError, match="Row 1 is invalid: expected 2 columns, got 3"):
        Table(["a", "b"], [["1", "2"], ["1", "2", "3"]])
    for alignment in ("l", "lrr", "lc"):
        with pytest.raises(ValueError, match="expected 2 letters, each l or r"):
            Table(["a", "b"], [], alignment=alignment)


def test_the_table_of_a_front_has_row_numbers_objectives_sizes_and_architectures():
    toy = Toy()
    toy.architecture_title = "in words"
    values = [{"error": 12.345, "params": 1234}, {"error": 5.0, "params": 99999}]
    rows = [Row(None, f"[net] {i}", v, v) for i, v in enumerate(values)]
    table = front_table(toy, rows, 1, "the knee of the front")
    assert table.titles == ["row", "error (%)", "params", "architecture: in words"]
    assert table.rows == [["0", "12.35", "1,234", "[net] 0"], ["1", "5.00", "99,999", "[net] 1"]]
    assert console_lines(table) == [
        "Pareto front: 2 networks",
        "┏━━━┳━━━━━┳━━━━━━━━━━━┳━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┓",
        "┃   ┃ row ┃ error (%) ┃ params ┃ architecture: in words ┃",
        "┡━━━╇━━━━━╇━━━━━━━━━━━╇━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━┩",
        "│   │   0 │     12.35 │  1,234 │ [net] 0                │",
        "│ * │   1 │      5.00 │ 99,999 │ [net] 1                │",
        "└───┴─────┴───────────┴────────┴────────────────────────┘",
        "* picked: the knee of the front",
    ]
    assert front_table(toy, rows[:1]).title == "Pareto front: 1 network"
