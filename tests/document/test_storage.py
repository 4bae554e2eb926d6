"""Stored documents: whole chunks are kept, a cut or damaged tail is not."""

from __future__ import annotations

from runtimed.document.actors import daemon_actor
from runtimed.document.notebook import NewCell, NotebookDocument
from runtimed.document.storage import split_chunks


def stored() -> tuple[bytes, list[bytes], list[list[str]]]:
    """A base, chunks behind it, and the cell ids after the base and after each chunk."""
    doc = NotebookDocument.create("nb", daemon_actor())
    doc.insert_cell("first", "code", "1 + 1")
    base, chunks, ids = doc.save(), [], [doc.cell_ids()]
    for i in range(3):
        heads = doc.heads
        doc.insert_cell(f"c{i}", "code", "print('hello')")
        chunks.append(doc.changes_since(heads))
        ids.append(doc.cell_ids())
    return base, chunks, ids


def test_a_tail_cut_at_any_byte_leaves_what_was_whole() -> None:
    base, chunks, ids = stored()
    data = base + b"".join(chunks)
    ends = [len(base)]
    for chunk in chunks:
        ends.append(ends[-1] + len(chunk))
    for cut in range(len(data) + 1):
        good, lost = split_chunks(data[:cut])
        whole = [end for end in ends if end <= cut]
        assert len(good) == (whole[-1] if whole else 0)
        assert lost == cut - len(good)
        if good and (lost == 0 or cut % 16 == 0):
            loaded = NotebookDocument.load(good, daemon_actor())
            assert loaded.cell_ids() == ids[len(whole) - 1]


def test_a_damaged_byte_ends_the_good_part_before_its_chunk() -> None:
    base, chunks, _ = stored()
    data = base + b"".join(chunks)
    for at in range(0, len(chunks[0]), 7):
        broken = bytearray(data)
        broken[len(base) + at] ^= 0x55
        good, lost = split_chunks(bytes(broken))
        assert good == base
        assert lost == len(data) - len(base)


def test_a_whole_file_is_returned_as_it_is() -> None:
    base, chunks, _ = stored()
    data = base + b"".join(chunks)
    assert split_chunks(data) == (data, 0)
    assert split_chunks(b"") == (b"", 0)


def test_compressed_changes_are_whole_too() -> None:
    source = "a long line that compresses well\n" * 100
    doc = NotebookDocument.create("nb", daemon_actor())
    doc.load_cells([NewCell("c", source=source)])
    loaded = NotebookDocument.load(doc.save(), daemon_actor())
    data = loaded.changes_since([])
    peer, other = loaded.new_peer(), NotebookDocument.empty(b"e")
    assert split_chunks(data) == (data, 0)
    assert split_chunks(data[:-1])[1] > 0
    assert not other.cell_ids()
    assert loaded.generate_sync(peer)


def test_what_is_no_document_has_no_good_part() -> None:
    for junk in (b"junk", b"\x85\x6f\x4a\x83", b"\x85\x6f\x4a\x83" + b"\xff" * 40, b"\0" * 1000):
        assert split_chunks(junk) == (b"", len(junk))
