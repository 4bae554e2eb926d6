"""Actor ids: readable, and never the same twice."""

from __future__ import annotations

import re

from runtimed.document.actors import actor_text, client_actor, daemon_actor


def test_the_daemon_has_another_actor_for_every_document() -> None:
    actors = {daemon_actor() for _ in range(1000)}
    assert len(actors) == 1000
    assert all(re.fullmatch(rb"runtimed:[0-9a-f]{16}", actor) for actor in actors)


def test_a_client_is_named_by_its_label() -> None:
    assert re.fullmatch(rb"agent:claude:[0-9a-f]{8}", client_actor("Claude"))
    assert re.fullmatch(rb"agent:my-bot-2:[0-9a-f]{8}", client_actor("  My: Bot\n2 "))
    assert client_actor("Claude") != client_actor("Claude")


def test_a_client_without_a_label_is_a_human_nobody_knows() -> None:
    assert re.fullmatch(rb"human:[0-9a-f]{32}", client_actor())
    assert re.fullmatch(rb"human:[0-9a-f]{32}", client_actor("  :"))


def test_an_actor_is_shown_as_text_or_else_as_hex() -> None:
    assert actor_text(b"runtimed:1") == "runtimed:1"
    assert actor_text(b"\xff\x00") == "ff00"
