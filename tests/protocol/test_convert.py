from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
import wire_messages as wire
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimed.errors import LocalProtocolError, RemoteProtocolError
from runtimed.protocol import (
    blob,
    broadcasts,
    convert,
    handshake,
    pool,
    progress,
    requests,
    responses,
)
from runtimed.protocol.structures import (
    CellSnapshot,
    CommSnapshot,
    CompletionItem,
    DenoLaunchedConfig,
    EnvSyncDiff,
    HistoryEntry,
    KernelInfo,
    LaunchedEnvConfig,
    SimilarName,
)

LOADERS: list[tuple[tuple[type, ...], Any]] = [
    (wire.HANDSHAKES, convert.load_handshake),
    (wire.BROADCASTS, convert.load_broadcast),
    (wire.BLOB_REQUESTS, convert.load_blob_request),
    (wire.BLOB_RESPONSES, convert.load_blob_response),
    ((pool.PoolState,), convert.load_pool_state),
    ((handshake.ProtocolCapabilities,), convert.load_protocol_capabilities),
    ((handshake.NotebookConnectionInfo,), convert.load_connection_info),
]
LOADERS_WITH_ID: list[tuple[tuple[type, ...], Any]] = [
    (wire.REQUESTS, convert.load_request),
    (wire.RESPONSES, convert.load_response),
    (wire.POOL_REQUESTS, convert.load_pool_request),
    (wire.POOL_RESPONSES, convert.load_pool_response),
]
EVERY_LOADER = [load for _, load in LOADERS + LOADERS_WITH_ID]


def named(pairs: list[tuple[tuple[type, ...], Any]]) -> list[Any]:
    return [
        pytest.param(cls, load, id=f"{cls.__module__.rpartition('.')[2]}.{cls.__name__}")
        for classes, load in pairs
        for cls in classes
    ]


@pytest.mark.parametrize(("cls", "load"), named(LOADERS))
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_every_message_comes_back_as_it_was(cls: type, load: Any, data: st.DataObject) -> None:
    message = data.draw(wire.messages(cls))
    assert load(convert.dump(message)) == message


@pytest.mark.parametrize(("cls", "load"), named(LOADERS_WITH_ID))
@settings(max_examples=12, deadline=None)
@given(data=st.data(), id=wire.IDS)
def test_every_message_with_an_id_comes_back_with_it(
    cls: type,
    load: Any,
    data: st.DataObject,
    id: int | str | None,  # noqa: A002
) -> None:
    message = data.draw(wire.messages(cls))
    assert load(convert.dump(message, id)) == (message, id)


CELL = CellSnapshot("c1", "code", "80", "1+1", "null", ["ab"])
ENV = pool.PooledEnv("uv", "/e", "/e/bin/python")

