"""Where packages come from, as part of what tells environments apart."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from runtimed.environments.conda.cached import CondaPackagesMaker
from runtimed.environments.conda.channels import ChannelMap
from runtimed.environments.index_settings import index_settings
from runtimed.environments.wanted import CondaPackages

NOWHERE = {"HOME": "/nowhere", "UV_NO_CONFIG": "1"}


def settings_of(**variables: str) -> list[str]:
    return index_settings({**NOWHERE, **variables})


def test_where_nothing_is_set_there_is_nothing() -> None:
    assert settings_of() == []
    assert settings_of(UV_INDEX=" ", UV_CACHE_DIR="/cache", UV_INDEX_OURS_PASSWORD="x") == []


@pytest.mark.parametrize(
    "name",
    ["UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"],
)
def test_each_variable_with_addresses_counts(name: str) -> None:
    one, other = (settings_of(**{name: f"https://{host}/simple"}) for host in ("a", "b"))
    assert one == [f"{name}=https://a/simple"]
    assert other == [f"{name}=https://b/simple"]


def test_the_order_of_indexes_counts_and_how_they_are_spelled_does_not() -> None:
    one = settings_of(UV_INDEX="ours=https://a/simple https://b/simple")
    assert one == settings_of(UV_INDEX="ours=https://a/simple/  https://b/simple/\n")
    assert one != settings_of(UV_INDEX="https://b/simple ours=https://a/simple")


@pytest.mark.parametrize("credentials", ["user:se%40cret", "user:secret", "secret", "a:se@cret"])
def test_who_may_ask_an_index_is_nobodys_affair(credentials: str) -> None:
    plain = settings_of(UV_INDEX="ours=https://a/simple https://b/x@y")
    asked = settings_of(UV_INDEX=f"ours=https://{credentials}@a/simple https://b/x@y")
    assert asked == plain
    assert "cret" not in str(asked)


async def test_they_are_part_of_conda_environments_with_packages_that_uv_installs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("UV_INDEX", "UV_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    maker = CondaPackagesMaker(channels=lambda: ChannelMap.of({}))
    plain = CondaPackages(("numpy",), ("conda-forge",))
    lists = [plain, attrs.evolve(plain, pip=("six",)), attrs.evolve(plain, editable=("/p",))]
    before = [await maker.fingerprint(wanted) for wanted in lists]
    monkeypatch.setenv("UV_INDEX", "https://a/simple")
    after = [await maker.fingerprint(wanted) for wanted in lists]
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, False]


def test_the_users_own_file_counts(tmp_path: Path) -> None:
    file = tmp_path / "uv.toml"

    def of_file(text: str) -> list[str]:
        file.write_text(text)
        return index_settings({"HOME": "/nowhere", "UV_CONFIG_FILE": str(file)})

    assert of_file("offline = true") == []
    assert of_file("[pip]\nno-deps = true") == []
    assert of_file("broken = ") == []
    assert of_file('index-url = "https://me:secret@a/simple"') == ['index-url="https://a/simple"']
    assert of_file('[pip]\nextra-index-url = ["https://a/"]') == [
        'pip.extra-index-url=["https://a"]'
    ]
    listed = '[[index]]\nname = "ours"\nurl = "https://{}a/simple"\n'
    assert of_file(listed.format("")) == of_file(listed.format("me:secret@")) != []
    file.unlink()
    assert index_settings({"HOME": "/nowhere", "UV_CONFIG_FILE": str(file)}) == []
