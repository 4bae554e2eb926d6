"""What `runt trust` shows of a notebook. Its texts are a stranger's: nothing in them may move the
cursor or hide itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from runt_cli.terminal import tilde
from runtimed.environments.trust.similar import similar_name, similar_names

if TYPE_CHECKING:
    from runt_cli.trusting import Project, Subject
    from runtimed.client.results import TrustInfo

__all__ = ["as_json_value", "described", "harmless"]

_STATUS = {
    "no_dependencies": "asks for no packages of its own",
    "trusted": "trusted: approved on this machine",
    "untrusted": "not trusted: nobody has approved it on this machine",
    "signature_invalid": "not trusted: its dependencies were changed since they were approved",
}


def harmless(text: str) -> str:
    """Text on one line, everything that a terminal would not show escaped."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def described(subject: Subject) -> str:
    """All that would be installed, for people. Ends with a line end."""
    return "".join(f"{line}\n" for line in _lines(subject))


def _lines(subject: Subject) -> Iterator[str]:
    info = subject.info
    where = " (open in the daemon)" if subject.is_open else ""
    yield f"{harmless(tilde(str(subject.path)))}{where}"
    yield f"  {_STATUS.get(info.status, harmless(info.status))}"
    if info.uv_dependencies:
        yield from _packages("With uv", info.uv_dependencies)
    if info.conda_dependencies:
        channels = ", ".join(map(harmless, info.conda_channels)) or "conda-forge"
        yield from _packages(f"With conda, from {channels}", info.conda_dependencies)
    if info.script_dependencies:
        yield from _packages("With uv, from its script block", info.script_dependencies)
    if info.status != "no_dependencies" and info.constraints:
        yield f"Constraints: {'; '.join(map(harmless, info.constraints))}"
    yield from _project_lines(subject.project)


def _packages(title: str, packages: Sequence[str]) -> Iterator[str]:
    yield f"{title}:"
    for package in packages:
        warning = similar_name(package)
        hint = f"   LOOKS LIKE {warning.similar_to}, but is not" if warning is not None else ""
        yield f"  {harmless(package)}{hint}"


def _project_lines(project: Project) -> Iterator[str]:
    if project.problem is not None:
        yield f"Its project file can't be used: {harmless(project.problem)}"
    if project.path is None:
        return
    state = "approved" if project.approved else "not approved as it is now"
    yield f"Project file {harmless(tilde(str(project.path)))} ({state})"
    told = project.told
    if told.get("conda_packages"):
        channels = ", ".join(map(harmless, told.get("channels", ()))) or "conda-forge"
        yield from _packages(f"With conda, from {channels}", told["conda_packages"])
    if told.get("packages"):
        yield from _packages("With uv", told["packages"])
    for title, key in (
        ("Folders, built here", "editable"),
        ("Package indexes", "indexes"),
        ("Options for uv", "options"),
    ):
        if told.get(key):
            yield f"{title}: {', '.join(map(harmless, told[key]))}"
    if told.get("python"):
        yield f"Constraints: python {harmless(told['python'])}"
    if told["env_source"] == "uv:pyproject":
        yield "uv builds the project itself, too, if it is a package."


def as_json_value(subject: Subject) -> dict[str, Any]:
    """The same for programs."""
    info, project = subject.info, subject.project
    return {
        "notebook": str(subject.path),
        "open": subject.is_open,
        "status": info.status,
        "needs_approval": subject.needs_approval,
        "uv_dependencies": info.uv_dependencies,
        "conda_dependencies": info.conda_dependencies,
        "conda_channels": info.conda_channels,
        "script_dependencies": info.script_dependencies,
        "constraints": info.constraints,
        "similar_names": [
            {"package": name.package, "similar_to": name.similar_to, "distance": name.distance}
            for name in similar_names([*_packages_of(info), *project.packages])
        ],
        "project_file": _project_value(project),
    }


def _packages_of(info: TrustInfo) -> list[str]:
    return [*info.uv_dependencies, *info.conda_dependencies, *info.script_dependencies]


def _project_value(project: Project) -> dict[str, Any] | None:
    if project.problem is not None:
        return {"problem": project.problem}
    if project.path is None:
        return None
    left_out = ("consent", "origin", "kernel_type", "reasons")
    told = {key: value for key, value in project.told.items() if key not in left_out}
    return {"path": str(project.path), "approved": project.approved, **told}
