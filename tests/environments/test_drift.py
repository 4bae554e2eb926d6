from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimed.environments.drift import drift, tracked
from runtimed.environments.resolution import Situation, resolve
from runtimed.environments.script_block import CodeCell
from runtimed.protocol.structures import DenoLaunchedConfig, EnvSyncDiff, LaunchedEnvConfig

NOTHING = LaunchedEnvConfig()
IN_SYNC = ((), (), False, False)


def _told(diff: EnvSyncDiff | None) -> tuple[tuple[str, ...], tuple[str, ...], bool, bool] | None:
    if diff is None:
        return None
    return diff.added, diff.removed, diff.channels_changed, diff.deno_changed


def _snapshot(**sections: Mapping[str, Any]) -> dict[str, Any]:
    return {"runt": {"schema_version": "1", **sections}}


def _block(*dependencies: str) -> list[CodeCell]:
    lines = "".join(f'#   "{text}",\n' for text in dependencies)
    return [CodeCell(2, f"# /// script\n# dependencies = [\n{lines}# ]\n# ///\nx = 1")]


def _uv(*now: str, then: tuple[str, ...]) -> object:
    launched = LaunchedEnvConfig(uv_deps=then)
    return _told(drift(launched, "uv:inline", _snapshot(uv={"dependencies": list(now)}), ()))


def _conda(now: Mapping[str, Any], **then: Any) -> object:
    return _told(drift(LaunchedEnvConfig(**then), "conda:inline", _snapshot(conda=now), ()))


def test_what_was_added_and_removed_is_named_as_the_notebook_spells_it() -> None:
    assert _uv("Requests >= 2", "numpy", then=("numpy", "pandas<3")) == (
        ("Requests >= 2",),
        ("pandas<3",),
        False,
        False,
    )


def test_spelling_order_and_repetition_are_no_drift() -> None:
    assert _uv("NumPy", "requests >=2, <3", "numpy", then=("requests<3,>=2", "numpy")) == IN_SYNC


def test_another_version_is_a_removal_and_an_addition() -> None:
    assert _uv("numpy>=2", then=("numpy>=1",)) == (("numpy>=2",), ("numpy>=1",), False, False)


def test_an_entry_that_is_no_requirement_yet_is_compared_as_it_stands() -> None:
    assert _uv("numpy", "req>", then=("numpy",)) == (("req>",), (), False, False)
    assert _uv("numpy", " req> ", then=("numpy", "req>")) == IN_SYNC


def test_a_list_that_was_emptied_is_removed() -> None:
    launched = LaunchedEnvConfig(uv_deps=("numpy",))
    for snapshot in (None, {}, {"runt": 3}, _snapshot(), _snapshot(uv={"dependencies": []})):
        assert _told(drift(launched, "uv:inline", snapshot, ())) == ((), ("numpy",), False, False)


def test_a_conda_list_that_was_passed_over_at_the_launch_is_no_drift() -> None:
    snapshot = _snapshot(uv={"dependencies": ["numpy"]}, conda={"dependencies": ["scipy"]})
    launched = LaunchedEnvConfig(uv_deps=("numpy",))
    assert _told(drift(launched, "uv:inline", snapshot, ())) == IN_SYNC
    launched = LaunchedEnvConfig(conda_deps=("scipy",), conda_channels=("conda-forge",))
    assert _told(drift(launched, "conda:inline", snapshot, ())) == IN_SYNC


def test_packages_that_moved_to_conda_are_no_longer_the_same() -> None:
    snapshot = _snapshot(conda={"dependencies": ["numpy"]})
    diff = drift(LaunchedEnvConfig(uv_deps=("numpy",)), "uv:inline", snapshot, ())
    assert _told(diff) == (("numpy",), ("numpy",), False, False)


def test_absent_channels_are_the_default_ones() -> None:
    then = {"conda_deps": ("numpy",), "conda_channels": ("conda-forge",)}
    now: dict[str, Any] = {"dependencies": ["numpy"]}
    assert _conda(now, **then) == IN_SYNC
    assert _conda({**now, "channels": []}, **then) == IN_SYNC
    assert _conda({**now, "channels": ["conda-forge/"]}, **then) == IN_SYNC
    assert _conda(now, conda_deps=("numpy",)) == IN_SYNC
    assert _conda({**now, "channels": ["bioconda"]}, **then) == ((), (), True, False)


def test_the_configured_channels_are_the_default_ones() -> None:
    launched = LaunchedEnvConfig(conda_deps=("numpy",), conda_channels=("ours",))
    snapshot = _snapshot(conda={"dependencies": ["numpy"]})
    assert _told(drift(launched, "conda:inline", snapshot, (), ["ours"])) == IN_SYNC
    assert _told(drift(launched, "conda:inline", snapshot, ())) == ((), (), True, False)


