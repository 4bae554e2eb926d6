from __future__ import annotations

import plistlib
import shutil
import string
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimed.errors import ServiceFailed
from runtimed.service import launchd_plist, systemd_unit
from runtimed.service.definition import ServiceDefinition, define, search_path

HOME = Path("/home/a user")
BASE = HOME / ".cache/runt"
PROGRAM = HOME / "venv/bin/runtimed"

names = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="/"), min_size=1
)


def definition(program: Path = PROGRAM, **environ: str) -> ServiceDefinition:
    return define(program, BASE, BASE / "runtimed.log", HOME, environ, lambda path: False)


def test_the_service_reaches_the_network_as_its_user_does_and_keeps_no_secrets() -> None:
    given = definition(
        SSL_CERT_FILE="/etc/certs.pem",
        HTTPS_PROXY="http://name:word@proxy:3128",
        NO_PROXY="localhost,*.example.org",
        UV_INDEX_URL="https://token@packages.example.org/simple",
        UV_DEFAULT_INDEX="https://packages.example.org/simple",
        GITHUB_TOKEN="secret",
        VIRTUAL_ENV="/venv",
    )
    names = [name for name, _ in given.environment]
    assert names == ["HOME", "PATH", "SSL_CERT_FILE", "NO_PROXY", "UV_DEFAULT_INDEX"]
    assert given.left_out == ("HTTPS_PROXY", "UV_INDEX_URL")
    unit = systemd_unit.systemd_unit(given)
    assert 'Environment="UV_DEFAULT_INDEX=https://packages.example.org/simple"' in unit
    assert "token" not in unit
    assert "word" not in unit


@pytest.mark.parametrize(
    "value",
    [
        "https://host/t/TOKEN/channel",
        "conda-forge,t/TOKEN/channel",
        "user:pw@proxy:3128",
        "http://user:p/w@proxy:3128",
        "name=https://packages.example.org/simple?token=TOKEN",
    ],
)
def test_no_address_that_may_hold_credentials_is_written(value: str) -> None:
    for name in ("ALL_PROXY", "UV_INDEX", "RUNTIMED_CONDA_CHANNELS"):
        given = definition(PROGRAM, **{name: value})
        assert given.left_out == (name,)
        assert value not in systemd_unit.systemd_unit(given)
    # Files are no addresses, and names of channels no tokens.
    fine = {
        "SSL_CERT_FILE": "/home/a@b/t/c.pem",
        "RUNTIMED_CONDA_CHANNELS": "a/b,http://h/pkgs/main",
    }
    assert definition(PROGRAM, **fine).left_out == ()


def test_the_whole_unit() -> None:
    assert (
        systemd_unit.systemd_unit(definition(USER="u"))
        == """\
[Unit]
Description=runtimed - Jupyter Runtime Daemon
After=network.target
# A daemon that can't start is given up after five attempts, not tried for ever.
StartLimitIntervalSec=300
StartLimitBurst=5

[Service]
Type=simple
ExecStart="/home/a user/venv/bin/runtimed"
Restart=on-failure
RestartSec=5
# Another daemon, started by hand, runs already: it is as good, and starting again would not help.
RestartPreventExitStatus=75
# The daemon ends its kernels itself; only what it leaves is killed.
KillMode=mixed
TimeoutStopSec=20
# A kernel that ate the memory is the one to go, not everybody's notebooks with it.
OOMPolicy=continue
Environment="HOME=/home/a user"
Environment="PATH=/home/a user/.local/bin:/home/a user/.cargo/bin:/home/a user/.deno/bin:\
/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
Environment="USER=u"
X-Base="/home/a user/.cache/runt"

[Install]
WantedBy=default.target
"""
    )


