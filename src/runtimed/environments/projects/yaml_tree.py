"""YAML as a tree of texts with their lines.

Only the parser of the YAML library is used: nothing becomes a number, a date or an object, so that
`3.10` stays 3.10. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from runtimed.environments.projects.project_file import FileText

if TYPE_CHECKING:
    from yaml import Node

__all__ = ["is_empty", "line_of", "mapping", "quoted", "scalar", "sequence", "yaml_tree"]

_DEEPEST = 100
_NULL = ("", "~", "null", "Null", "NULL")


def yaml_tree(file: FileText) -> Node:
    """The root of the one document in a file. Raises: ProjectFileInvalid, naming the line."""
    import yaml

    if _depth(file.text) > _DEEPEST:  # the parser would find that out too, after some seconds
        raise file.refused("it is nested too deeply")
    try:
        root = yaml.compose(file.text, Loader=yaml.BaseLoader)
    except RecursionError:
        raise file.refused("it is nested too deeply") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if error.problem == "found unexpected end of stream":
            mark = error.context_mark or mark  # where what is not closed begins
        complaint = " ".join(filter(None, (error.context, error.problem))) or "it is no YAML"
        raise file.refused(complaint, line=mark.line + 1 if mark else None) from None
    except yaml.reader.ReaderError as error:
        line = file.text.count("\n", 0, error.position) + 1
        raise file.refused("a character in it is not allowed in YAML", line=line) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise file.refused(str(error).partition("\n")[0][:200] or "it is no YAML") from None
    if root is None:
        raise file.refused("it is empty", "List dependencies in it")
    return root


def _depth(text: str) -> int:
    """How deep brackets are nested, roughly: those in quotes and comments count too."""
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def scalar(node: Node) -> str | None:
    """The text of a node; None if it is a list or a mapping."""
    import yaml

    return str(node.value) if isinstance(node, yaml.ScalarNode) else None


def is_empty(node: Node) -> bool:
    """Whether nothing stands there, or null."""
    import yaml

    return isinstance(node, yaml.ScalarNode) and node.style is None and node.value in _NULL


def line_of(node: Node) -> int:
    """From 1."""
    return int(node.start_mark.line) + 1


def mapping(file: FileText, node: Node, what: str) -> dict[str, tuple[Node, int]]:
    """The values of a mapping, each with the line of its key. Raises: ProjectFileInvalid."""
    import yaml

    if not isinstance(node, yaml.MappingNode):
        raise file.refused(f"{what} is not a mapping", line=line_of(node))
    found: dict[str, tuple[Node, int]] = {}
    for key, value in node.value:
        name = scalar(key)
        if name is None or name in found:
            complaint = "a key is no text" if name is None else f"{quoted(name)} is there twice"
            raise file.refused(complaint, line=line_of(key))
        found[name] = (value, line_of(key))
    return found


def sequence(file: FileText, node: Node, what: str) -> Iterator[Any]:
    """The nodes of a list. Raises: ProjectFileInvalid."""
    import yaml

    if not isinstance(node, yaml.SequenceNode):
        raise file.refused(f"{what} is not a list", line=line_of(node))
    yield from node.value


def quoted(text: str) -> str:
    """A text of the file, as errors show it."""
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return f'"{shown if len(shown) <= 80 else shown[:77] + "..."}"'
