"""What the page says of notebook metadata, script blocks, entries and settings."""

from __future__ import annotations

from documented.common import (
    choice,
    conda,
    refuses,
    requirements,
    row,
    specs,
    uv,
    yml,
)
from runtimed.document.metadata import snapshot_from_file
from runtimed.environments.wanted import DenoRuntime, UvPackages

NOTEBOOK = "Notebook metadata"


@row(NOTEBOOK, "`kernelspec`")
def _() -> None:
    assert (
        choice({"kernelspec": {"name": "deno"}, "language_info": {"name": "python"}}).kernel_type
        == "deno"
    )
    assert choice({"kernelspec": {"name": "x", "language": "typescript"}}).kernel_type == "deno"


@row(NOTEBOOK, "`language_info`")
def _() -> None:
    assert choice({"language_info": {"name": "typescript"}}).kernel_type == "deno"


@row(NOTEBOOK, "`runt.uv.dependencies`")
def _() -> None:
    found = choice(uv("numpy"))
    assert (found.env_source, found.wanted) == ("uv:inline", UvPackages(("numpy",)))


@row(NOTEBOOK, "`runt.uv.requires-python`")
def _() -> None:
    assert requirements("a", **{"requires-python": ">=3.10"}).requires_python == ">=3.10"


@row(NOTEBOOK, "`runt.uv.prerelease`")
def _() -> None:
    assert requirements("a", prerelease="allow").prerelease == "allow"


@row(NOTEBOOK, "`runt.conda.dependencies`")
def _() -> None:
    assert choice(conda("numpy")).env_source == "conda:inline"
    both = {"runt": {**uv("a")["runt"], **conda("b")["runt"]}}
    assert choice(both).env_source == "uv:inline"
    assert choice(both).notes == ("the conda list is not used: a uv list comes first",)


@row(NOTEBOOK, "`runt.conda.channels`")
def _() -> None:
    assert specs("a", channels=["y", "x"]).channels == ("y", "x")
    assert specs("a").channels == specs("a", channels=[]).channels == ()


@row(NOTEBOOK, "`runt.conda.python`")
def _() -> None:
    assert specs("a", python="3.12").python == "3.12.*"
    assert specs("a", python=">=3.10").python == ">=3.10"


@row(NOTEBOOK, "`runt.deno`")
def _() -> None:
    section = {
        "permissions": ["--allow-net"],
        "import_map": "m",
        "config": "c",
        "flexible_npm_imports": False,
    }
    found = choice({"runt": {"deno": section}})
    assert found.wanted == DenoRuntime(("--allow-net",), "m", "c", flexible_npm_imports=False)
    assert choice({"kernelspec": {"name": "python3"}, "runt": {"deno": {}}}).kernel_type == "python"


@row(NOTEBOOK, "`uv`, `conda` at the top")
def _() -> None:
    old = {"uv": {"dependencies": ["a"]}, "runt": {"uv": {"dependencies": ["no version of runt"]}}}
    assert choice(snapshot_from_file(old)).wanted == UvPackages(("a",))
    assert (
        choice(snapshot_from_file({"conda": {"dependencies": ["a"]}})).env_source == "conda:inline"
    )
    new = {"uv": {"dependencies": ["a"]}, "runt": {"schema_version": "1"}}
    assert choice(snapshot_from_file(new)).env_source == "uv:prewarmed"


# PEP 723

BLOCK = "PEP 723 block"


@row(BLOCK, "`dependencies`")
def _() -> None:
    found = choice(block="# dependencies = ['a']")
    assert (found.env_source, found.wanted) == ("uv:pep723", UvPackages(("a",)))
    assert choice(block="# dependencies = []").env_source == "uv:prewarmed"


@row(BLOCK, "`requires-python`")
def _() -> None:
    wanted = choice(block="# dependencies = ['a']\n# requires-python = '>=3.9'").wanted
    assert wanted == UvPackages(("a",), requires_python=">=3.9")


@row(BLOCK, "`[tool]`")
def _() -> None:
    notes = choice(block="# dependencies = ['a']\n# [tool.uv]\n# index-url = 'x'").notes
    assert notes == ("[tool.uv] in the script block is not used",)


@row(BLOCK, "any other key")
def _() -> None:
    notes = choice(block="# dependencies = ['a']\n# other = 1").notes
    assert notes == ("other in the script block is not known to PEP 723 and not used",)


