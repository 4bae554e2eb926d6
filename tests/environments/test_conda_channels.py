"""Names of conda channels and the URLs behind them."""

from __future__ import annotations

import pytest

from runtimed.environments.conda.channels import Channel, ChannelMap, without_secrets
from runtimed.errors import EnvironmentBuildFailed


def urls(known: ChannelMap, *names: str) -> list[str]:
    return [channel.url for channel in known.resolve(names)]


def test_without_settings_it_is_conda_forge() -> None:
    assert urls(ChannelMap.of({})) == ["https://conda.anaconda.org/conda-forge"]


def test_channels_keep_their_order_and_come_once() -> None:
    assert urls(ChannelMap(), "bioconda", "conda-forge", "bioconda") == [
        "https://conda.anaconda.org/bioconda",
        "https://conda.anaconda.org/conda-forge",
    ]


def test_defaults_are_the_channels_of_the_vendor() -> None:
    assert urls(ChannelMap(), "defaults") == [
        "https://repo.anaconda.com/pkgs/main",
        "https://repo.anaconda.com/pkgs/r",
    ]


def test_a_setting_names_the_default_channels_and_a_variable_wins_over_it() -> None:
    assert ChannelMap.of({}, ["bioconda"]).default == ("bioconda",)
    environ = {"RUNTIMED_CONDA_CHANNELS": "main, https://here.example/x"}
    assert ChannelMap.of(environ, ["bioconda"]).default == ("main", "https://here.example/x")


def test_an_alias_takes_all_plain_names_and_no_urls() -> None:
    known = ChannelMap.of({"RUNTIMED_CONDA_CHANNEL_ALIAS": "https://mirror.example/conda/"})
    assert urls(known, "conda-forge", "defaults", "https://other.example/a/") == [
        "https://mirror.example/conda/conda-forge",
        "https://mirror.example/conda/defaults",
        "https://other.example/a",
    ]


def test_single_names_can_be_mapped_to_urls_and_folders() -> None:
    known = ChannelMap.of(
        {"RUNTIMED_CONDA_CHANNEL_URLS": "conda-forge=/srv/forge,defaults=https://a.example/b"}
    )
    assert urls(known, "conda-forge", "defaults") == ["file:///srv/forge", "https://a.example/b"]


def test_nodefaults_is_no_channel() -> None:
    assert urls(ChannelMap(), "conda-forge", "nodefaults") == urls(ChannelMap(), "conda-forge")


@pytest.mark.parametrize(
    "name", ["-c", "--channel=x", "../up", "./here", "/etc", "a b", "", "x/../y", "ftp://x/y"]
)
def test_what_is_neither_a_name_nor_a_url_is_refused_with_the_remedy(name: str) -> None:
    with pytest.raises(EnvironmentBuildFailed, match="Write its name, such as conda-forge"):
        ChannelMap().resolve([name])


def test_a_spec_with_a_channel_gets_the_channels_url() -> None:
    known = ChannelMap(urls={"forge": "/srv/forge"})
    channel = Channel("forge", "file:///srv/forge")
    assert known.with_own_channel("forge::numpy >=1") == ("file:///srv/forge::numpy >=1", channel)
    text, _ = known.with_own_channel("forge/noarch::numpy")
    assert text == "file:///srv/forge/noarch::numpy"
    assert known.with_own_channel("numpy >=1") == ("numpy >=1", None)


def test_tokens_and_passwords_are_not_shown() -> None:
    channel = Channel("mine", "https://me:secret@host.example/t/tk-123/mine")
    assert str(channel) == "mine (https://***@host.example/t/***/mine)"
    assert without_secrets("no url: a@b") == "no url: a@b"
