"""What is sent to a runtime, and what may be asked for.

Source: agent runtime specification; the numbers are its sections.
"""

from __future__ import annotations

import pytest
import trio
import trio.lowlevel
import trio.testing
from agent_peers import (
    MemoryTransport,
    Message,
    client_of,
    options,
    result,
    saying,
)

from runtimed.agents import (
    CommandInterface,
    ExecuteCommandsOptions,
    QueryOptions,
    RuntimeUseClient,
    TextResult,
)

# ---------------------------------------------------------------------- 8.3, 8.4 what is sent


async def sent(told: QueryOptions) -> Message:
    transport = MemoryTransport(saying(result()))
    with trio.move_on_after(0.5):
        await RuntimeUseClient(transport=transport).query("hi", told)
    return transport.peers[0].heard[0]


async def test_every_field_is_sent_and_what_is_unset_as_null() -> None:
    """Section 8.2, 8.3: that is how runtimes tell clients' versions. 8.4: the limit of sizes."""
    assert await sent(options()) == {
        "message_type": "invocation_message",
        "source_id": None,
        "system_prompt": "be brief",
        "user_prompt": "hi",
        "model": "m",
        "agent_env": None,
        "output_format_json_schema_str": None,
        "secrets_to_redact": [],
        "artifacts_dirs": None,
        "artifacts_dir": None,
        "artifacts_ignore_content": None,
        "pre_agent_downloadables": None,
        "pre_agent_invocation_commands": None,
        "post_agent_invocation_commands": None,
        "client_max_message_bytes": 100 * 2**20,
    }
    command = options(pre_agent_invocation_commands=[CommandInterface(command="ls")])
    assert (await sent(command))["pre_agent_invocation_commands"] == [
        {"command": "ls", "cwd": None, "env": None}
    ]


@pytest.mark.parametrize(
    ("given", "dirs", "single"),
    [
        ({"artifacts_dir": "/a"}, ["/a"], "/a"),
        ({"artifacts_dirs": ["/a"]}, ["/a"], "/a"),
        ({"artifacts_dirs": ["/a"], "artifacts_dir": "/a"}, ["/a"], "/a"),
        ({"artifacts_dirs": ["/a", "/b"]}, ["/a", "/b"], None),
        ({"artifacts_dirs": ["/b"], "artifacts_dir": "/a"}, ["/b", "/a"], None),
    ],
)
async def test_a_single_folder_goes_by_both_names(
    given: dict[str, object],
    dirs: list[str],
    single: str | None,
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Section 8.3"""
    message = await sent(options(on_artifact_upload_request=print, **given))
    assert message["artifacts_dirs"] == dirs
    assert message["artifacts_dir"] == single


# ---------------------------------------------------------------------- 9.3 options


def test_folders_and_their_callback_come_together() -> None:
    """Section 9.3"""
    both = "and on_artifact_upload_request must be specified together"
    with pytest.raises(ValueError, match=f"^artifacts_dirs {both}$"):
        options(artifacts_dirs=["/a"])
    with pytest.raises(ValueError, match=f"^artifacts_dir {both}$"):
        options(artifacts_dir="/a")
    with pytest.raises(ValueError, match=f"^artifacts_dirs {both}$"):
        ExecuteCommandsOptions(on_artifact_upload_request=print)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="together"):
        options(artifacts_dirs=[], on_artifact_upload_request=print)
    assert options(artifacts_dirs=[]).folders == []


def test_options_are_values() -> None:
    """Section 9.1, 9.3"""
    assert options(timeout=3) == QueryOptions(system_prompt="be brief", model="m", timeout=3)
    assert "system_prompt='be brief'" in repr(options())
    assert options().secrets_to_redact == []
    assert ExecuteCommandsOptions().timeout is None
    with pytest.raises(TypeError, match="positional"):
        QueryOptions("be brief", "m", "{}")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout": "3"},
        {"timeout": 0},
        {"idle_timeout": float("nan")},
        {"on_assistant_message": "print"},
        {"secrets_to_redact": "secret"},
        {"agent_env": {"A": 1}},
        {"pre_agent_invocation_commands": ["ls"]},
        {"logger": "mine"},
        {"source_id": 5},
    ],
)
def test_wrong_types_are_refused(wrong: dict[str, object]) -> None:
    """Section 9.1"""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        options(**wrong)


async def test_wrong_arguments_are_refused_before_anything_is_sent() -> None:
    client = client_of(saying(result()))
    with pytest.raises(ValueError, match="user_prompt must be a string"):
        await client.query(5, options())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="options must be QueryOptions"):
        await client.query("hi", ExecuteCommandsOptions())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="commands"):
        await client.execute_commands(["ls"])  # type: ignore[list-item]


def test_a_client_needs_to_know_where_the_runtime_is() -> None:
    """Section 9.2"""
    with pytest.raises(ValueError, match=r"^Either ws_url or transport must be provided$"):
        RuntimeUseClient()
    with pytest.raises(ValueError, match="ws_url must be"):
        RuntimeUseClient(ws_url="http://localhost:8080")


async def test_with_both_the_transport_wins() -> None:
    """Section 9.2"""
    transport = MemoryTransport(saying(result()))
    client = RuntimeUseClient(ws_url="ws://localhost:1", transport=transport)
    assert (await client.query("hi", options())).data == TextResult(text="done")


def test_a_session_needs_a_transport_that_can_hold_a_connection() -> None:
    """Section 9.2"""

    async def transport(outgoing: trio.MemoryReceiveChannel[Message]) -> None: ...

    with pytest.raises(TypeError, match="cannot hold a connection"):
        RuntimeUseClient(transport=transport).session()  # type: ignore[arg-type]
