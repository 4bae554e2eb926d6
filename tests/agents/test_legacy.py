"""Section 8.2: a request's shape tells which client sent it."""

from __future__ import annotations

from typing import Any

import pytest

from runtimed.agents.legacy import CloseAfterResult, closes_after_result, is_legacy
from runtimed.agents.messages import (
    CommandExecutionMessage,
    CommandInterface,
    InvocationMessage,
    render_for_runtime,
)

INVOCATION = "invocation_message"
EXECUTION = "command_execution_message"


@pytest.mark.parametrize(
    ("request_", "legacy"),
    [
        # clients by version: what they write, unset fields as null
        ({"message_type": INVOCATION, "artifacts_dir": None}, True),
        ({"message_type": INVOCATION, "artifacts_dir": "/tmp/a"}, True),
        ({"message_type": EXECUTION, "artifacts_dir": None, "commands": [{"cwd": None}]}, True),
        ({"message_type": INVOCATION, "artifacts_dir": None, "agent_env": None}, False),
        (
            {
                "message_type": EXECUTION,
                "artifacts_dir": None,
                "commands": [{"cwd": None}, {"env": None}],
            },
            False,
        ),
        ({"message_type": EXECUTION, "artifacts_dir": None, "commands": []}, False),
        ({"message_type": EXECUTION, "artifacts_dir": None, "commands": 3}, False),
        ({"message_type": INVOCATION, "artifacts_dirs": None}, False),
        ({"message_type": INVOCATION, "artifacts_dirs": None, "artifacts_dir": "x"}, False),
        ({"message_type": INVOCATION, "artifacts_dir": "x", "artifacts_ignore_content": ""}, False),
        ({"message_type": INVOCATION}, False),
    ],
)
def test_a_request_tells_its_clients_age(request_: dict[str, Any], legacy: bool) -> None:
    assert is_legacy(request_) is legacy


def test_our_own_client_is_current() -> None:
    invocation = InvocationMessage(system_prompt="", user_prompt="", model="", artifacts_dir="a")
    execution = CommandExecutionMessage(commands=[CommandInterface(command="ls")])
    assert not is_legacy(render_for_runtime(invocation))
    assert not is_legacy(render_for_runtime(execution))


@pytest.mark.parametrize(
    ("option", "legacy", "closes"),
    [
        ("auto", True, True),
        ("auto", False, False),
        ("always", False, True),
        ("never", True, False),
    ],
)
def test_an_option_overrules_what_the_shape_tells(
    option: CloseAfterResult, legacy: bool, closes: bool
) -> None:
    assert closes_after_result(option, legacy=legacy) is closes
