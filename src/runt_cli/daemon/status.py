"""`runt daemon status`: the daemon, its pools, where its files are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from runt_cli.daemon.status_report import Looked

__all__ = ["status"]

#: Seconds for looking how large the blob store is.
_MEASURING = 0.05

#: Characters of why a pool can't be filled; the log has the rest.
_REASON = 300


@click.command
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool) -> None:
    """Show the daemon, its pools and where its files are.

    Exits with 0 whether a daemon runs or not; `runt daemon ping` answers by its exit code, and
    `runt doctor` says what is wrong.

    \b
    Examples:
      runt status
      runt status --json
    """
    from runt_cli.daemon.status_report import look

    looked = look()
    if as_json:
        from runt_cli.terminal import show_json

        show_json(looked.report)
    else:
        _show(looked)


def _show(looked: Looked) -> None:
    from runt_cli.terminal import tilde

    report = looked.report
    _title("runtimed Daemon Status")
    _line("Channel:", report["channel"])
    _line("Service installed:", _yes_no(report["installed"]))
    _line("Daemon running:", _running(looked))
    _line("Socket:", tilde(report["socket_path"]))
    if report["dev_mode"]:
        _line("Mode:", "development")
    if report["running"]:
        _show_daemon(report)
    _show_places(looked)


def _running(looked: Looked) -> str:
    if looked.report["running"]:
        return "yes"
    if looked.silent is not None:
        return f"no: it does not answer (pid {looked.silent.pid or 'unknown'})"
    if (info := looked.report["daemon_info"]) is not None:
        return (
            f"no (one that ended without a word had pid {info.get('pid', 'unknown')}): "
            "'runt doctor' says what it left, 'runt daemon start' starts another"
        )
    return "no: 'runt daemon start' starts it"


def _show_daemon(report: dict[str, Any]) -> None:
    from runt_cli.terminal import tilde

    # Without an info file a daemon that answers is still one; it has only just begun.
    info = report["daemon_info"] or {}
    if info.get("worktree_path"):
        _line("Worktree:", tilde(str(info["worktree_path"])))
    if info.get("workspace_description"):
        _line("Description:", str(info["workspace_description"]))
    click.echo()
    _line("PID:", str(info.get("pid", "-")))
    _line("Version:", _version(info.get("version")))
    _line("Blob server:", report["blob_url"] or "-")
    _line("Uptime:", _uptime(info.get("started_at")))
    click.echo()
    click.echo("Pool:")
    _show_pool("UV:", "uv", report["pool_stats"])
    _show_pool("Conda:", "conda", report["pool_stats"])
    click.echo()
    _show_contents(report)


def _version(running: str | None) -> str:
    from runtimed import __version__

    if running in (None, __version__):
        return running or "-"
    return f"{running}, installed is {__version__}: 'runt daemon restart' changes to it"


def _show_pool(label: str, kind: str, stats: dict[str, Any]) -> None:
    available, target = stats[f"{kind}_available"], stats[f"{kind}_target"]
    # Against the target, and not against what happens to be there: 3/3 ready would hide a pool that
    # should hold 5 and cannot be filled.
    text = f"{available}/{target} ready" if target or available else "off"
    if warming := stats[f"{kind}_warming"]:
        text += f" ({warming} warming)"
    if (warm := stats.get(f"{kind}_warm_kernels")) is not None:
        text += f", {warm}/{stats.get(f'{kind}_warm_kernels_target', warm)} with a running kernel"
    _line(f"  {label}", text)
    if error := stats.get(f"{kind}_error"):
        package = f" ({error['failed_package']})" if error.get("failed_package") else ""
        reason = " ".join(error["message"].split())
        if len(reason) > _REASON:
            reason = reason[: _REASON - 1] + "…"
        _line("", f"failed {error['consecutive_failures']} times{package}: {reason}")
        _line("", f"next try in {error['retry_in_secs']} s")


def _show_contents(report: dict[str, Any]) -> None:
    from pathlib import Path

    from runt_cli.daemon.status_report import open_rooms
    from runt_cli.env.amounts import size
    from runtimed.blobs.store_size import measure

    if (rooms := open_rooms()) is not None:
        kernels = sum(1 for room in rooms if room["has_kernel"])
        _line("Notebooks:", f"{len(rooms)} open, {kernels} with a kernel")
    blobs = measure(Path(report["paths"]["blobs_dir"]), _MEASURING)
    about = "" if blobs.exact else "about "
    _line("Blobs:", f"{about}{blobs.count}, {about}{size(blobs.size)}")


def _show_places(looked: Looked) -> None:
    from runt_cli.daemon.status_report import acting_variables, settings_trouble
    from runt_cli.terminal import say, tilde
    from runtimed.paths import settings_folder

    places = looked.report["paths"]
    click.echo()
    click.echo("Paths:")
    for label, place in (
        ("  State:", places["base_dir"]),
        ("  Log:", places["log_path"]),
        ("  Environments:", places["envs_dir"]),
        ("  Blobs:", places["blobs_dir"]),
        ("  Notebooks:", places["notebooks_dir"]),
    ):
        _line(label, tilde(place) if place else "-")
    settings = settings_folder() / "settings.json"
    trouble = settings_trouble(settings)
    _line("  Settings:", tilde(str(settings)) + (f" ({trouble})" if trouble else ""))
    if variables := acting_variables():
        click.echo()
        click.echo("Variables that act:")
        for name, value in variables.items():
            say(f"  {name}={value}")


def _title(text: str) -> None:
    import sys

    from runt_cli.terminal import uses_colour

    click.echo(click.style(text, bold=True) if uses_colour(sys.stdout) else text)


def _line(label: str, value: str) -> None:
    from runt_cli.terminal import say

    say(f"{label:<19} {value}".rstrip())


def _yes_no(value: bool) -> str:
    return "yes" if value else "no"


def _uptime(started_at: object) -> str:
    from datetime import datetime, timezone

    from runt_cli.env.amounts import ago

    try:
        started = datetime.fromisoformat(str(started_at).replace("Z", "+00:00"))
        seconds = (datetime.now(timezone.utc) - started).total_seconds()
    except (ValueError, TypeError):  # no time, or one of no known zone
        return "-"
    return ago(0.0, seconds)
