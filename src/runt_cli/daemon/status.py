"""`runt daemon status`: the daemon, its pools, where its files are."""

from __future__ import annotations

from typing import Any

import click

__all__ = ["status"]


@click.command
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool) -> None:
    """Show the daemon, its pools and where its files are.

    Exits with 0 whether a daemon runs or not; `runt daemon ping` answers by its exit code.

    \b
    Examples:
      runt status
      runt status --json
    """
    from runt_cli.daemon.status_report import status_report

    report = status_report()
    if as_json:
        from runt_cli.terminal import show_json

        show_json(report)
    else:
        _show(report)


def _show(report: dict[str, Any]) -> None:
    from runt_cli.terminal import tilde

    running = report["running"]
    info = report["daemon_info"] if running else None
    _title("runtimed Daemon Status")
    _line("Channel:", report["channel"])
    _line("Service installed:", _yes_no(report["installed"]))
    _line("Daemon running:", _yes_no(running))
    _line("Socket:", tilde(report["socket_path"]))
    _line("Log:", tilde(report["paths"]["log_path"]))
    if report["dev_mode"]:
        _line("Mode:", "development")
    if info is None:
        return
    if info.get("worktree_path"):
        _line("Worktree:", tilde(str(info["worktree_path"])))
    if info.get("workspace_description"):
        _line("Description:", str(info["workspace_description"]))
    click.echo()
    _line("PID:", str(info.get("pid", "-")))
    _line("Version:", str(info.get("version", "-")))
    _line("Blob server:", report["blob_url"] or "-")
    _line("Uptime:", _uptime(info.get("started_at")))
    if report["pool_stats"]:
        click.echo()
        click.echo("Pool:")
        _show_pool("UV:", "uv", report["pool_stats"])
        _show_pool("Conda:", "conda", report["pool_stats"])


def _show_pool(label: str, kind: str, stats: dict[str, Any]) -> None:
    available = stats[f"{kind}_available"]
    warming = stats[f"{kind}_warming"]
    # Against the target, and not against what happens to be there: 3/3 ready would hide a pool that
    # should hold 5 and cannot be filled.
    text = f"{available}/{stats[f'{kind}_target']} ready"
    if warming:
        text += f" ({warming} warming)"
    if stats.get(f"{kind}_warm_kernels") is not None:
        text += f", {stats[f'{kind}_warm_kernels']} with a running kernel"
    _line(f"  {label}", text)
    if error := stats.get(f"{kind}_error"):
        package = f" ({error['failed_package']})" if error.get("failed_package") else ""
        _line("", f"failed {error['consecutive_failures']} times{package}: {error['message']}")
        _line("", f"next try in {error['retry_in_secs']} s")


def _title(text: str) -> None:
    import sys

    from runt_cli.terminal import uses_colour

    click.echo(click.style(text, bold=True) if uses_colour(sys.stdout) else text)


def _line(label: str, value: str) -> None:
    click.echo(f"{label:<19} {value}".rstrip())


def _yes_no(value: bool) -> str:
    return "yes" if value else "no"


def _uptime(started_at: object) -> str:
    from datetime import datetime, timezone

    try:
        started = datetime.fromisoformat(str(started_at).replace("Z", "+00:00"))
    except ValueError:
        return "-"
    minutes = max(0, int((datetime.now(timezone.utc) - started).total_seconds())) // 60
    return f"{minutes // 60}h {minutes % 60}m"
