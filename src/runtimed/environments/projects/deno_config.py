"""`deno.json` and `deno.jsonc`: what to show of them; Deno itself obeys them. Pure."""

from __future__ import annotations

import json
import re

import attrs

from runtimed.environments.projects.project_file import FileText

__all__ = ["DenoConfig", "parse_deno_config", "plain_json"]

_STRING_OR_COMMENT = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?(?:\*/|\Z)', re.DOTALL)
_STRING_OR_COMMA = re.compile(r'"(?:[^"\\\n]|\\.)*"|,(?=\s*[\]}])', re.DOTALL)


@attrs.frozen
class DenoConfig:
    """What a Deno configuration says about itself."""

    name: str | None = None
    import_map: str | None = None
    has_imports: bool = False
    has_tasks: bool = False


def parse_deno_config(file: FileText) -> DenoConfig:
    """Read a deno.json(c): JSON with comments and commas before a closing bracket.

    Raises: ProjectFileInvalid, naming the line.
    """
    try:
        content = json.loads(plain_json(file.text))
    except json.JSONDecodeError as error:
        raise file.refused(error.msg, line=error.lineno) from None
    except (RecursionError, ValueError) as error:
        raise file.refused(f"it is no JSON ({type(error).__name__})") from None
    if not isinstance(content, dict):
        raise file.refused("it is not an object", line=1)
    name, import_map = content.get("name"), content.get("importMap")
    return DenoConfig(
        name=name if isinstance(name, str) else None,
        import_map=import_map if isinstance(import_map, str) else None,
        has_imports="imports" in content,
        has_tasks="tasks" in content,
    )


def plain_json(text: str) -> str:
    """The same text with comments and closing commas blanked; lines stay where they are."""

    def blank(match: re.Match[str]) -> str:
        found = match[0]
        return found if found.startswith('"') else re.sub(r"[^\n]", " ", found)

    return _STRING_OR_COMMA.sub(blank, _STRING_OR_COMMENT.sub(blank, text))
