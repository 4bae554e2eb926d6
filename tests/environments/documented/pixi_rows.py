"""What the page says of pixi.toml."""

from __future__ import annotations

from documented.common import (
    HEAD,
    deps,
    pixi,
    pypi,
    refuses,
    row,
)
from runtimed.environments.wanted import CondaPackages

PIXI = "pixi.toml"


@row(PIXI, "`workspace.name`, `project.name`")
def _() -> None:
    assert pixi("name = 'n'").name == pixi("[project]\nname = 'n'", "").name == "n"


@row(PIXI, "`workspace.channels`, `project.channels`")
def _() -> None:
    text = "[project]\nchannels = ['a', {channel = 'b', priority = 1}, 'file:///c']"
    assert pixi(text, "").wanted.channels == ("b", "a", "file:///c")
    bare = pixi("[workspace]\n", "")
    assert bare.wanted.channels == ()
    assert bare.notes == ("it names no channels: the configured ones are used",)


@row(PIXI, "`workspace.platforms`")
def _() -> None:
    message = r"^/p/pixi\.toml, line 2: platforms does not list linux-64.*Add \"linux-64\""
    refuses(message, pixi, "[workspace]\nplatforms = ['osx-arm64']", "")


@row(PIXI, "`workspace.channel-priority`")
def _() -> None:
    assert pixi("channel-priority = 'disabled'").notes == (
        "channel-priority is not used: it is strict",
    )
    assert pixi("channel-priority = 'strict'").notes == ()


@row(PIXI, "`workspace.solve-strategy`")
def _() -> None:
    assert pixi("solve-strategy = 'highest'").notes == ()
    refuses("line 4: only the highest versions", pixi, "solve-strategy = 'lowest'")


@row(PIXI, "`workspace.exclude-newer`")
def _() -> None:
    refuses("line 4: packages cannot be chosen by their date", pixi, "exclude-newer = '2025-01-01'")


@row(PIXI, "`workspace.version` and what else describes it")
def _() -> None:
    assert pixi("version = '1'\nauthors = []\ndescription = ''\nreadme = ''").notes == ()


@row(PIXI, "`workspace.requires-pixi`, `workspace.preview`, `workspace.conda-pypi-map` and others")
def _() -> None:
    found = pixi("requires-pixi = '>=1'\npreview = []\nconda-pypi-map = {}")
    assert found.notes == tuple(
        f"workspace.{key} is not used" for key in ("requires-pixi", "preview", "conda-pypi-map")
    )


@row(PIXI, "`dependencies`: a version")
def _() -> None:
    found = deps("a = '*'\nb = ''\nc = '1.26'\nd = '1.26.*'\ne = '>=1,<2'\nf = '>=1 py3*'")
    assert found.specs == ("a", "b", "c ==1.26", "d 1.26.*", "e >=1,<2", "f >=1 py3*")


@row(
    PIXI,
    "`dependencies`: `version`, `build`, `build-number`, `channel`, `subdir`, `md5`, `sha256`",
)
def _() -> None:
    md5, sha = "0" * 32, "1" * 64
    table = (
        "{version = '>=1', build = 'b*', build-number = 2, channel = 'x', subdir = 'noarch', "
        f"md5 = '{md5}', sha256 = '{sha}'}}"
    )
    assert deps(f"a = {table}").specs == (
        f'x/noarch::a >=1 b*[build_number="==2", md5="{md5}", sha256="{sha}"]',
    )


@row(PIXI, "`dependencies`: `path`, `git`, `url`")
def _() -> None:
    for key in ("path", "git", "url"):
        refuses(f'line 5: a has "{key}", and conda', deps, f"a = {{{key} = 'https://h/a'}}")


@row(PIXI, "`dependencies.python`")
def _() -> None:
    for given, kept in (
        (">=3.10", ">=3.10"),
        (">=3.10,<3.13", ">=3.10,<3.13"),
        ("3.12.*", "3.12.*"),
    ):
        found = deps(f"python = '{given}'")
        assert (found.python, found.specs) == (kept, ())
    assert deps("python = '3.10.*|3.12.*'").python == "(3.10.*|3.12.*)"
    assert deps("python = {version = '3.12.*', build = 'b'}").specs == ("python 3.12.* b",)


@row(PIXI, "`host-dependencies`, `build-dependencies`")
def _() -> None:
    text = "[dependencies]\na = '1.*'\n[host-dependencies]\na = '2.*'\nb = '2.*'\n"
    found = pixi(text + "[build-dependencies]\nb = '3.*'\nc = '3.*'").wanted
    assert sorted(found.specs) == ["a 1.*", "b 2.*", "c 3.*"]


