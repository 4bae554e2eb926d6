"""What our parser of conda specs lets through, the solver's library takes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from rattler import MatchSpec

from runtimed.environments.conda_specs import parse_conda_spec, parse_conda_version
from runtimed.errors import RequirementRefused

_MD5 = "0" * 32
_PIECES = st.sampled_from(
    ["conda-forge::", "numpy", "py_x-1.y", " ", "=", "==", ">=", "<", "!=", "~=", ">", "<=", "1.2",
     "1.26.*", "1", "2011k", "1!2.0", "1.0a1", "1.2-3", "1_2", "1.0+l.1", "*", ",", "|", "(", ")",
     "py3*", "h1_0", "[version='>=1']", "[build=b]", "[build_number='>=1']", f"[md5={_MD5}]",
     "[subdir=linux-64]", "[channel=x]", "x/noarch::", "https://h/c::"]
)  # fmt: skip


@settings(deadline=None, max_examples=600)
@given(st.lists(_PIECES, max_size=7).map("".join))
def test_what_is_let_through_is_a_spec_for_the_solver(text: str) -> None:
    try:
        spec = parse_conda_spec(text)
    except RequirementRefused:
        return
    taken = MatchSpec(spec.text, strict=True)
    assert taken.name.normalized == spec.name


@settings(deadline=None, max_examples=300)
@given(st.lists(_PIECES, max_size=6).map("".join), st.booleans())
def test_a_python_constraint_that_is_let_through_is_one_for_the_solver(
    text: str, fuzzy: bool
) -> None:
    try:
        version = parse_conda_version(text, fuzzy=fuzzy)
    except RequirementRefused:
        return
    if version is not None:
        assert MatchSpec(f"python {version}", strict=True).build is None