VECTORS: list[tuple[Any, str]] = [
    (handshake.Pool(), '{"channel":"pool"}'),
    (handshake.SettingsSync(), '{"channel":"settings_sync"}'),
    (handshake.PoolStateSubscribe(), '{"channel":"pool_state_subscribe"}'),
    (
        handshake.NotebookSync("abc", protocol="v2", working_dir="/home/u/p"),
        '{"channel":"notebook_sync","notebook_id":"abc","protocol":"v2","working_dir":"/home/u/p"}',
    ),
    (
        handshake.OpenNotebook("/home/u/n.ipynb"),
        '{"channel":"open_notebook","path":"/home/u/n.ipynb"}',
    ),
    (
        handshake.CreateNotebook("python", notebook_id="550e"),
        '{"channel":"create_notebook","runtime":"python","notebook_id":"550e"}',
    ),
    (
        handshake.NotebookConnectionInfo(
            "/home/u/n.ipynb", 0, False, daemon_version="2.0.0+abc1234"
        ),
        '{"protocol":"v2","protocol_version":2,"daemon_version":"2.0.0+abc1234",'
        '"notebook_id":"/home/u/n.ipynb","cell_count":0,"needs_trust_approval":false}',
    ),
    (handshake.ProtocolCapabilities(), '{"protocol":"v2","protocol_version":2}'),
    (
        requests.LaunchKernel("python", "auto"),
        '{"action":"launch_kernel","kernel_type":"python","env_source":"auto",'
        '"notebook_path":null}',
    ),
    (requests.ExecuteCell("c1"), '{"action":"execute_cell","cell_id":"c1"}'),
    (
        requests.ExecuteCell("c1", heads=["ab"]),
        '{"action":"execute_cell","cell_id":"c1","heads":["ab"]}',
    ),
    (requests.RunAllCells(), '{"action":"run_all_cells"}'),
    (
        requests.GetHistory(None, -1, True),
        '{"action":"get_history","pattern":null,"n":-1,"unique":true}',
    ),
    (requests.SaveNotebook(False), '{"action":"save_notebook","format_cells":false}'),
    (requests.LeaveNotebook(True), '{"action":"leave_notebook","stop_kernel":true}'),
    (requests.GetHeads(), '{"action":"get_heads"}'),
    (requests.FollowEpoch(3), '{"action":"follow_epoch","epoch":3}'),
    (requests.EditsMoved(3, ("ab",)), '{"action":"edits_moved","epoch":3,"heads":["ab"]}'),
    (
        requests.EnsureMetadata(None, ["runt", "uv"], {"dependencies": []}),
        '{"action":"ensure_metadata","cell_id":null,"path":["runt","uv"],'
        '"value":{"dependencies":[]}}',
    ),
    (requests.GetTrust(), '{"action":"get_trust"}'),
    (requests.ApproveTrust(), '{"action":"approve_trust"}'),
    (requests.ApproveTrust("ab"), '{"action":"approve_trust","content":"ab"}'),
    (
        responses.TrustInfo(
            "untrusted",
            "ab",
            ["reqeusts"],
            [],
            [],
            ["six"],
            (),
            [SimilarName("reqeusts", "requests", 2)],
        ),
        '{"result":"trust_info","status":"untrusted","content":"ab",'
        '"uv_dependencies":["reqeusts"],"conda_dependencies":[],"conda_channels":[],'
        '"script_dependencies":["six"],'
        '"similar_names":[{"package":"reqeusts","similar_to":"requests","distance":2}]}',
    ),
    (
        responses.KernelLaunched(
            "deno", "deno", LaunchedEnvConfig(deno_config=DenoLaunchedConfig(), launch_id="l")
        ),
        '{"result":"kernel_launched","kernel_type":"deno","env_source":"deno","launched_config":'
        '{"deno_config":{"permissions":[],"flexible_npm_imports":true},"launch_id":"l"}}',
    ),
    (
        responses.KernelInfo(None, None, "not_started"),
        '{"result":"kernel_info","kernel_type":null,"env_source":null,"status":"not_started"}',
    ),
    (
        responses.QueueState(None, []),
        '{"result":"queue_state","executing":null,"queued":[]}',
    ),
    (responses.NoKernel(), '{"result":"no_kernel"}'),
    (responses.DocBytes(b"\x00\xff"), '{"result":"doc_bytes","bytes":[0,255]}'),
    (responses.RawMetadata(None), '{"result":"raw_metadata","value":null}'),
    (responses.MetadataSnapshot(None), '{"result":"metadata_snapshot","snapshot":null}'),
    (
        responses.HistoryResult([HistoryEntry(-1, 2, "x")]),
        '{"result":"history_result","entries":[{"session":-1,"line":2,"source":"x"}]}',
    ),
    (
        responses.CompletionResult([CompletionItem("print", source="kernel")], 0, 2),
        '{"result":"completion_result","items":[{"label":"print","source":"kernel"}],'
        '"cursor_start":0,"cursor_end":2}',
    ),
    (responses.AllCellsQueued(2), '{"result":"all_cells_queued","count":2}'),
    (
        broadcasts.KernelStatus("busy"),
        '{"event":"kernel_status","status":"busy","cell_id":null}',
    ),
    (
        broadcasts.Output("c1", "stream", "9f", output_index=0),
        '{"event":"output","cell_id":"c1","output_type":"stream","output_json":"9f",'
        '"output_index":0}',
    ),
    (broadcasts.ExecutionDone("c1"), '{"event":"execution_done","cell_id":"c1"}'),
    (
        broadcasts.QueueChanged(None, ["c2"]),
        '{"event":"queue_changed","executing":null,"queued":["c2"]}',
    ),
    (
        broadcasts.Comm("comm_close", {"comm_id": "w"}),
        '{"event":"comm","msg_type":"comm_close","content":{"comm_id":"w"},"buffers":[]}',
    ),
    (
        broadcasts.CommSync([CommSnapshot("w", "jupyter.widget", {}, buffers=[b"\x01"])]),
        '{"event":"comm_sync","comms":[{"comm_id":"w","target_name":"jupyter.widget","state":{},'
        '"buffers":[[1]]}]}',
    ),
    (
        broadcasts.CommSync(
            [CommSnapshot("w", "t", {"a": [None]}, buffers=[b"\x01"], buffer_paths=[["a", 0]])],
            continues=True,
        ),
        '{"event":"comm_sync","comms":[{"comm_id":"w","target_name":"t","state":{"a":[null]},'
        '"buffers":[[1]],"buffer_paths":[["a",0]]}],"continues":true}',
    ),
    (
        broadcasts.InputRequest("i", "c1", "e1", "name? ", password=False),
        '{"event":"input_request","request_id":"i","cell_id":"c1","execution_id":"e1",'
        '"prompt":"name? ","password":false}',
    ),
    (
        broadcasts.CommSync([CommSnapshot("w", "jupyter.widget", {})]),
        '{"event":"comm_sync","comms":[{"comm_id":"w","target_name":"jupyter.widget","state":{}}]}',
    ),
    (
        broadcasts.FileChanged([CELL]),
        '{"event":"file_changed","cells":[{"id":"c1","cell_type":"code","position":"80",'
        '"source":"1+1","execution_count":"null","outputs":["ab"],"metadata":{}}]}',
    ),
    (
        broadcasts.EnvProgress("conda", progress.Solving(5)),
        '{"event":"env_progress","env_type":"conda","phase":"solving","spec_count":5}',
    ),
    (
        broadcasts.EnvProgress("uv", progress.CreatingVenv()),
        '{"event":"env_progress","env_type":"uv","phase":"creating_venv"}',
    ),
    (
        broadcasts.EnvProgress("conda", progress.DownloadProgress(1, 2, "p", 3, None, 0.5)),
        '{"event":"env_progress","env_type":"conda","phase":"download_progress","completed":1,'
        '"total":2,"current_package":"p","bytes_downloaded":3,"bytes_total":null,'
        '"bytes_per_second":0.5}',
    ),
    (
        broadcasts.EnvSyncState(False, EnvSyncDiff(added=["numpy"])),
        '{"event":"env_sync_state","in_sync":false,"diff":{"added":["numpy"],"removed":[],'
        '"channels_changed":false,"deno_changed":false}}',
    ),
    (pool.Take("uv"), '{"type":"take","env_type":"uv"}'),
    (
        pool.Env(ENV),
        '{"type":"env","env":{"env_type":"uv","venv_path":"/e","python_path":"/e/bin/python"}}',
    ),
    (pool.Ping(), '{"type":"ping"}'),
    (
        pool.NotebookState("n", [], "persisted_file", None),
        '{"type":"notebook_state","notebook_id":"n","cells":[],"source":"persisted_file",'
        '"kernel_info":null}',
    ),
    (
        pool.NotebookState("n", [], "live_room", KernelInfo("python", "uv:inline", "idle")),
        '{"type":"notebook_state","notebook_id":"n","cells":[],"source":"live_room",'
        '"kernel_info":{"kernel_type":"python","env_source":"uv:inline","status":"idle"}}',
    ),
    (
        pool.Stats(pool.PoolStats(1, 2, 3, 4, 5, 6)),
        '{"type":"stats","stats":{"uv_available":1,"uv_warming":2,"uv_target":3,'
        '"conda_available":4,"conda_warming":5,"conda_target":6}}',
    ),
    (
        pool.RoomsList([pool.RoomInfo("n", 1, False)]),
        '{"type":"rooms_list","rooms":[{"notebook_id":"n","active_peers":1,"has_kernel":false}]}',
    ),
    (
        pool.RoomsList([], [pool.WarmKernel("k", 7, "python", "uv:prewarmed")]),
        '{"type":"rooms_list","rooms":[],"warm_kernels":[{"kernel_id":"k","kernel_pid":7,'
        '"kernel_type":"python","env_source":"uv:prewarmed"}]}',
    ),
    (
        pool.NotebookInterrupted(True, True, True, 2),
        '{"type":"notebook_interrupted","found":true,"has_kernel":true,"running":true,"dropped":2}',
    ),
    (
        pool.PoolState(pool.PoolError("no", 2, 60), None),
        '{"event":"pool_state","uv_error":{"message":"no","consecutive_failures":2,'
        '"retry_in_secs":60},"conda_error":null}',
    ),
    (blob.Store("image/png"), '{"action":"store","media_type":"image/png"}'),
    (blob.GetPort(), '{"action":"get_port"}'),
    (blob.Stored("ab"), '{"hash":"ab"}'),
    (blob.Port(54321), '{"port":54321}'),
    (blob.Failed("no"), '{"error":"no"}'),
]


