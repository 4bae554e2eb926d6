"""Conda match specs and channels: text checked before a solver sees it.

As with Python requirements, an entry is a named spec, written here in one normal form, or an error
that says what to write instead. The grammar is parsed here, without the solver's library, so that
the daemon can judge a notebook without loading it. Pure: text in, values out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

import attrs

from runtimed.errors import RequirementRefused

__all__ = [
    "CondaSpec",
    "parse_channel",
    "parse_channels",
    "parse_conda_spec",
    "parse_conda_specs",
    "parse_conda_version",
    "spec_from_parts",
]

_LONGEST = 1000
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_CHANNEL = re.compile(r"[A-Za-z0-9_][\w.+-]*(/[A-Za-z0-9_][\w.+-]*)*", re.ASCII)
_SUBDIR = re.compile(r"noarch|(linux|osx|win|freebsd|emscripten|wasi|zos)-[a-z0-9_]+")
_OPERATOR = re.compile(r"(==|!=|>=|<=|~=|>|<|=)?(.*)")
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_VERSION = re.compile(rf"(?:\d+!)?{_PART}(?:\+{_PART})?")
_BUILD = re.compile(r"[A-Za-z0-9_*]+")
_BUILD_NUMBER = re.compile(r"(==|!=|>=|<=|>|<|=)?\d{1,9}")
_BRACKETS = re.compile(r"\s*\[(.*)\]\s*")
_KEY_VALUE = re.compile(r"""\s*(\w+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^,'"\[\]]*))\s*(?:,|$)""")
_FILE = re.compile(r"(?i).*\.(conda|tar(\.\w+)?|tgz|zip|whl|ya?ml|txt|toml|lock)")
_SHOULD = 'write it like "numpy", "numpy=1.26", "numpy>=1.26,<3" or "conda-forge::numpy"'


@attrs.frozen
class CondaSpec:
    """One spec. `name` is for comparing; `text` is its one normal form.

    Shape of text: `channel/subdir::name version build[key="value", ...]`, without what is missing.
    """

    name: str
    text: str
    version: str | None = None
    build: str | None = None
    channel: str | None = None
    others: tuple[tuple[str, str], ...] = ()

    @property
    def version_only(self) -> bool:
        """Whether it says nothing but a name and a version."""
        return self.build is None and self.channel is None and not self.others


def parse_conda_spec(entry: object, where: str = "dependencies") -> CondaSpec:
    """Check one entry. `where` says in errors which list it is in.

    Special cases: a version alone means exactly that one; `=1.26` means `1.26.*`; `=1.26=BUILD`
    exactly that version, all as conda reads them.
    Raises: RequirementRefused, naming the entry and the remedy.
    """
    if not isinstance(entry, str):
        raise RequirementRefused(f"{where}: {_shown(entry)} is not a text: {_SHOULD}")
    text = entry.strip()
    if (complaint := _not_a_spec(text)) is not None:
        raise RequirementRefused(f"{where}: {_shown(entry)} {complaint}")
    try:
        return _parsed(text, where)
    except _Malformed as problem:
        raise RequirementRefused(
            f"{where}: {_shown(entry)} is not a conda spec ({problem}): {_SHOULD}"
        ) from None


def parse_conda_specs(
    entries: Iterable[object], where: str = "dependencies"
) -> tuple[CondaSpec, ...]:
    """Check a list; what is in it twice is kept once. Raises: RequirementRefused."""
    found: dict[str, CondaSpec] = {}
    for entry in entries:
        spec = parse_conda_spec(entry, where)
        found.setdefault(spec.text, spec)
    return tuple(found.values())


def parse_conda_version(value: object, where: str = "python", *, fuzzy: bool = False) -> str | None:
    """A version constraint in its normal form; None where any version will do.

    fuzzy: a version alone means all that begin with it, so `3.12` is `3.12.*`.
    Raises: RequirementRefused.
    """
    try:
        if not isinstance(value, str) or len(value) > _LONGEST:
            raise _Malformed("it is not a text")
        text = _tight(value.strip())
        if fuzzy and _VERSION.fullmatch(text):
            text = f"={text}"
        return _version(text) if text else None
    except _Malformed as problem:
        raise RequirementRefused(
            f"{where}: {_shown(value)} is not a version constraint ({problem}): "
            'write it like "3.12", "3.12.*" or ">=3.10,<3.13"'
        ) from None


def spec_from_parts(
    name: object,
    where: str,
    *,
    version: str | None = None,
    build: object = None,
    channel: str | None = None,
    others: Iterable[tuple[str, object]] = (),
) -> CondaSpec:
    """A spec whose parts stand apart in a file. `version` and `channel` are in normal form already.

    Raises: RequirementRefused.
    """
    try:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise _Malformed("a name is letters, digits, '-', '_' and '.'")
        brackets = {key: _checked(key, str(value)) for key, value in others if value is not None}
        return _made(name, version, None if build is None else _build(build), channel, brackets)
    except _Malformed as problem:
        raise RequirementRefused(f"{where}: {_shown(name)}: {problem}") from None


def parse_channel(entry: object, where: str = "channels", *, local: bool = False) -> str:
    """A channel's name or address. local: whether `file:///...` is let through.

    Raises: RequirementRefused.
    """
    if isinstance(entry, str) and len(entry) <= _LONGEST:
        text = entry.strip().rstrip("/")
        if _CHANNEL.fullmatch(text) and not _FILE.fullmatch(text):
            return text
        if _channel_address(text, local):
            return text
    wanted = "a name such as conda-forge, or an https:// address"
    raise RequirementRefused(
        f"{where}: {_shown(entry)} is no channel: write {wanted}"
        + (", or file:/// and a folder" if local else "")
    )


def parse_channels(
    entries: Iterable[object], where: str = "channels", *, local: bool = False
) -> tuple[str, ...]:
    """Channels in their order, each once. Raises: RequirementRefused."""
    return tuple(dict.fromkeys(parse_channel(entry, where, local=local) for entry in entries))


def _channel_address(text: str, local: bool) -> bool:
    if re.search(r"[\s\\\[\]\x00-\x1f\x7f-\uffff'\"]|\$\{|::", text):
        return False
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if parts.query or parts.fragment or _FILE.fullmatch(parts.path):
        return False
    if parts.scheme == "file":
        return local and not host and parts.path.startswith("/")
    return parts.scheme in ("http", "https") and bool(host)


class _Malformed(Exception):
    """What is wrong with a spec, in a few words."""


def _not_a_spec(text: str) -> str | None:
    if not text:
        return "is empty: remove it"
    if len(text) > _LONGEST:
        return f"is longer than {_LONGEST} characters"
    if not text.isprintable():
        return "has control characters in it: write one spec on one line"
    if text.startswith("-"):
        return (
            "is an option, and options are not taken from a list of packages: name the packages "
            "themselves"
        )
    if "::" not in text and re.match(r"[A-Za-z][A-Za-z0-9+.-]*:|[.~]|[^\s\[=<>!]*[/\\]", text):
        return "is an address or a path, and packages are not taken from there: name a package"
    if _FILE.fullmatch(text) and not re.search(r"[\s=<>!~\[]", text):
        return "is a file, and packages are not taken from files: name a package"
    return None


def _parsed(text: str, where: str) -> CondaSpec:
    channel = None
    before, separator, rest = text.partition("::")
    if separator and "[" not in before:
        channel, text = parse_channel(before, f"{where}: the channel of {_shown(text)}"), rest
    text = text.strip()
    named = _NAME.match(text)
    if named is None:
        raise _Malformed("it has no name")
    name, rest = named[0], text[named.end() :]
    if rest and rest[0] not in " \t[=<>!~":
        raise _Malformed(f"{rest[0]!r} can't be in a name")
    brackets: dict[str, str] = {}
    if (opening := rest.find("[")) >= 0:
        brackets = _brackets(rest[opening:])
        rest = rest[:opening]
    version, build = _version_and_build(_tight(rest.strip()))
    for key, value in (("version", version), ("build", build), ("channel", channel)):
        if value is not None and key in brackets:
            raise _Malformed(f"it has two of {key}")
    if "version" in brackets:
        version = _version(_tight(brackets.pop("version").strip()))
    if "build" in brackets:
        build = _build(brackets.pop("build"))
    if "channel" in brackets:
        channel = parse_channel(brackets.pop("channel"), f"{where}: the channel of {_shown(text)}")
    return _made(name, version, build, channel, brackets)


def _made(
    name: str,
    version: str | None,
    build: str | None,
    channel: str | None,
    brackets: dict[str, str],
) -> CondaSpec:
    name = name.lower()
    subdir = brackets.pop("subdir", None)
    if subdir is not None and channel is not None:
        channel = f"{channel}/{subdir}"
        subdir = None
    others = tuple(sorted({**brackets, **({} if subdir is None else {"subdir": subdir})}.items()))
    text = name if channel is None else f"{channel}::{name}"
    if version is not None or build is not None:
        text += f" {version or '*'}"
    if build is not None:
        text += f" {build}"
    if others:
        text += "[" + ", ".join(f'{key}="{value}"' for key, value in others) + "]"
    return CondaSpec(name, text, version, build, channel, others)


def _tight(text: str) -> str:
    """Without the spaces that separate nothing."""
    text = re.sub(r"([=<>!~|,(])\s+", r"\1", text)
    return re.sub(r"\s+([|,)])", r"\1", text)


def _version_and_build(text: str) -> tuple[str | None, str | None]:
    words = text.split()
    if not words:
        return None, None
    if len(words) > 2:
        raise _Malformed("after the name come a version and a build, and no more")
    if len(words) == 2:
        return _version(words[0]), _build(words[1])
    both = re.fullmatch(r"(.*[^=<>!~,|(])=([^=<>!~,|()]+)", words[0])
    if both is None:
        return _version(words[0]), None
    version = both[1]
    if re.fullmatch(r"=[^=*,|]+", version):
        version = f"={version}"  # conda: with a build, `=1.26` is exactly that version
    return _version(version), _build(both[2])


def _version(text: str) -> str | None:
    """A constraint in its normal form: alternatives of conjunctions, each with its operator."""
    if text.count("(") != text.count(")"):
        raise _Malformed("a parenthesis is missing")
    pieces = re.split(r"([,|()])", text)
    normal = []
    expects = True  # a constraint or an opening parenthesis
    for piece in pieces:
        if piece == "":
            continue
        if piece in ",|)":
            if expects:
                raise _Malformed(f"a constraint is missing before {piece!r}")
            expects = piece != ")"
        elif piece == "(":
            if not expects:
                raise _Malformed("',' or '|' is missing before '('")
        else:
            if not expects:
                raise _Malformed("',' or '|' is missing")
            piece, expects = _constraint(piece), False
        normal.append(piece)
    if expects:
        raise _Malformed("a constraint is missing at the end")
    depth = 0
    for piece in normal:
        depth += {"(": 1, ")": -1}.get(piece, 0)
        if depth < 0 or depth > 20:
            raise _Malformed("the parentheses do not match")
    return None if normal == ["*"] else "".join(normal)


def _constraint(text: str) -> str:
    split = _OPERATOR.fullmatch(text)
    if split is None:
        raise _Malformed(f"{text!r} is no version")
    operator, version = split[1] or "", split[2]
    if version == "*" and operator in ("", "=", "=="):
        return "*"
    starred = version.endswith("*")
    if starred:
        version = version[:-1].removesuffix(".")
    if not _VERSION.fullmatch(version) or (version[-1] in ".+-_" and not starred):
        raise _Malformed(f"{text!r} is no version")
    if "_" in version and "-" in version:
        raise _Malformed(f"{text!r} has both '_' and '-' in it, of which a version has one")
    if operator == "=" or (starred and operator in ("", "==")):
        return f"{version}.*"
    if starred and operator == "!=":
        return f"!={version}.*"
    return f"{operator or '=='}{version}"


def _build(value: object) -> str:
    if not isinstance(value, str) or not _BUILD.fullmatch(value):
        raise _Malformed(f"{_shown(value)} is no build: it is letters, digits, '_' and '*'")
    return value


def _brackets(text: str) -> dict[str, str]:
    whole = _BRACKETS.fullmatch(text)
    if whole is None:
        raise _Malformed("the brackets are not closed at the end")
    found: dict[str, str] = {}
    position = 0
    while position < len(whole[1].rstrip()):
        item = _KEY_VALUE.match(whole[1], position)
        if item is None:
            raise _Malformed('in brackets stands key="value"')
        key, value = item[1], next(group for group in item.groups()[1:] if group is not None)
        if key in found:
            raise _Malformed(f"it has two of {key}")
        found[key] = value if key in ("version", "build", "channel") else _checked(key, value)
        position = item.end()
    return found


def _checked(key: str, value: str) -> str:
    value = value.strip()
    if key == "build_number" and _BUILD_NUMBER.fullmatch(value):
        return value if value[0] in "=!<>" else f"=={value}"
    if key == "subdir" and _SUBDIR.fullmatch(value):
        return value
    digits = {"md5": 32, "sha256": 64}.get(key)
    if digits is not None and re.fullmatch(rf"[0-9a-fA-F]{{{digits}}}", value):
        return value.lower()
    if key in ("build_number", "subdir", "md5", "sha256"):
        raise _Malformed(f"{_shown(value)} is no {key}")
    if key in ("url", "fn", "file_name"):
        raise _Malformed(f"{key} points to a file, and packages are not taken from files")
    raise _Malformed(f"{key} is not supported")


def _shown(entry: object) -> str:
    text = f'"{entry}"' if isinstance(entry, str) else repr(entry)
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= 120 else f"{text[:117]}..."