@row(BLOCK, "a second block")
def _() -> None:
    twice = "# dependencies = ['a']\n# ///\n# /// script\n# dependencies = ['a']"
    refuses("cell 1 line 1, cell 1 line 4", choice, block=twice, env_source="uv:pep723")


@row(BLOCK, "broken TOML")
def _() -> None:
    refuses(r"\(cell 1, line 2\)", choice, block="# dependencies = x", env_source="uv:pep723")


# Requirements

ENTRIES = "Requirements in a list for uv"


@row(ENTRIES, "`name`, `name[extra]>=1,<2; marker`")
def _() -> None:
    wanted = requirements("A_b [ x ] >= 1 , < 2 ; python_version > '3'", "A.B")
    assert wanted.requirements == ('a-b[x]<2,>=1; python_version > "3"', "a-b")


@row(ENTRIES, "`name @ https://...`")
def _() -> None:
    assert "https://h/a.whl" in requirements("a @ https://h/a.whl").requirements[0]


@row(ENTRIES, "`name @ git+https://...`")
def _() -> None:
    assert "git+https://h/a@v1" in requirements("a @ git+https://h/a@v1").requirements[0]


@row(ENTRIES, "`name @ file:///...`")
def _() -> None:
    refuses("points to a file", requirements, "a @ file:///a")
    assert "file:///a" in yml("dependencies: [{pip: ['a @ file:///a']}]").wanted.pip[0]


@row(ENTRIES, "an address without a name")
def _() -> None:
    refuses('"NAME @ URL"', requirements, "https://h/a.whl")
    refuses('"NAME @ URL"', requirements, "git+https://h/a")


@row(ENTRIES, "`-r file`, `-e .`, `--index-url ...`, any option")
def _() -> None:
    for entry in ("-r file", "-e .", "--index-url https://h", "--pre", "-x"):
        refuses("is an option", requirements, "a", entry)


@row(ENTRIES, "a path or the name of a file")
def _() -> None:
    for entry in ("./a", "/a", "../a", "a/b", "a.whl", "requirements.txt"):
        refuses("is a (path|file)", requirements, entry)


@row(ENTRIES, "`${VARIABLE}` in an address")
def _() -> None:
    refuses("has a variable", requirements, "a @ https://h/${HOME}")


SPECS = "Specs in a list for conda"


@row(SPECS, "`name`, `name>=1,<2`, `name=1.2`, `name 1.2 build`")
def _() -> None:
    found = specs("a", "b>=1,<2", "c=1.2", "d 1.2 build", "e 1.2").specs
    assert found == ("a", "b >=1,<2", "c 1.2.*", "d ==1.2 build", "e ==1.2")


@row(SPECS, "`channel::name`")
def _() -> None:
    assert specs("conda-forge::a=1").specs == ("conda-forge::a 1.*",)


@row(
    SPECS,
    "`name[version=..., build=..., build_number=..., channel=..., subdir=..., md5=..., "
    "sha256=...]`",
)
def _() -> None:
    md5, sha = "0" * 32, "1" * 64
    entry = (
        f"a[version='>=1',build=b,build_number=2,channel=c,subdir=noarch,md5={md5},sha256={sha}]"
    )
    assert specs(entry).specs == (
        f'c/noarch::a >=1 b[build_number="==2", md5="{md5}", sha256="{sha}"]',
    )


@row(SPECS, "`name[url=...]` and other keys in brackets")
def _() -> None:
    refuses("points to a file", specs, "a[url='https://h/a.conda']")
    refuses("track_features is not supported", specs, "a[track_features=x]")


@row(SPECS, "an option, a path, an address of a file")
def _() -> None:
    for entry in ("--file=x", "./a", "/a", "https://h/a.conda", "a.tar.bz2"):
        refuses("is an? (option|address or a path|file)", specs, entry)


@row(SPECS, "a channel that is a path or `file://`")
def _() -> None:
    for channel in ("./c", "/c", "file:///c"):
        refuses("is no channel", specs, "a", channels=[channel])
    assert yml("channels: ['file:///c']\ndependencies: [a]").wanted.channels == ("file:///c",)


@row("Settings", "`default_runtime`")
def _() -> None:
    assert choice({}, default_runtime="deno").kernel_type == "deno"


@row("Settings", "`default_python_env`")
def _() -> None:
    assert choice({}, default_python_env="conda").env_source == "conda:prewarmed"