@pytest.mark.parametrize(("message", "text"), VECTORS, ids=lambda value: str(value)[:40])
def test_a_message_is_spelt_as_the_specification_has_it(message: object, text: str) -> None:
    assert orjson.loads(convert.dump(message)) == orjson.loads(text)


def test_the_tag_comes_first_and_the_text_is_compact() -> None:
    assert convert.dump(pool.Take("uv"), id=7) == b'{"type":"take","env_type":"uv","id":7}'


TAGS = {
    "action": (
        "launch_kernel queue_cell execute_cell clear_outputs interrupt_execution shutdown_kernel "
        "get_kernel_info get_queue_state run_all_cells send_comm set_stdin answer_input "
        "get_history complete save_notebook clone_notebook get_trust approve_trust "
        "sync_environment get_doc_bytes get_raw_metadata set_raw_metadata "
        "get_metadata_snapshot set_metadata_snapshot get_heads "
        "ensure_metadata leave_notebook follow_epoch edits_moved"
    ),
    "result": (
        "kernel_launched kernel_already_running cell_queued outputs_cleared interrupt_sent "
        "kernel_shutting_down no_kernel ok metadata_set kernel_info queue_state all_cells_queued "
        "notebook_saved notebook_cloned error history_result completion_result "
        "sync_environment_started sync_environment_complete sync_environment_failed doc_bytes "
        "raw_metadata metadata_snapshot heads left_notebook trust_info"
    ),
    "event": (
        "kernel_status execution_started output display_update execution_done queue_changed "
        "kernel_error outputs_cleared comm comm_sync input_request "
        "input_done file_changed env_progress env_sync_state epoch"
    ),
    "phase": (
        "starting cache_hit fetching_repodata repodata_complete solving solve_complete installing "
        "download_progress link_progress install_complete creating_venv installing_packages "
        "ready error"
    ),
    "type": (
        "take return status ping shutdown flush_pool inspect_notebook list_rooms "
        "shutdown_notebook interrupt_notebook "
        "env empty returned pong shutting_down flushed stats error "
        "notebook_state rooms_list notebook_shutdown notebook_interrupted"
    ),
    "channel": (
        "pool settings_sync notebook_sync blob pool_state_subscribe open_notebook create_notebook"
    ),
}


