"""`runt doctor`: what is wrong with the daemon and its files, and mending it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from runtimed.doctor.finding import Finding
    from runtimed.doctor.report import Report

__all__ = ["doctor"]

_LABELS = {
    "installed_binary": "Installed binary:",
    "quarantine": "Quarantine:",
    "service_config": "Service config:",
    "plist_home_env": "Plist HOME env:",
    "launchd_service": "Launchd service:",
    "conflicting_services": "Stale services:",
    "socket_file": "Socket file:",
    "daemon_state": "Daemon state:",
    "daemon_running": "Daemon running:",
}
_COLOURS = {
    "ok": "green",
    "mended": "green",
    "note": "blue",
    "missing": "yellow",
    "stale": "yellow",
    "not_loaded": "yellow",
    "not_running": "yellow",
    "warning": "yellow",
}


@click.command
@click.option("--fix", is_flag=True, help="Mend what can be mended without harm.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(fix: bool, as_json: bool) -> None:
    """Look for what is wrong with the daemon and its files.

    Changes nothing without --fix. With it, leftovers of daemons that are gone are removed and what
    is open to others is closed; damaged files are moved aside, never deleted, and what a running
    daemon uses is left alone. Exits with 0 if all is well, or is now, else with 1.

    \b
    Examples:
      runt doctor
      runt doctor --fix
      runt doctor --json
    """
    import logging

    from runtimed.doctor.report import health_report
    from runtimed.doctor.site import user_site

    # What the checks find is reported below; what lies beneath them would log it once more.
    logging.getLogger("runtimed").addHandler(logging.NullHandler())
    report = health_report(user_site(), fix=fix)
    if as_json:
        from runt_cli.terminal import show_json

        show_json(report.as_json())
    else:
        _show(report, fix=fix)
    if not report.is_healthy:
        raise click.exceptions.Exit(1)


def _show(report: Report, *, fix: bool) -> None:
    from runt_cli.table import printable
    from runt_cli.terminal import tilde

    click.echo(_styled("runtimed Health Check", bold=True))
    for key, check in report.checks().items():
        if key == "quarantine" and check["status"] == "ok":
            continue
        place = printable(tilde(check["path"])) if check["path"] else ""
        parts = [place, _badge(check["status"]), printable(check["detail"] or "")]
        click.echo(f"{_LABELS[key]:<20} {' '.join(filter(None, parts))}")
    click.echo(f"\nDiagnosis: {report.diagnosis}")
    _show_findings("Wrong:", [one for one in report.findings if one.is_wrong])
    _show_findings("Actions taken:", [one for one in report.findings if one.status == "mended"])
    _show_findings("Worth knowing:", [one for one in report.findings if one.status == "note"])
    if fine := [one for one in report.findings if one.status == "ok"]:
        click.echo("\nChecked:")
        for one in fine:
            click.echo(f"  {_badge('ok')} {printable(one.what)}")
    if not fix and report.can_be_mended:
        click.echo("\nRun 'runt doctor --fix' to attempt automatic repair.")


def _show_findings(title: str, findings: list[Finding]) -> None:
    from runt_cli.table import printable
    from runt_cli.terminal import say, tilde

    if not findings:
        return
    click.echo(f"\n{title}")
    for one in findings:
        place = f" ({tilde(str(one.path))})" if one.path else ""
        click.echo(f"  {_badge(one.status)} {printable(one.what + place)}")
        remedy = one.remedy if one.is_wrong else ""
        for label, text in (("why", one.why), ("done", one.done), ("to do", remedy)):
            if text:
                say(f"      {label}: {text}")


def _badge(status: str) -> str:
    return _styled(f"[{status.replace('_', ' ')}]", fg=_COLOURS.get(status, "red"))


def _styled(text: str, *, fg: str | None = None, bold: bool | None = None) -> str:
    import sys

    from runt_cli.terminal import uses_colour

    return click.style(text, fg=fg, bold=bold) if uses_colour(sys.stdout) else text
