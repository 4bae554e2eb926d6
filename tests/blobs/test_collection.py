"""Garbage collection without processes: real files, a clock of the test's own."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimed.blobs import marking
from runtimed.blobs.collection import Present, judge
from runtimed.blobs.files import BlobWriter, blob_path, remove_blob
from runtimed.blobs.marking import Look, Task, look
from runtimed.document.actors import daemon_actor
from runtimed.document.notebook import NewCell, NotebookDocument
from runtimed.outputs.manifest import MANIFEST_MEDIA_TYPE, build_manifest

GRACE = 100.0
START = 1_000_000.0


class Disk:
    """A blob folder and a folder of documents, at a time that only the test moves."""

    def __init__(self, folder: Path) -> None:
        self.now = START
        self.blobs = folder / "blobs"
        self.documents = folder / "documents"
        self.marks = folder / "marks.json"
        self.documents.mkdir()
        self._writer = BlobWriter(self.blobs)

    def put(self, data: bytes, media_type: str = "text/plain") -> str:
        blob_hash = hashlib.sha256(data).hexdigest()
        self._writer.write(blob_hash, data, media_type)
        os.utime(blob_path(self.blobs, blob_hash), (self.now, self.now))
        return blob_hash

    def put_output(self, text: str) -> str:
        """An output whose text is a blob of its own."""
        manifest = build_manifest(
            {"output_type": "stream", "name": "stdout", "text": text.ljust(9000)}
        )
        for blob in manifest.blobs:
            self.put(blob.data, blob.media_type)
        return self.put(manifest.json, MANIFEST_MEDIA_TYPE)

    def save(self, name: str, outputs: list[str]) -> Path:
        document = NotebookDocument.create(name, daemon_actor())
        document.load_cells([NewCell("c", outputs=tuple(outputs))])
        path = self.documents / name
        path.write_bytes(document.save())
        return path

    def look(self, live: list[str] | None = None) -> Look:
        task = Task(str(self.documents), str(self.blobs), str(self.marks), GRACE, live or [])
        return look(task, self.now)

    def remove(self, found: Look, put_before: float) -> list[str]:
        return [
            name for name in found.garbage if remove_blob(self.blobs, name, put_before) is not None
        ]

    def collect(self, live: list[str] | None = None) -> Look:
        found = self.look(live)
        self.remove(found, self.now - GRACE)
        return found

    def there(self) -> set[str]:
        return {
            path.parent.name + path.name
            for path in self.blobs.glob("??/*")
            if path.suffix != ".meta"
        }


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def led_to(disk: Disk, manifest: str) -> set[str]:
    content = orjson.loads(blob_path(disk.blobs, manifest).read_bytes())
    return {manifest, content["text"]["blob"]}


def test_an_unreferenced_blob_goes_after_the_grace_time_and_what_it_leads_to(disk: Disk) -> None:
    kept, old = disk.put_output("kept"), disk.put_output("old")
    expected = led_to(disk, kept)
    path = disk.save("a.automerge", [kept, old])
    disk.now += 10 * GRACE
    assert disk.collect().garbage == []
    path.unlink()
    disk.save("a.automerge", [kept])
    first = disk.collect()
    assert first.garbage == []
    assert first.next_due == disk.now + GRACE
    disk.now += GRACE - 1
    assert disk.collect().garbage == []
    disk.now += 1
    assert set(disk.collect().garbage).isdisjoint(expected)
    assert disk.there() == expected
    assert disk.collect().next_due is None


def test_what_only_an_open_notebook_mentions_stays(disk: Disk) -> None:
    live = disk.put_output("live")
    for _ in range(3):
        disk.now += 2 * GRACE
        assert disk.collect([live]).garbage == []
    assert disk.there() == led_to(disk, live)


def test_a_blob_that_is_put_again_is_as_new(disk: Disk) -> None:
    blob_hash = disk.put(b"again")
    disk.collect()
    disk.now += GRACE
    found = disk.look()
    assert found.garbage == [blob_hash]
    disk.put(b"again")  # between the look and the removal
    assert disk.remove(found, disk.now - GRACE) == []
    disk.now += GRACE / 2
    assert disk.collect().garbage == []
    disk.now += GRACE
    assert disk.collect().garbage == [blob_hash]
    assert disk.there() == set()


def test_documents_kept_aside_count_as_long_as_they_can_be_read(disk: Disk) -> None:
    one, two = disk.put_output("1"), disk.put_output("2")
    disk.save("a.automerge.unsaved-2", [one])
    disk.save("b.automerge.corrupt", [two])
    (disk.documents / "c.automerge.corrupt-3").write_bytes(b"no document at all")
    for _ in range(3):
        disk.now += 2 * GRACE
        assert disk.collect().blocked is None
    assert disk.there() == led_to(disk, one) | led_to(disk, two)


@pytest.mark.parametrize("name", ["a.automerge", "a.automerge.unsaved"])
def test_a_document_that_can_not_be_read_protects_everything(disk: Disk, name: str) -> None:
    disk.put(b"may be named there")
    disk.now += 2 * GRACE
    disk.collect()
    disk.now += 2 * GRACE
    (disk.documents / name).write_bytes(b"no document at all")
    found = disk.collect()
    assert found.garbage == []
    assert found.blocked is not None
    assert str(disk.documents / name) in found.blocked
    assert len(disk.there()) == 1
    (disk.documents / name).unlink()
    disk.collect()
    assert disk.there() == set()


def test_other_files_beside_the_documents_name_blobs_too(disk: Disk) -> None:
    named = disk.put(b"named")
    (disk.documents / "a.base.json").write_text(f'{{"outputs": ["{named}"]}}')
    for _ in range(3):
        disk.now += 2 * GRACE
        disk.collect()
    assert disk.there() == {named}


def test_documents_at_rest_are_read_once(disk: Disk) -> None:
    outputs = [disk.put_output(str(number)) for number in range(5)]
    for number, output in enumerate(outputs):
        disk.save(f"{number}.automerge", [output])
    assert disk.look().scanned == 5
    assert disk.look().scanned == 0
    disk.save("3.automerge", [outputs[0]])
    assert disk.look().scanned == 1
    disk.now += GRACE
    assert set(disk.look().garbage) == led_to(disk, outputs[3])


def test_a_manifest_that_comes_back_is_followed_again(disk: Disk) -> None:
    output = disk.put_output("x")
    named = led_to(disk, output)
    disk.save("a.automerge", [output])
    manifest = blob_path(disk.blobs, output)
    content = manifest.read_bytes()
    manifest.unlink()
    disk.look()
    manifest.write_bytes(content)
    for _ in range(3):
        disk.now += 2 * GRACE
        disk.collect()
    assert disk.there() == named


def test_a_document_that_is_renamed_during_the_look_is_not_missed(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = disk.put_output("x")
    path = disk.save("a.automerge", [output])
    disk.now += 2 * GRACE
    real = marking._read_document
    renamed: list[Path] = []

    def rename_first(found: Path) -> Any:
        if not renamed:
            renamed.append(path.rename(path.with_name("a.automerge.unsaved")))
        return real(found)

    monkeypatch.setattr(marking, "_read_document", rename_first)
    disk.collect()
    disk.now += 2 * GRACE
    disk.collect()
    assert disk.there() == led_to(disk, output)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 1}', b'{"version": 99}'])
def test_marks_that_can_not_be_read_cost_time_alone(disk: Disk, content: bytes) -> None:
    output = disk.put_output("x")
    disk.save("a.automerge", [output])
    disk.marks.write_bytes(content)
    assert disk.look().scanned == 1
    assert disk.there() == led_to(disk, output)


def test_a_sidecar_whose_blob_is_gone_goes_too(disk: Disk) -> None:
    path = blob_path(disk.blobs, disk.put(b"x"))
    path.unlink()
    os.utime(f"{path}.meta", (disk.now, disk.now))
    disk.collect()
    disk.now += GRACE
    disk.remove(disk.look(), disk.now - GRACE + 1)
    assert list(disk.blobs.glob("??/*")) == []


TEXTS = st.integers(0, 5)
STEPS = st.one_of(
    st.tuples(st.just("put"), TEXTS),
    st.tuples(st.just("run"), st.sampled_from("abc"), st.lists(TEXTS, max_size=3)),
    st.tuples(st.just("copy"), st.sampled_from("abc"), st.sampled_from("abc")),
    st.tuples(st.just("open"), st.sampled_from("abc")),
    st.tuples(st.just("close")),
    st.tuples(st.just("wait"), st.sampled_from([1.0, GRACE / 2, GRACE, 3 * GRACE])),
    st.tuples(st.just("collect"), st.none() | TEXTS),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_nothing_that_is_referred_to_is_lost_and_all_else_goes(steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        disk = Disk(Path(folder))
        outputs: dict[str, list[str]] = {}  # of each document
        blobs: dict[str, set[str]] = {}  # what each manifest leads to
        put_at: dict[str, float] = {}
        live: list[str] = []

        def put(number: int) -> str:
            manifest = disk.put_output(str(number))
            blobs[manifest] = led_to(disk, manifest)
            put_at.update(dict.fromkeys(blobs[manifest], disk.now))
            return manifest

        def reachable() -> set[str]:
            named = [name for listed in [*outputs.values(), live] for name in listed]
            return set().union(*(blobs[name] for name in named))

        def check() -> None:
            young = {name for name, at in put_at.items() if disk.now - at < GRACE}
            assert disk.there() >= reachable() | young

        actions: dict[str, Callable[..., Any]] = {}

        def run(name: str, numbers: list[int]) -> None:
            outputs[name] = [put(number) for number in numbers]
            disk.save(f"{name}.automerge", outputs[name])

        def copy(source: str, target: str) -> None:
            outputs[target] = list(outputs.get(source, []))
            disk.save(f"{target}.automerge", outputs[target])

        def open_(name: str) -> None:
            live[:] = outputs.get(name, [])

        def wait(seconds: float) -> None:
            disk.now += seconds

        def collect(number: int | None) -> None:
            found = disk.look(live)
            put_before = disk.now - GRACE
            if number is not None:
                put(number)  # while the look was under way
            disk.remove(found, put_before)

        actions |= {"put": put, "run": run, "copy": copy, "open": open_}
        actions |= {"close": live.clear, "wait": wait, "collect": collect}
        for what, *arguments in steps:
            actions[what](*arguments)
            check()
        for _ in range(2):
            disk.now += GRACE
            disk.collect(live)
        check()
        assert disk.there() == reachable()


@given(
    st.dictionaries(st.integers(0, 9).map(str), st.floats(0, 300), max_size=6),
    st.sets(st.integers(0, 9).map(str)),
    st.dictionaries(st.integers(0, 9).map(str), st.floats(0, 400), max_size=6),
)
def test_a_verdict_never_names_what_is_young_referenced_or_newly_seen(
    put_at: dict[str, float], referenced: set[str], since: dict[str, float]
) -> None:
    present = {name: Present(at, 1) for name, at in put_at.items()}
    verdict = judge(present, referenced, since, 300.0, GRACE)
    for name in verdict.garbage:
        assert name not in referenced
        assert put_at[name] <= 200.0
        assert since[name] <= 200.0
    assert verdict.unreferenced_since.keys() == present.keys() - referenced
    again = judge(present, referenced, verdict.unreferenced_since, 300.0 + GRACE, GRACE)
    assert set(again.garbage) == present.keys() - referenced