def test_the_order_of_channels_counts() -> None:
    then = {"conda_deps": ("numpy",), "conda_channels": ("conda-forge", "bioconda")}
    now = {"dependencies": ["numpy"], "channels": ["bioconda", "conda-forge"]}
    assert _conda(now, **then) == ((), (), True, False)


def test_conda_specs_are_compared_by_what_they_mean() -> None:
    now = {"dependencies": ["NumPy >=1, <3", "scipy=1.11", "conda-forge::x", "scipy 1.11.*"]}
    assert _conda(now, conda_deps=("numpy<3,>=1", "conda-forge::x", "scipy 1.11.*")) == IN_SYNC
    now = {"dependencies": ["numpy >=1,<3|4"]}
    assert _conda(now, conda_deps=("numpy <3|4,>=1",)) != IN_SYNC  # other alternatives


def test_the_interpreter_is_one_entry_wherever_it_is_named() -> None:
    then = ("python >=3.10,3.12.*", "numpy")
    packages = ["numpy", "python>=3.10"]
    assert _conda({"dependencies": packages, "python": "3.12"}, conda_deps=then) == IN_SYNC
    assert _conda({"dependencies": packages, "python": "3.13"}, conda_deps=then) == (
        ("python 3.13.*,>=3.10",),
        ("python 3.12.*,>=3.10",),
        False,
        False,
    )
    assert _conda({"dependencies": ["numpy", "python"]}, conda_deps=("numpy",)) == IN_SYNC


def test_a_kernel_of_a_script_block_is_compared_with_the_block() -> None:
    launched = LaunchedEnvConfig(uv_deps=("requests>=2", "rich"))
    assert _told(drift(launched, "uv:pep723", _snapshot(), _block("Rich", "requests >=2"))) == (
        IN_SYNC
    )
    assert _told(drift(launched, "uv:pep723", None, _block("rich", "httpx"))) == (
        ("httpx",),
        ("requests>=2",),
        False,
        False,
    )
    assert _told(drift(launched, "uv:pep723", None, ())) == ((), launched.uv_deps, False, False)


def test_a_list_beside_the_block_only_adds() -> None:
    launched = LaunchedEnvConfig(uv_deps=("rich",))
    snapshot = _snapshot(uv={"dependencies": ["rich", "numpy"]})
    diff = drift(launched, "uv:pep723", snapshot, _block("rich"))
    assert _told(diff) == (("numpy",), (), False, False)


def test_nothing_is_said_while_the_block_cannot_be_read() -> None:
    broken = [CodeCell(1, "# /// script\n# dependencies = [\n# ///")]
    twice = [*_block("rich"), *_block("rich")]
    launched = LaunchedEnvConfig(uv_deps=("rich",))
    assert drift(launched, "uv:pep723", None, broken) is None
    assert drift(launched, "uv:pep723", None, twice) is None
    assert drift(NOTHING, "uv:prewarmed", None, broken) is None


@pytest.mark.parametrize(
    "source", ["uv:prewarmed", "conda:prewarmed", "uv:pyproject", "conda:pixi", "conda:env_yml"]
)
def test_a_pool_or_project_kernel_drifts_once_the_notebook_lists_packages(source: str) -> None:
    assert drift(NOTHING, source, _snapshot(), ()) is None
    assert (
        drift(NOTHING, source, _snapshot(conda={"channels": ["x"], "python": "3.12"}), ()) is None
    )
    both = _snapshot(uv={"dependencies": ["numpy"]}, conda={"dependencies": ["scipy"]})
    assert _told(drift(NOTHING, source, both, ())) == (("numpy",), (), False, False)
    conda = _snapshot(conda={"dependencies": ["scipy"], "channels": ["x"]})
    assert _told(drift(NOTHING, source, conda, ())) == (("scipy",), (), False, False)
    assert _told(drift(NOTHING, source, None, _block("rich"))) == (("rich",), (), False, False)


def test_a_pool_kernel_that_got_packages_is_compared_with_them() -> None:
    launched = LaunchedEnvConfig(uv_deps=("numpy",))
    snapshot = _snapshot(uv={"dependencies": ["numpy"]})
    assert _told(drift(launched, "uv:prewarmed", snapshot, ())) == IN_SYNC


def test_cells_are_left_alone_where_no_block_counts() -> None:
    def cells() -> Iterator[CodeCell]:
        raise AssertionError("looked at")
        yield

    snapshot = _snapshot(uv={"dependencies": ["numpy"]})
    drift(LaunchedEnvConfig(uv_deps=("numpy",)), "uv:inline", snapshot, cells())
    drift(LaunchedEnvConfig(conda_deps=("numpy",)), "conda:inline", snapshot, cells())
    drift(NOTHING, "deno", snapshot, cells())
    with pytest.raises(AssertionError, match="looked at"):
        drift(NOTHING, "uv:pep723", snapshot, cells())


# Deno


def _deno(now: Mapping[str, Any] | None, then: DenoLaunchedConfig | None) -> bool:
    snapshot = _snapshot() if now is None else _snapshot(deno=now)
    diff = drift(LaunchedEnvConfig(deno_config=then), "deno", snapshot, ())
    assert diff is not None
    assert diff.added == diff.removed == ()
    return diff.deno_changed