@row(PIXI, "`pypi-dependencies`: a version")
def _() -> None:
    assert pypi("a = '1.26.*'") == pypi("a = '==1.26.*'") == "a==1.26.*"
    assert pypi("a = '*'") == pypi("a = {version = '*'}") == "a"
    assert pypi("a = '>=1, <2'") == "a<2,>=1"


@row(PIXI, "`pypi-dependencies`: `extras`")
def _() -> None:
    assert pypi("a = {version = '>=1', extras = ['x', 'y']}") == "a[x,y]>=1"


@row(PIXI, "`pypi-dependencies`: `env-markers`")
def _() -> None:
    marked = "env-markers = \"sys_platform == 'linux'\""
    assert pypi(f"a = {{version = '>=1', {marked}}}") == 'a>=1; sys_platform == "linux"'
    refuses("folder with a marker", pypi, f"a = {{path = '.', {marked}}}")


@row(PIXI, "`pypi-dependencies`: `git` with `rev`, `tag` or `branch`, and `subdirectory`")
def _() -> None:
    for key in ("rev", "tag", "branch"):
        text = f"a = {{git = 'https://h/a.git', {key} = 'v1', subdirectory = 's', extras = ['x']}}"
        assert "git+https://h/a.git@v1#subdirectory=s" in pypi(text)
        assert pypi(text).startswith("a[x]")
    assert "git+ssh://git@h/a/b.git" in pypi("a = {git = 'git@h:a/b.git'}")
    refuses("Keep one of them", pypi, "a = {git = 'https://h/a', rev = '1', tag = '2'}")


@row(PIXI, "`pypi-dependencies`: `url`")
def _() -> None:
    assert "https://h/a.whl" in pypi("a = {url = 'https://h/a.whl'}")


@row(
    PIXI,
    "`pypi-dependencies`: `path`",
)
def _() -> None:
    found = pixi("[pypi-dependencies]\na = {path = '../a', extras = ['x']}")
    assert (found.wanted.editable, found.wanted.pip) == (("/a[x]",), ())
    assert found.notes == ("a is installed from its folder as if it were editable",)
    assert "file:///p/dist/a%20b.whl" in pypi("a = {path = 'dist/a b.whl'}")


@row(PIXI, "`pypi-dependencies`: `editable`")
def _() -> None:
    found = pixi("[pypi-dependencies]\na = {path = '.', editable = true}")
    assert (found.wanted.editable, found.notes) == (("/p",), ())
    refuses("line 5: a is editable without a path", pypi, "a = {version = '*', editable = true}")


@row(PIXI, "`pypi-dependencies`: `index`")
def _() -> None:
    refuses("line 5: a is bound to an index", pypi, "a = {version = '*', index = 'https://h'}")


@row(
    PIXI,
    "`pypi-options`: `index-url`, `extra-index-urls`, `find-links`, `index-strategy`, "
    "`prerelease-mode`",
)
def _() -> None:
    text = (
        "index-url = 'https://a'\nextra-index-urls = ['https://b', 'file:///c']\n"
        "find-links = [{path = 'd'}, {url = 'https://e'}]\n"
        "index-strategy = 'unsafe-best-match'\nprerelease-mode = 'allow'"
    )
    for place in ("pypi-options", "workspace.pypi-options", "feature.x.pypi-options"):
        found = pixi(f"[environments]\ndefault = ['x']\n[feature.x]\n[{place}]\n{text}")
        assert found.wanted.pip_options == (
            *("--index-url=https://a", "--extra-index-url=https://b"),
            *("--extra-index-url=file:///c", "--find-links=/p/d", "--find-links=https://e"),
            *("--index-strategy=unsafe-best-match", "--prerelease=allow"),
        )
    for wrong in ("a", "--x", "ftp://h", "https://", "https://h/${A}", "file://h/a", ""):
        refuses("line 5: .*is no index", pixi, f"[pypi-options]\nindex-url = '{wrong}'")
    refuses("is unknown", pixi, "[pypi-options]\nindex-strategy = '--x'")
    refuses("is unknown", pixi, "[pypi-options]\nprerelease-mode = '--x'")


@row(PIXI, "`pypi-options`: any other")
def _() -> None:
    for name in ("no-build-isolation", "dependency-overrides", "no-build"):
        message = rf"line 5: pypi-options\.{name} is not supported"
        refuses(message, pixi, f"[pypi-options]\n{name} = true")