def test_the_whole_property_list() -> None:
    assert plistlib.loads(launchd_plist.launchd_plist(definition())) == {
        "Label": "io.nteract.runtimed",
        "ProgramArguments": ["/home/a user/venv/bin/runtimed"],
        "RunAtLoad": True,
        "KeepAlive": {"Crashed": True},
        "ExitTimeOut": 20,
        "ProcessType": "Interactive",
        "StandardOutPath": "/home/a user/.cache/runt/runtimed.log",
        "StandardErrorPath": "/home/a user/.cache/runt/runtimed.log",
        "EnvironmentVariables": {
            "HOME": "/home/a user",
            "USER": "unknown",
            "PATH": "/home/a user/.local/bin:/home/a user/.cargo/bin:/home/a user/.deno/bin:"
            "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        },
    }


def test_what_decides_where_files_lie_is_kept_and_nothing_else() -> None:
    environment = dict(
        definition(
            XDG_CACHE_HOME="/c",
            XDG_CONFIG_HOME="relative",
            VIRTUAL_ENV="/v",
            RUNTIMED_DEV="1",
            UV_INDEX_URL="https://secret@example.org",
        ).environment
    )
    assert environment.keys() == {"HOME", "PATH", "XDG_CACHE_HOME"}
    assert environment["XDG_CACHE_HOME"] == "/c"


def test_tools_are_found_where_they_are_usually_installed() -> None:
    places = {
        "/opt/homebrew/bin",
        "/opt/homebrew/sbin",
        "/home/u/.nix-profile/bin",
        "/nix/var/nix/profiles/default/bin",
        "/home/u/.pyenv/shims",
    }
    path = search_path(Path("/home/u"), {}, places.__contains__).split(":")
    assert path[:3] == ["/home/u/.local/bin", "/home/u/.cargo/bin", "/home/u/.deno/bin"]
    assert set(path[3:-5]) == places
    assert path[-5:-2] == ["/usr/local/bin", "/usr/bin", "/bin"]
    elsewhere = search_path(Path("/h"), {"PYENV_ROOT": "/p"}, lambda path: path == "/p/shims")
    assert "/p/shims" in elsewhere.split(":")


def test_a_colon_is_not_taken_for_two_places() -> None:
    assert "o:dd" not in search_path(Path("/home/o:dd"), {}, lambda path: True)


@given(names)
def test_a_program_of_any_name_is_found_again(name: str) -> None:
    program = Path("/programs") / name
    assert launchd_plist.program_of(launchd_plist.launchd_plist(definition(program))) == program
    base = systemd_unit.quoted(str(program))
    assert systemd_unit.base_of(f"X-Base={base}") == program
    try:
        unit = systemd_unit.systemd_unit(definition(program))
    except ServiceFailed:
        assert set(name) & set("\"'\\") or not name.isprintable()
    else:
        assert systemd_unit.program_of(unit) == program


def test_a_name_that_no_service_file_can_hold_is_an_error() -> None:
    program = Path("/caf\udce9")
    for write in (systemd_unit.systemd_unit, launchd_plist.launchd_plist):
        with pytest.raises(ServiceFailed):
            write(definition(program))


def test_a_service_says_which_daemon_it_is_for() -> None:
    unit = systemd_unit.systemd_unit(definition())
    assert systemd_unit.serves(unit, BASE)
    assert not systemd_unit.serves(unit, Path("/elsewhere/runt"))
    assert systemd_unit.serves("[Service]\nExecStart=/usr/bin/runtimed\n", BASE)
    plist = launchd_plist.launchd_plist(definition())
    assert launchd_plist.serves(plist, BASE)
    assert not launchd_plist.serves(plist, Path("/elsewhere/runt"))
    assert launchd_plist.serves(b"no plist", BASE)


def test_units_of_others_are_understood_as_far_as_needed() -> None:
    assert systemd_unit.program_of("ExecStart=/usr/bin/runtimed run") == Path("/usr/bin/runtimed")
    assert systemd_unit.program_of("[Service]\n") is None
    assert launchd_plist.program_of(b"no plist") is None


@pytest.mark.real
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
@pytest.mark.parametrize("name", ["a b", "100%h $HOME ${X} é;#"])
def test_systemd_itself_finds_no_fault_with_the_unit(tmp_path: Path, name: str) -> None:
    program = tmp_path / name / "runtimed"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    made = define(program, tmp_path / name, tmp_path / "log", tmp_path / name, {"USER": name})
    unit = tmp_path / "runtimed.service"
    unit.write_text(systemd_unit.systemd_unit(made))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", unit],
        capture_output=True,
        text=True,
        env={"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    about_it = [line for line in done.stderr.splitlines() if "runtimed" in line]
    assert (done.returncode, about_it) == (0, [])


def test_every_printable_character_can_be_quoted() -> None:
    word = systemd_unit.quoted(string.printable)
    assert "\n" not in word
    assert word.count("%") == 2
