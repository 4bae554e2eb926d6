"""What the page says of environment.yml."""

from __future__ import annotations

from documented.common import (
    pip,
    refuses,
    row,
    yml,
)

YML = "environment.yml, environment.yaml"


@row(YML, "`name`")
def _() -> None:
    found = yml("name: n\nchannels: [c]\ndependencies: [a]")
    assert found.name == "n"
    assert found.notes[0].startswith("name is only shown")


@row(YML, "`name` without `dependencies`")
def _() -> None:
    message = r'^/p/environment\.yml: it names the environment "n" but lists no dependencies\. List'
    refuses(message, yml, "name: n")
    refuses(r"line 2: .* lists no dependencies", yml, "name: n\ndependencies:\n")
    assert yml("dependencies: []").wanted.specs == ()


@row(YML, "`channels`")
def _() -> None:
    assert yml("channels: [b, a, b]\ndependencies: [x]").wanted.channels == ("b", "a")
    found = yml("dependencies: [x]")
    assert found.wanted.channels == ()
    assert found.notes == ("it names no channels: the configured ones are used",)
    refuses("line 2: .*is no channel", yml, "channels:\n - ./c\ndependencies: [x]")


@row(YML, "`channels`: `nodefaults`")
def _() -> None:
    assert yml("channels: [a, nodefaults]\ndependencies: [x]").wanted.channels == ("a",)


@row(YML, "`channels`: `defaults`")
def _() -> None:
    assert yml("channels: [defaults]\ndependencies: [x]").wanted.channels == ("defaults",)


@row(YML, "`dependencies`: a spec")
def _() -> None:
    found = yml("dependencies:\n - a=1.10\n - c::b>=2\n - e =1.1=h_0")
    assert found.wanted.specs == ("a 1.10.*", "c::b >=2", "e ==1.1 h_0")
    refuses("line 2: .*is an option", yml, "dependencies:\n - --file=x")
    refuses("line 3: .*is not a conda spec", yml, "dependencies:\n - a\n - a b c d")


@row(YML, "`dependencies`: `python`")
def _() -> None:
    for given, kept in (
        ("=3.10", "3.10.*"),
        (">=3.10,<3.13", ">=3.10,<3.13"),
        ("=3.10.4", "3.10.4.*"),
    ):
        found = yml(f"dependencies: ['python{given}']").wanted
        assert (found.python, found.specs) == (kept, ())


@row(YML, "`dependencies`: `pip`")
def _() -> None:
    found = pip("Requests[socks]>=2", "b==1 # why", "c ; python_version>'3'")
    assert found.specs == ("pip",)
    assert found.pip == ("requests[socks]>=2", "b==1", 'c; python_version > "3"')


@row(YML, "`pip`: `-e FOLDER`, `./FOLDER`")
def _() -> None:
    assert pip("-e .", "-e ./a[x]", "--editable=../b", "./c", "-e /d").editable == (
        *("/p", "/p/a[x]", "/b", "/p/c", "/d"),
    )
    refuses("does not name a folder", pip, "-e git+https://h/a#egg=a")


@row(YML, "`pip`: `name @ file:///...`")
def _() -> None:
    assert "file:///a.whl" in pip("a @ file:///a.whl").pip[0]


@row(YML, "`pip`: `-r FILE`, `-c FILE`")
def _() -> None:
    for entry in ("-r requirements.txt", "-rreq.txt", "--requirement req.txt", "-c c.txt"):
        refuses("line 4: .*List the requirements themselves", pip, entry)


@row(YML, "`pip`: `--index-url`, `--extra-index-url`, `--find-links`")
def _() -> None:
    found = pip("a", "--index-url https://h", "--extra-index-url=https://i", "-f ./wheels")
    assert found.pip == ("a",)
    assert found.pip_options == (
        *("--index-url=https://h", "--extra-index-url=https://i", "--find-links=/p/wheels"),
    )
    refuses("line 4: .*is no index", pip, "-i --pre")


@row(YML, "`pip`: any other option")
def _() -> None:
    refuses("line 4: .*is an option of pip", pip, "--pre")


@row(YML, "`dependencies`: any other mapping")
def _() -> None:
    refuses('line 2: "npm" is not supported', yml, "dependencies:\n - npm: [a]")
    refuses("line 2: an entry of dependencies is not a mapping", yml, "dependencies:\n - [a]")


@row(YML, "`variables`")
def _() -> None:
    found = yml("dependencies: [a]\nvariables:\n  A: 1.10\n  B: yes\n  C: '$HOME'\n  D: 010")
    assert found.wanted.variables == {"A": "1.10", "B": "yes", "C": "$HOME", "D": "010"}
    refuses("line 3: .*is not a text", yml, "dependencies: [a]\nvariables:\n  A: [1]")


@row(YML, "`prefix`")
def _() -> None:
    notes = yml("channels: [c]\ndependencies: [a]\nprefix: /x").notes
    assert notes == ("prefix is not used: the environment lies in our cache",)


@row(YML, "any other key")
def _() -> None:
    refuses('line 2: "dependecies" is not supported', yml, "name: n\ndependecies: [a]")


@row(YML, "broken YAML")
def _() -> None:
    refuses(
        r"^/p/environment\.yml, line 3: .*uv:prewarmed", yml, "name: n\ndependencies:\n  - 'a\n"
    )