@row(
    PIXI,
    "`target.PLATFORM`",
)
def _() -> None:
    tables = {"linux-64": "1.*", "unix": "3.*", "linux": "2.*", "osx": "4.*", "win-64": "5.*"}
    text = "".join(f"[target.{n}.dependencies]\na = '{v}'\n" for n, v in tables.items())
    found = pixi(f"[dependencies]\na = '0.*'\n{text}[target.unix.pypi-dependencies]\nb = '*'")
    assert (found.wanted.specs, found.wanted.pip) == (("a 1.*",), ("b",))
    assert found.notes == ("targets that are not this platform: osx, win-64",)
    refuses('"amiga" is no platform', pixi, "[target.amiga.dependencies]\na = '*'")


FEATURES = """
[feature.x]
channels = ["y"]
[feature.x.dependencies]
a = "2.*"
[feature.x.target.linux.pypi-dependencies]
b = "*"
[feature.x.activation.env]
V = "x"
[feature.z.dependencies]
z = "*"
"""


@row(PIXI, "`feature.NAME`")
def _() -> None:
    text = "[dependencies]\na = '>=1'\n[environments]\ndefault = ['x']\n" + FEATURES
    found = pixi(text)
    assert found.wanted == CondaPackages(
        ("a 2.*", "a >=1"), ("y", "c"), pip=("b",), variables={"V": "x"}
    )
    assert found.notes == ("features that are not in the default environment: z",)


@row(PIXI, "`environments.default`")
def _() -> None:
    bare = "{features = ['x'], no-default-feature = true}"
    found = pixi(f"[dependencies]\na = '>=1'\n[environments]\ndefault = {bare}\n" + FEATURES)
    assert found.wanted.specs == ("a 2.*",)


@row(PIXI, "other `environments`")
def _() -> None:
    found = pixi("[environments]\nt = ['x']\n[feature.x.dependencies]\na = '*'")
    assert found.wanted.specs == ()
    assert found.notes[0] == "of the environments only default is used, not t"
    for name in ("t", "default"):
        message = rf'line 5: the environment "{name}" names the feature "x", which is not defined'
        refuses(message, pixi, f"[environments]\n{name} = ['x']")


@row(PIXI, "`solve-group`")
def _() -> None:
    found = pixi("[environments]\ndefault = {solve-group = 'g'}")
    assert found.notes == ("solve-group is not used: the default environment is solved alone",)


@row(PIXI, "`activation.env`")
def _() -> None:
    text = "[activation.env]\nA = 'a'\nB = '$PIXI_PROJECT_ROOT/x'\nC = '${PIXI_PROJECT_ROOT}'\n"
    found = pixi(text + "[target.linux.activation.env]\nA = 'b'")
    assert found.wanted.variables == {"A": "b", "B": "/p/x", "C": "/p"}
    refuses("line 5: the variable A refers to another", pixi, "[activation.env]\nA = '$HOME'")


@row(PIXI, "`activation.scripts`")
def _() -> None:
    refuses("line 5: activation scripts", pixi, "[activation]\nscripts = ['a.sh']")


@row(PIXI, "`system-requirements`")
def _() -> None:
    found = pixi("[system-requirements]\ncuda = '12'")
    assert found.notes == ("system-requirements are not used: this machine's own are",)


@row(PIXI, "`constraints`, `dev`")
def _() -> None:
    for table in ("constraints", "dev", "target.linux.constraints"):
        refuses(r"line 4: \[(constraints|dev)\] is not", pixi, f"[{table}]\na = '1'")


@row(PIXI, "`tasks`")
def _() -> None:
    assert pixi("[tasks]\na = 'b'").notes == ("tasks are not run",)


@row(PIXI, "`package`")
def _() -> None:
    assert pixi("[package]\nname = 'b'").notes[0].startswith("[package] is not built")


@row(PIXI, "`tool`, `$schema`")
def _() -> None:
    assert pixi("[tool.x]\na = 1", "'$schema' = 'x'\n" + HEAD).notes == ()


@row(PIXI, "any other key")
def _() -> None:
    refuses('line 4: "dependncies" is not supported', pixi, "[dependncies]\na = '*'")
    refuses('"target.linux.channels" is not', pixi, "[target.linux]\nchannels = []")
    refuses('line 5: "x" is not supported for a', deps, "a = {x = 1}")


@row(PIXI, "broken TOML")
def _() -> None:
    refuses(r"^/p/pixi\.toml, line 5: .*uv:prewarmed", pixi, "[dependencies]\na = ")
