"""A project file as a value: where it is, its text, and how an error about it reads. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs

from runtimed.environments.toml_text import line_of_key
from runtimed.errors import ProjectFileInvalid

__all__ = ["FILE_NAMES", "WITHOUT", "FileText", "ProjectFile", "ProjectKind"]

ProjectKind = Literal["pyproject", "pixi", "environment_yml", "deno"]

#: Names by kind. Where several are in one folder, the order decides.
FILE_NAMES: dict[str, ProjectKind] = {
    "pyproject.toml": "pyproject",
    "pixi.toml": "pixi",
    "environment.yml": "environment_yml",
    "environment.yaml": "environment_yml",
    "deno.json": "deno",
    "deno.jsonc": "deno",
}

_LONGEST = 800

#: How every error about a project file ends.
WITHOUT = 'or start the kernel with env_source="uv:prewarmed" to run without it'


@attrs.frozen
class ProjectFile:
    """A project file that was found. Either it has been read, or there is a `problem`."""

    path: Path
    kind: ProjectKind
    content: bytes = attrs.field(default=b"", repr=False)
    problem: str | None = None

    def text(self) -> FileText:
        """Raises: ProjectFileInvalid if it could not be read, or is not UTF-8."""
        if self.problem is not None:
            raise ProjectFileInvalid(
                f"{self.path} can't be read: {self.problem}. Make it readable, {WITHOUT}"
            )
        try:
            return FileText(self.path, self.content.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            line = self.content.count(b"\n", 0, error.start) + 1
            raise ProjectFileInvalid(
                f"{self.path}, line {line}: the text is not UTF-8. Save it as UTF-8, {WITHOUT}"
            ) from None


@attrs.frozen
class FileText:
    """The text of a project file, and errors about places in it."""

    path: Path
    text: str = attrs.field(repr=False)

    def refused(
        self, complaint: object, remedy: str = "Correct it", *, line: int | None = None
    ) -> ProjectFileInvalid:
        """The error for what is wrong at a line, from 1."""
        place = f"{self.path}" if line is None else f"{self.path}, line {line}"
        said = _one_line(f"{str(complaint).rstrip('.')}. {remedy}")
        return ProjectFileInvalid(f"{place}: {said}, {WITHOUT}")

    def key_refused(
        self, key: tuple[str, ...], complaint: object, remedy: str = "Correct it"
    ) -> ProjectFileInvalid:
        """The error for what is wrong with a key of a TOML file."""
        return self.refused(complaint, remedy, line=line_of_key(self.text, *key))


def _one_line(text: str) -> str:
    """What names of a file's keys may not be: several lines, invisible, or endless."""
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 3]}..."
