"""The parts of the console that decide: complete or not, where piped code is cut, images, marks."""

from __future__ import annotations

import base64
import io
import stat
from pathlib import Path

import pytest
from PIL import Image

from runt_cli.jupyter.console.attached import Face, MarkedLines, marked
from runt_cli.jupyter.console.completeness import Pieces, indent_after, is_complete
from runt_cli.jupyter.console.images import Protocol, image_sequence, protocol_of
from runt_cli.jupyter.console.prompt import private_history
from runt_cli.output_printer import Screen
from runtimed.client.results import Output


@pytest.mark.parametrize(
    ("code", "complete"),
    [
        ("x = 1", True),
        ("f(", False),
        ("def f():", False),
        ("def f():\n    return 1", False),
        ("def f():\n    return 1\n", True),
        ("if x: y\n    ", True),
        ("@decorator", False),
        ("'''text", False),
        ("x = ]", True),
        ("await f()", True),
        ("async with a:", False),
        ("!ls (", True),
        ("%time f(", True),
        ("%%time", False),
        ("%%time\nf()\n", True),
        ("len?", True),
    ],
)
def test_python_is_run_when_it_is_complete(code: str, complete: bool) -> None:
    assert is_complete(code, "python") is complete


def test_other_languages_go_by_their_brackets() -> None:
    assert not is_complete("function f() {", "typescript")
    assert is_complete("function f() { return [1] }", "typescript")
    assert is_complete("function f() {\n", "typescript")


def test_the_next_line_is_indented_as_its_block() -> None:
    assert indent_after("def f():") == "    "
    assert indent_after("def f():\n    x = 1") == "    "
    assert indent_after("x = 1") == ""


def _cut(text: str, language: str = "python") -> list[str]:
    pieces = Pieces(language)
    fed = [piece for line in text.split("\n") for piece in pieces.feed(line)]
    return fed + pieces.finish()


def test_piped_code_is_cut_where_a_person_would_press_enter() -> None:
    code = (
        "x = 1\n\ndef f():\n    a = 1\n\n    return a\nf()\nif x:\n    1\nelse:\n    2\ny = (\n1)\n"
    )
    assert _cut(code) == [
        "x = 1",
        "def f():\n    a = 1\n\n    return a",
        "f()",
        "if x:\n    1\nelse:\n    2",
        "y = (\n1)",
    ]
    assert _cut("@d\ndef f(): pass\n!ls\n%%time\nf()\ng()") == [
        "@d\ndef f(): pass",
        "!ls",
        "%%time\nf()\ng()",
    ]
    assert _cut("x = ]\nprint(1)") == ["x = ]", "print(1)"]
    assert _cut("let x = 1;\nlet y = 2;\n", "typescript") == ["let x = 1;\nlet y = 2;"]


def test_a_simple_statement_does_not_wait_for_the_next_line() -> None:
    assert Pieces("python").feed("print(1)") == ["print(1)"]


@pytest.mark.parametrize(
    ("environ", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM_PROGRAM": "ghostty"}, "kitty"),
        ({"TERM_PROGRAM": "iTerm.app"}, "iterm2"),
        ({"LC_TERMINAL": "iTerm2"}, "iterm2"),
        ({"TERM": "foot"}, "sixel"),
        ({"TERM": "xterm-256color"}, "none"),
        ({"TERM_PROGRAM": "iTerm.app", "TMUX": "/tmp/x"}, "none"),
        ({}, "none"),
    ],
)
def test_the_environment_tells_how_images_are_shown(
    environ: dict[str, str], protocol: Protocol
) -> None:
    assert protocol_of(environ) == protocol


def _png() -> dict[str, str]:
    image = Image.effect_noise((60, 40), 80).convert("RGB")  # large enough for several pieces
    image.paste((255, 0, 0), (0, 0, 30, 40))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return {"image/png": base64.b64encode(buffer.getvalue()).decode() + "\n"}


def test_images_are_written_as_each_protocol_says() -> None:
    data = _png()
    bare = data["image/png"].strip()
    kitty = image_sequence(data, "kitty")
    assert kitty is not None
    parts = kitty.rstrip("\n").split("\x1b\\")[:-1]
    assert "".join(part.partition(";")[2] for part in parts) == bare
    assert parts[0].startswith("\x1b_Ga=T,f=100,q=2,m=")
    assert all(len(part) < 4200 for part in parts)
    iterm2 = image_sequence(data, "iterm2")
    size = len(base64.b64decode(bare))
    assert iterm2 == f"\x1b]1337;File=inline=1;size={size}:{bare}\x07\n"
    sixel = image_sequence(data, "sixel")
    assert sixel is not None
    assert sixel.startswith('\x1bPq"1;1;60;40#0;2;')
    assert sixel.endswith("\x1b\\\n")
    assert sixel.count("-") == 7  # bands of six rows
    for protocol in ("kitty", "iterm2", "sixel", "none"):
        assert image_sequence({"image/svg+xml": "<svg/>"}, protocol) is None
    assert image_sequence({"image/png": base64.b64encode(b"no").decode()}, "sixel") is None


def test_results_have_their_number_and_what_can_not_be_shown_a_note() -> None:
    face = Face(Screen(io.BytesIO(), io.BytesIO()), lambda text: None)

    def rich(kind: str, **data: str) -> str:
        data = {mime.replace("_", "/"): text for mime, text in data.items()}
        return face.rich(Output(output_type=kind, data=data, execution_count=3))

    assert rich("execute_result", text_plain="42") == "Out[3]: 42\n"
    assert rich("execute_result", text_plain="a\nb") == "Out[3]:\na\nb\n"
    assert rich("display_data", text_plain="42") == "42\n"
    note = rich("display_data", **_png())
    assert note.startswith("[image/png 60x40, ")


def test_what_others_run_is_marked_line_by_line() -> None:
    assert marked("a\nb\n", 3) == "[other] In [3]: a\n[other]     ...: b\n"
    seen: list[str] = []
    lines = MarkedLines(seen.append)
    for piece in (b"one\ntw", b"o\n10%\r20%", b"\r100%"):
        lines.write(piece)
    assert seen == ["[other] one\n", "[other] two\n"]
    lines.finish()
    assert seen[2:] == ["[other] 100%\n"]


def test_the_history_is_private_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "history"
    path.parent.mkdir()
    entries = [f"\n# time\n+{n}\n" for n in range(10_001)]
    path.write_text("".join(entries))
    path.chmod(0o644)
    history = private_history(path)
    history.append_string("secret = 1")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    kept = list(private_history(path).load_history_strings())
    assert (len(kept), kept[0], kept[1], kept[-1]) == (5001, "secret = 1", "10000", "5001")


def test_without_a_place_for_it_the_history_is_kept_in_memory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    history = private_history(tmp_path / "file" / "history")
    history.append_string("x")
    assert history.get_strings() == ["x"]
    assert capsys.readouterr().err.startswith("No history is kept: ")
