"""Python requirements: PEP 508 text checked before anything is done with it.

What stands in a notebook becomes an argument of a command later. So an entry is either a named
requirement, written here in one normal form, or an error that names it and what to write instead;
options, paths and files never get through. Pure: text in, values out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

import attrs
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from runtimed.errors import RequirementRefused

__all__ = [
    "PRERELEASE",
    "PythonRequirement",
    "parse_prerelease",
    "parse_requirement",
    "parse_requirements",
    "parse_requires_python",
]

#: uv's words for whether versions before a release may be taken.
PRERELEASE = ("disallow", "allow", "if-necessary", "explicit", "if-necessary-or-explicit")

_LONGEST = 2000
_REMOTE = ("http", "https", "git+http", "git+https", "git+ssh")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_PATH = re.compile(r"[.~]{0,2}[/\\]|\.{1,2}$|~|[A-Za-z]:[/\\]|[^\s@;\[<>=!~]*[/\\]")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|file:", re.IGNORECASE)
_FILE = re.compile(
    r"(?i)[^\s@;\[<>=!~]*(\.(whl|egg|zip|tgz|tbz|txz|tar|tar\.\w+)|requirements[\w.-]*\.(txt|in)|"
    r"(pyproject|pylock[\w.-]*|pixi)\.toml|setup\.(py|cfg)|environment\.ya?ml)(\[.*\])?"
)


@attrs.frozen
class PythonRequirement:
    """One requirement. `name` is canonical, for comparing; `text` is its one normal form.

    `url` is where a direct reference points to: it is installed from there and from nowhere else.
    """

    name: str
    text: str
    url: str | None = None


def parse_requirement(
    entry: object, where: str = "dependencies", *, local_files: bool = False
) -> PythonRequirement:
    """Check one entry. `where` says in errors which list it is in.

    local_files: whether `name @ file:///...` is let through, as in a project's own file.
    Raises: RequirementRefused, naming the entry and the remedy.
    """
    if not isinstance(entry, str):
        raise RequirementRefused(f'{where}: {_shown(entry)} is not a text such as "numpy>=1.26"')
    text = entry.strip()
    complaint = _not_a_name(text)
    if complaint is not None:
        raise RequirementRefused(f"{where}: {_shown(entry)} {complaint}")
    try:
        parsed = Requirement(text)
        name = canonicalize_name(parsed.name)
        # The canonical name has no dots: "setup.py" as a name could still be taken for a file.
        parsed.name = name
        if parsed.url is None:
            return PythonRequirement(name, str(parsed))
    except (InvalidRequirement, RecursionError) as error:
        raise RequirementRefused(
            f"{where}: {_shown(entry)} is not a requirement ({_first_line(error)}): "
            'write it like "numpy", "numpy>=1.26,<3" or "pandas[excel]==2.2.*"'
        ) from None
    _check_url(parsed.url, entry, where, local_files)
    return PythonRequirement(name, str(parsed), parsed.url)


def parse_requirements(
    entries: Iterable[object], where: str = "dependencies", *, local_files: bool = False
) -> tuple[PythonRequirement, ...]:
    """Check a list; what is in it twice, however spelled, is kept once.

    Raises: RequirementRefused for the first entry that is no requirement.
    """
    found: dict[str, PythonRequirement] = {}
    for entry in entries:
        requirement = parse_requirement(entry, where, local_files=local_files)
        found.setdefault(requirement.text, requirement)
    return tuple(found.values())


def parse_requires_python(value: object, where: str = "requires-python") -> str | None:
    """A PEP 440 specifier set in its normal form; None for an empty one.

    Raises: RequirementRefused.
    """
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise RequirementRefused(f'{where}: {_shown(value)} is not a text such as ">=3.10"')
    try:
        return str(SpecifierSet(value)) or None
    except InvalidSpecifier:
        raise RequirementRefused(
            f'{where}: {_shown(value)} is not a version constraint: write it like ">=3.10" or '
            '">=3.10,<3.13"'
        ) from None


def parse_prerelease(value: object, where: str = "prerelease") -> str:
    """One of uv's words. Raises: RequirementRefused."""
    if value not in PRERELEASE:
        raise RequirementRefused(
            f"{where}: {_shown(value)} is unknown: it can be {', '.join(PRERELEASE)}"
        )
    assert isinstance(value, str)
    return value


def _not_a_name(text: str) -> str | None:
    """What is wrong with an entry that means something else than a named requirement."""
    if not text:
        return "is empty: remove it"
    if len(text) > _LONGEST:
        return f"is longer than {_LONGEST} characters"
    if _CONTROL.search(text):
        return "has control characters in it: write one requirement on one line"
    if text.startswith("-"):
        return (
            "is an option, and options are not taken from a list of packages: name the packages "
            "themselves; indexes belong into uv's own configuration (uv.toml, UV_INDEX)"
        )
    if _URL.match(text):
        return 'is an address without a name: write "NAME @ URL"'
    if _PATH.match(text):
        return "is a path, and packages are not taken from paths: name a package"
    if _FILE.fullmatch(text):
        return "is a file, and packages are not taken from files: name a package"
    return None


def _check_url(url: str, entry: object, where: str, local_files: bool) -> None:
    try:
        parts = urlsplit(url)
        scheme, host = parts.scheme.lower(), parts.hostname
        _ = parts.port
    except ValueError:
        scheme, host = "", None
    # uv would put variables of the daemon's environment in their place.
    if "${" in url or "\\" in url:
        raise RequirementRefused(
            f"{where}: the address in {_shown(entry)} has a variable or a backslash in it: "
            "write it out"
        )
    if scheme == "file" and local_files and not host and parts.path.startswith("/"):
        return
    if scheme in _REMOTE and host:
        return
    if scheme in _REMOTE:
        raise RequirementRefused(f"{where}: the address in {_shown(entry)} names no server")
    raise RequirementRefused(
        f"{where}: {_shown(entry)} points to a file or to something that is no address on the "
        "network: use https:// or git+https://, or name a package of an index"
    )


def _shown(entry: object) -> str:
    text = entry if isinstance(entry, str) else repr(entry)
    text = f'"{text}"' if isinstance(entry, str) else text
    text = _CONTROL.sub("?", text)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200] or type(error).__name__