def test_absent_deno_fields_are_their_defaults() -> None:
    for then in (None, DenoLaunchedConfig()):
        assert not _deno(None, then)
        assert not _deno({"permissions": [], "flexible_npm_imports": True}, then)
    then = DenoLaunchedConfig(permissions=("--allow-net", "--allow-env"))
    assert not _deno({"permissions": ["--allow-env", "--allow-net", "--allow-env"]}, then)


@pytest.mark.parametrize(
    "changed",
    [
        {"permissions": ["--allow-net"]},
        {"import_map": "map.json"},
        {"config": "deno.json"},
        {"flexible_npm_imports": False},
    ],
)
def test_each_deno_field_is_drift_when_it_changes_or_vanishes(changed: dict[str, Any]) -> None:
    assert _deno(changed, DenoLaunchedConfig())
    assert not _deno(changed, DenoLaunchedConfig(**changed))
    assert _deno(None, DenoLaunchedConfig(**changed))


def test_a_deno_kernel_has_nothing_to_do_with_python_packages() -> None:
    snapshot = _snapshot(uv={"dependencies": ["numpy"]})
    assert _told(drift(NOTHING, "deno", snapshot, _block("rich"))) == IN_SYNC


# Whatever a kernel was launched with, an unchanged notebook has not drifted.

_NAMES = ["numpy", "Requests", "scikit-learn", "zope.interface"]
_UV = [f"{name}{rest}" for name in _NAMES for rest in ("", " >= 1, <3", "==2.*", '; os_name=="x"')]
_CONDA = [
    *(f"{n}{v}" for n in _NAMES for v in ("", " >=1, <3", "=2", ">=1|(<0.5,!=0.3)", " 2 py_0")),
    "python>=3.9",
    "python",
    "python (>=3.10,<3.13)|3.14.*",
    "conda-forge::zlib[build_number=1]",
]
_uv_sections = st.fixed_dictionaries({"dependencies": st.lists(st.sampled_from(_UV))})
_conda_sections = st.fixed_dictionaries(
    {"dependencies": st.lists(st.sampled_from(_CONDA))},
    optional={
        "channels": st.lists(st.sampled_from(["conda-forge", "bioconda", "https://a.example/c/"])),
        "python": st.sampled_from(["3.12", ">=3.10,<3.13", "3.11.*|3.12.*"]),
    },
)
_deno_sections = st.fixed_dictionaries(
    {},
    optional={
        "permissions": st.lists(st.sampled_from(["--allow-net", "-A", "--deny-env=X"])),
        "import_map": st.sampled_from(["", "m.json"]),
        "config": st.just("deno.json"),
        "flexible_npm_imports": st.booleans(),
    },
)


@given(
    _uv_sections,
    _conda_sections,
    _deno_sections,
    st.lists(st.sampled_from(_UV)),
    st.sampled_from(["auto", "deno"]),
    st.randoms(),
)
def test_an_unchanged_or_shuffled_notebook_has_not_drifted(
    uv: dict[str, Any],
    conda: dict[str, Any],
    deno: dict[str, Any],
    block: list[str],
    kernel_type: str,
    random: Any,
) -> None:
    snapshot = _snapshot(uv=uv, conda=conda, deno=deno)
    cells = _block(*(text.replace('"', "'") for text in block))
    choice = resolve(Situation(snapshot, cells, kernel_type=kernel_type))
    launched = tracked(choice)
    for group in (uv, conda):
        group["dependencies"] *= 2
        random.shuffle(group["dependencies"])
    diff = drift(launched, choice.env_source, snapshot, cells)
    assert _told(diff) in (IN_SYNC, None)


@given(st.lists(st.sampled_from(_UV), unique=True), st.lists(st.sampled_from(_UV), unique=True))
def test_applying_the_difference_gives_the_list(then: list[str], now: list[str]) -> None:
    snapshot = _snapshot(uv={"dependencies": now})
    diff = drift(LaunchedEnvConfig(uv_deps=tuple(then)), "uv:inline", snapshot, ())
    assert diff is not None
    assert (set(then) - set(diff.removed)) | set(diff.added) == set(now)


@given(
    st.recursive(
        st.none() | st.text() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.text(),
)
def test_no_metadata_makes_it_fail(value: Any, source: str) -> None:
    cells = [CodeCell(1, source)]
    for section in ("uv", "conda", "deno"):
        for group in (value, {"dependencies": value, "channels": value, "python": value}):
            snapshot = _snapshot(**{section: group})
            for label in ("uv:inline", "conda:inline", "uv:pep723", "uv:prewarmed", "deno"):
                drift(LaunchedEnvConfig(uv_deps=("a",)), label, snapshot, cells)
                drift(LaunchedEnvConfig(conda_deps=("a",)), label, snapshot, cells)
