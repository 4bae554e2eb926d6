from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runt_cli.table import Column, drawn, plain, printable, shortened, width_of

COLUMNS = (
    Column("NOTEBOOK", rank=0, shorten="path", shortest=12),
    Column("KERNEL", rank=3),
    Column("STATUS", rank=1),
    Column("PEERS", rank=2, right=True),
)
ROWS = [
    ("~/projects/2026/analysis/Überblick Q1.ipynb", "python", "idle", "1"),
    ("0b2f6d1e-6a53-4d2b-9a0e-5c2f0f3e9a77", "deno", "busy", "12"),
]


def shown(width: int) -> str:
    return "\n".join(line for part in drawn(COLUMNS, ROWS, width) for line in part)


def test_a_wide_terminal_gets_everything() -> None:
    assert shown(100) == (
        "╭─────────────────────────────────────────────┬────────┬────────┬───────╮\n"
        "│ NOTEBOOK                                    │ KERNEL │ STATUS │ PEERS │\n"
        "├─────────────────────────────────────────────┼────────┼────────┼───────┤\n"
        "│ ~/projects/2026/analysis/Überblick Q1.ipynb │ python │ idle   │     1 │\n"
        "│ 0b2f6d1e-6a53-4d2b-9a0e-5c2f0f3e9a77        │ deno   │ busy   │    12 │\n"
        "╰─────────────────────────────────────────────┴────────┴────────┴───────╯"
    )


def test_a_path_is_shortened_before_a_column_goes() -> None:
    assert shown(60) == (
        "╭────────────────────────────────┬────────┬────────┬───────╮\n"
        "│ NOTEBOOK                       │ KERNEL │ STATUS │ PEERS │\n"
        "├────────────────────────────────┼────────┼────────┼───────┤\n"
        "│ …/analysis/Überblick Q1.ipynb  │ python │ idle   │     1 │\n"
        "│ 0b2f6d1e-6a53-4d2b-9a0e-5c2f0… │ deno   │ busy   │    12 │\n"
        "╰────────────────────────────────┴────────┴────────┴───────╯"
    )


def test_forty_columns_keep_the_important_ones() -> None:
    assert shown(40) == (
        "╭─────────────────────┬────────┬───────╮\n"
        "│ NOTEBOOK            │ STATUS │ PEERS │\n"
        "├─────────────────────┼────────┼───────┤\n"
        "│ Überblick Q1.ipynb  │ idle   │     1 │\n"
        "│ 0b2f6d1e-6a53-4d2b… │ busy   │    12 │\n"
        "╰─────────────────────┴────────┴───────╯"
    )


@given(
    st.lists(
        st.tuples(*[st.text(st.characters(codec="utf-8"), max_size=30).map(printable)] * 4),
        max_size=4,
    ),
    st.integers(34, 140),
)
def test_no_line_is_wider_than_the_terminal_and_all_are_equally_wide(
    rows: list[tuple[str, str, str, str]], width: int
) -> None:
    columns = [Column(c.header, c.rank, "path", 8, c.right) for c in COLUMNS]
    lines = [line for part in drawn(columns, rows, width) for line in part]
    assert len({width_of(line) for line in lines}) == 1
    assert width_of(lines[0]) <= width


def test_a_pipe_gets_all_of_it() -> None:
    assert plain(COLUMNS, ROWS) == [
        "NOTEBOOK                                     KERNEL  STATUS  PEERS",
        "~/projects/2026/analysis/Überblick Q1.ipynb  python  idle        1",
        "0b2f6d1e-6a53-4d2b-9a0e-5c2f0f3e9a77         deno    busy       12",
    ]


def test_wide_and_combining_characters_are_counted_as_they_are_shown() -> None:
    assert (width_of("笔记"), width_of("e\u0301"), width_of("a")) == (4, 1, 1)
    assert plain([Column("N"), Column("X")], [("笔记", "1"), ("e\u0301", "2")]) == [
        "N     X",
        "笔记  1",
        "e\u0301     2",
    ]


def test_a_text_is_shortened_on_the_side_that_says_least() -> None:
    assert shortened("~/a/b/analysis.ipynb", 18, path=True) == "…/b/analysis.ipynb"
    assert shortened("~/a/b/analysis.ipynb", 14, path=True) == "analysis.ipynb"
    assert shortened("~/a/b/analysis.ipynb", 10, path=True) == "analysis.…"
    assert shortened("0b2f6d1e-6a53-4d2b", 9, path=True) == "0b2f6d1e…"
    assert shortened("uv:prewarmed", 8) == "uv:prew…"
    assert shortened("short", 5, path=True) == "short"


def test_what_would_move_the_cursor_is_spelt_out() -> None:
    assert printable("a\nb\x1b[2J\x7f.ipynb") == "a\\nb\\x1b[2J\\x7f.ipynb"
    assert printable("Überblick 笔记") == "Überblick 笔记"
