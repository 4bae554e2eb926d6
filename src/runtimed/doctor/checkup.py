"""All checks in their order, and mending what they found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from runtimed.doctor.blobs import blobs
from runtimed.doctor.documents import documents, settings
from runtimed.doctor.environments import cached_environments, pool_environments
from runtimed.doctor.finding import Check, Finding
from runtimed.doctor.kernels import connection_files, orphaned_kernels
from runtimed.doctor.permissions import permissions
from runtimed.doctor.running import daemon, info_file, socket_file, socket_path, version
from runtimed.doctor.service import service
from runtimed.doctor.site import Site, alone
from runtimed.doctor.surroundings import disk, home, tools
from runtimed.doctor.trust_key import trust_key
from runtimed.errors import RuntimedError

__all__ = ["CHECKS", "examine", "mend"]

#: What ends a daemon's remains comes before what removes their files, and a daemon is started last.
CHECKS: Sequence[Check] = (
    daemon,
    version,
    socket_path,
    socket_file,
    info_file,
    orphaned_kernels,
    connection_files,
    permissions,
    home,
    disk,
    settings,
    trust_key,
    documents,
    blobs,
    pool_environments,
    cached_environments,
    tools,
    service,
)


def examine(site: Site, checks: Sequence[Check] = CHECKS) -> list[Finding]:
    """What the checks find. Changes nothing."""
    found: list[Finding] = []
    for check in checks:
        try:
            found += check(site)
        except OSError as error:
            found.append(_not_looked_at(check.__name__.replace("_", "-"), error))
    return found


def _not_looked_at(name: str, error: OSError) -> Finding:
    return Finding(
        name=name,
        status="error",
        path=Path(error.filename) if isinstance(error.filename, str) else None,
        what=f"The check of {name.replace('-', ' ')} found no way: {error.strerror or error}",
        why="What can't be looked at may be wrong",
        remedy="Make it readable for you",
    )


def mend(site: Site, found: Sequence[Finding]) -> list[Finding]:
    """Mend what can be; the findings with what was done, or why nothing was."""
    return [_mended(site, finding) if finding.repair else finding for finding in found]


def _mended(site: Site, finding: Finding) -> Finding:
    assert finding.repair is not None
    try:
        if not finding.alone:
            return attrs.evolve(finding, status="mended", done=finding.repair(), repair=None)
        with alone(site.paths) as nobody_else:
            if nobody_else:
                return attrs.evolve(finding, status="mended", done=finding.repair(), repair=None)
    except (OSError, RuntimedError) as error:
        return attrs.evolve(finding, done=f"Nothing, for it failed: {error}")
    return attrs.evolve(
        finding, done="Nothing, for a daemon runs: 'runt daemon stop' first, then try again"
    )
