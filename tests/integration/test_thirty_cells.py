"""A notebook as Jupyter writes it, of thirty cells of every kind, through `runt run --save`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell

from daemon_home import DaemonHome

pytestmark = pytest.mark.real

PNG = (
    "import zlib, struct\n"
    "def chunk(kind, data):\n"
    "    body = kind + data\n"
    "    return struct.pack('>I', len(data)) + body + struct.pack('>I', zlib.crc32(body))\n"
    "rows = b''.join(b'\\0' + bytes([x % 256, y % 256, 128] * 1)[:3] * 64\n"
    "                for y, x in enumerate(range(64)))\n"
    "png = (b'\\x89PNG\\r\\n\\x1a\\n'\n"
    "       + chunk(b'IHDR', struct.pack('>IIBBBBB', 64, 64, 8, 2, 0, 0, 0))\n"
    "       + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b''))\n"
    "from IPython.display import Image, display\n"
    "display(Image(data=png))"
)

SOURCES = [
    "print('one')",
    "1 + 1",
    "import sys; print('out'); print('err', file=sys.stderr); print('out again')",
    "from IPython.display import HTML; HTML('<b>bold</b>\\n<i>italic</i>')",
    PNG,
    "from IPython.display import Markdown, Latex, JSON, SVG; display(Markdown('# Überschrift'))",
    "display(Latex('$x^2$'))",
    "display(JSON({'b': [1, 2], 'a': None}))",
    'display(SVG(\'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>\'))',
    "print('Grüße 世界 🎈 \\u0000 \\u200d')",
    "for i in range(5): print(f'\\r{i}', end='')",
    "1 / 0  # tagged raises-exception",
    "import ipywidgets; ipywidgets.IntSlider(value=3)",
    "handle = display('first', display_id=True)",
    "handle.update('second')",
    "from IPython.display import clear_output; print('gone'); clear_output(); print('stays')",
    "print('gone too'); clear_output(wait=True); print('stays too')",
    "x = 42",
    "x",
    "%%time\nsum(range(1000))",
    "!echo from the shell",
    "print('\\x1b[31mred\\x1b[0m')",
    "import warnings; warnings.warn('careful')",
    "print('x' * 20000)",
    "import IPython; IPython.__name__",
    "",
]


def thirty_cells() -> Any:
    cells = [new_markdown_cell("# Title\n\ntext"), new_raw_cell("raw *text*")]
    cells += [new_code_cell(source) for source in SOURCES]
    cells += [new_markdown_cell("- a\n- b"), new_markdown_cell("the end")]
    failing = next(cell for cell in cells if cell.source.startswith("1 / 0"))
    failing.metadata["tags"] = ["raises-exception"]
    cells[0].attachments = {"a.png": {"image/png": "aGVsbG8="}}
    cells[2].outputs = [new_output("stream", name="stdout", text="of an earlier run\n")]
    cells[2].metadata["collapsed"] = True
    cells[2].metadata["vendor"] = {"kept": [1, {"two": 2}]}
    assert len(cells) == 30
    return new_notebook(
        cells=cells,
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python", "codemirror_mode": {"name": "ipython"}},
            "vendor": {"kept": True},
        },
    )


@pytest.fixture(scope="module")
def saved(daemon_home: DaemonHome) -> Path:
    path = daemon_home.home / "thirty cells é.ipynb"
    nbformat.write(thirty_cells(), path)
    done = daemon_home.runt("run", str(path), "--save")
    assert done.returncode == 0, done.stderr
    return path


def outputs_of(path: Path, source: str) -> list[Any]:
    notebook = nbformat.read(path, as_version=4)
    [cell] = [cell for cell in notebook.cells if cell.source == source]
    return list(cell.outputs)


def test_jupyter_accepts_the_saved_file(saved: Path) -> None:
    nbformat.validate(nbformat.read(saved, as_version=nbformat.NO_CONVERT))
    html = saved.with_suffix(".html")
    done = subprocess.run(
        [sys.executable, "-m", "nbconvert", "--to", "html", str(saved)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    text = html.read_text()
    for piece in ("<b>bold</b>", "Grüße 世界", "data:image/png;base64,", "ZeroDivisionError"):
        assert piece in text


def test_every_output_is_what_jupyter_would_have_saved(saved: Path) -> None:
    [one] = outputs_of(saved, "print('one')")
    assert (one.name, one.text) == ("stdout", "one\n")
    streams = outputs_of(saved, SOURCES[2])
    assert "".join(o.text for o in streams if o.name == "stdout") == "out\nout again\n"
    assert "".join(o.text for o in streams if o.name == "stderr") == "err\n"
    [html] = outputs_of(saved, SOURCES[3])
    assert html.data["text/html"] == "<b>bold</b>\n<i>italic</i>"
    [image] = outputs_of(saved, PNG)
    assert image.data["image/png"].startswith("iVBORw0KGgo")
    [data] = outputs_of(saved, "display(JSON({'b': [1, 2], 'a': None}))")
    assert data.data["application/json"] == {"a": None, "b": [1, 2]}
    [text] = outputs_of(saved, SOURCES[9])
    assert text.text == "Grüße 世界 🎈 \u0000 \u200d\n"
    [counter] = outputs_of(saved, SOURCES[10])
    assert counter.text == "4"
    [error] = outputs_of(saved, SOURCES[11])
    assert error.ename == "ZeroDivisionError"
    [widget] = outputs_of(saved, SOURCES[12])
    assert "IntSlider(value=3" in widget.data["text/plain"]
    [updated] = outputs_of(saved, SOURCES[13])
    assert updated.data["text/plain"] == "'second'"
    assert [o.text for o in outputs_of(saved, SOURCES[15])] == ["stays\n"]
    assert [o.text for o in outputs_of(saved, SOURCES[16])] == ["stays too\n"]
    [shell] = outputs_of(saved, "!echo from the shell")
    assert shell.text.strip() == "from the shell"
    [red] = outputs_of(saved, SOURCES[21])
    assert red.text == "\x1b[31mred\x1b[0m\n"
    [long] = outputs_of(saved, "print('x' * 20000)")
    assert long.text == "x" * 20000 + "\n"


def test_what_is_not_ours_is_kept(saved: Path) -> None:
    notebook = nbformat.read(saved, as_version=4)
    original = thirty_cells()
    assert [cell.source for cell in notebook.cells] == [cell.source for cell in original.cells]
    assert notebook.metadata["vendor"] == {"kept": True}
    assert notebook.metadata["language_info"]["codemirror_mode"] == {"name": "ipython"}
    assert notebook.cells[0].attachments == {"a.png": {"image/png": "aGVsbG8="}}
    assert notebook.cells[2].metadata["vendor"] == {"kept": [1, {"two": 2}]}
    assert "transient" not in saved.read_text()