@pytest.mark.parametrize(
    ("key", "classes"),
    [
        ("action", wire.REQUESTS),
        ("result", wire.RESPONSES),
        ("event", wire.BROADCASTS),
        ("phase", wire.PHASES),
        ("type", wire.POOL_REQUESTS + wire.POOL_RESPONSES),
        ("channel", wire.HANDSHAKES),
    ],
)
@settings(max_examples=1, deadline=None)
@given(data=st.data())
def test_every_tag_of_the_specification_has_its_class(
    key: str, classes: tuple[type, ...], data: st.DataObject
) -> None:
    spelt = [orjson.loads(convert.dump(data.draw(wire.messages(cls))))[key] for cls in classes]
    assert spelt == TAGS[key].split()


def test_a_handshake_without_its_optional_keys_decodes() -> None:
    load = convert.load_handshake
    assert load(b'{"channel":"notebook_sync","notebook_id":"n"}') == handshake.NotebookSync("n")
    assert load(b'{"channel":"create_notebook","runtime":"deno"}') == handshake.CreateNotebook(
        "deno"
    )


def test_a_handshake_reply_without_its_optional_keys_decodes() -> None:
    reply = convert.load_protocol_capabilities(b'{"protocol":"v2"}')
    assert (reply.daemon_version, reply.error, reply.blob_port) == (None, None, None)


def test_optional_keys_may_be_written_as_null() -> None:
    assert convert.load_handshake(
        b'{"channel":"notebook_sync","notebook_id":"n","working_dir":null}'
    ) == handshake.NotebookSync("n")


def test_null_keys_may_be_missing() -> None:
    assert convert.load_response(b'{"result":"kernel_info","status":"idle"}') == (
        responses.KernelInfo(None, None, "idle"),
        None,
    )
    assert convert.load_broadcast(b'{"event":"queue_changed","queued":[]}') == (
        broadcasts.QueueChanged(None, [])
    )
    assert convert.load_pool_state(b'{"event":"pool_state"}') == pool.PoolState(None, None)


def test_unknown_keys_are_ignored_at_every_depth() -> None:
    text = (
        b'{"type":"rooms_list","x":1,"rooms":[{"notebook_id":"n","active_peers":1,'
        b'"has_kernel":true,"y":{"z":2}}]}'
    )
    assert convert.load_pool_response(text) == (
        pool.RoomsList([pool.RoomInfo("n", 1, True)]),
        None,
    )


def test_a_missing_required_key_is_named() -> None:
    with pytest.raises(convert.Undecodable, match=r"save_notebook.*format_cells") as caught:
        convert.load_request(b'{"action":"save_notebook","id":"r1"}')
    assert (caught.value.tag, caught.value.known, caught.value.id) == ("save_notebook", True, "r1")


def test_an_unknown_tag_is_named() -> None:
    with pytest.raises(convert.Undecodable, match=r'^unknown request "fly"$') as caught:
        convert.load_request(b'{"action":"fly","id":3}')
    assert (caught.value.tag, caught.value.known, caught.value.id) == ("fly", False, 3)


def test_an_unknown_phase_counts_as_an_unknown_broadcast() -> None:
    with pytest.raises(convert.Undecodable, match='"thinking"') as caught:
        convert.load_broadcast(b'{"event":"env_progress","env_type":"uv","phase":"thinking"}')
    assert not caught.value.known


@pytest.mark.parametrize(
    "text",
    [
        '{"action":"execute_cell","cell_id":1}',
        '{"action":"execute_cell","cell_id":null}',
        '{"action":"execute_cell","cell_id":"c","heads":"ab"}',
        '{"action":"execute_cell","cell_id":"c","heads":[1]}',
        '{"action":"execute_cell","cell_id":"c","heads":{}}',
        '{"action":"complete","code":"","cursor_pos":-1}',
        '{"action":"complete","code":"","cursor_pos":1.5}',
        '{"action":"complete","code":"","cursor_pos":true}',
        '{"action":"save_notebook","format_cells":1}',
        '{"action":"send_comm","message":[]}',
        '{"action":"get_history","pattern":null,"n":"1","unique":true}',
    ],
)
def test_a_value_of_another_type_is_not_bent_into_shape(text: str) -> None:
    with pytest.raises(convert.Undecodable):
        convert.load_request(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        '{"result":"kernel_launched","kernel_type":"","env_source":"","launched_config":[]}',
        '{"result":"history_result","entries":{}}',
        '{"result":"history_result","entries":[[]]}',
        '{"result":"doc_bytes","bytes":[256]}',
        '{"result":"doc_bytes","bytes":4}',
        '{"result":"all_cells_queued","count":1,"executions":{"a":1}}',
    ],
)
def test_nested_values_are_looked_at_as_closely(text: str) -> None:
    with pytest.raises(convert.Undecodable):
        convert.load_response(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b"{}",
        b'{"action":1}',
        b'{"action":[]}',
        b"\xff",
        b'{"action":"\xff"}',
    ],
)
def test_without_a_tag_nothing_can_be_said_about_a_message(text: bytes) -> None:
    with pytest.raises(convert.Undecodable) as caught:
        convert.load_request(text)
    assert caught.value.tag is None


def test_an_id_is_an_integer_or_a_string_and_anything_else_is_none() -> None:
    for text, expected in [("7", 7), ('"a"', "a"), ("null", None), ("true", None), ("[]", None)]:
        request = f'{{"action":"get_heads","id":{text}}}'.encode()
        assert convert.load_request(request) == (requests.GetHeads(), expected)


@pytest.mark.parametrize("load", EVERY_LOADER)
@settings(max_examples=12, deadline=None)
@given(value=wire.JSON | st.dictionaries(st.sampled_from([*TAGS, "x"]), wire.JSON))
def test_any_json_is_decoded_or_refused_as_the_peers_fault(load: Any, value: Any) -> None:
    try:
        load(orjson.dumps(value))
    except RemoteProtocolError:
        pass


@pytest.mark.parametrize("load", EVERY_LOADER)
@settings(max_examples=12, deadline=None)
@given(data=st.binary(max_size=60))
def test_any_bytes_are_decoded_or_refused_as_the_peers_fault(load: Any, data: bytes) -> None:
    try:
        load(data)
    except RemoteProtocolError:
        pass


def test_deep_nesting_is_the_peers_fault() -> None:
    deep = b'{"action":"send_comm","message":' + b'{"a":' * 100_000
    with pytest.raises(RemoteProtocolError):
        convert.load_request(deep)


def test_what_json_has_no_way_to_say_is_our_own_fault() -> None:
    with pytest.raises(LocalProtocolError, match=re.escape("QueueCell can't be sent")):
        convert.dump(requests.QueueCell("c", "\ud800"))
    with pytest.raises(LocalProtocolError, match="SendComm"):
        convert.dump(requests.SendComm({"x": object()}))


def test_lists_become_tuples_so_that_messages_stay_as_they_are() -> None:
    queued = ["a"]
    message = broadcasts.QueueChanged(None, queued)
    queued.append("b")
    assert message == broadcasts.QueueChanged(None, ("a",))
    assert hash(message) == hash(broadcasts.QueueChanged(None, ("a",)))
