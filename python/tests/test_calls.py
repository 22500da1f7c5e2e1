"""Calls of tools over the wire."""

import json
import os

import grpc
import pytest
from grpc_health.v1 import health_pb2
from worker_process import PATIENCE, Failed, WorkerProcess, request

from snakepit import bridge_pb2

NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVING = health_pb2.HealthCheckResponse.SERVING

OWN = """
import os, signal, threading
from snakepit import Adapter, Cancelled, current_call, tool

class Own(Adapter):
    @tool
    def size(self, data: bytes) -> int:
        "Measures bytes."
        return len(data)

    @tool
    def reverse(self, data: bytes):
        return data[::-1]

    @tool
    def items(self):
        yield 1
        yield b"hi"
        yield None

    @tool
    def nothing(self):
        yield from ()

    @tool
    def nan(self):
        return float("nan")

    @tool
    def stream_nan(self):
        yield 1
        yield float("nan")

    @tool
    def quit(self):
        raise SystemExit(3)

    @tool
    def remaining(self):
        return current_call().remaining()

    @tool
    def wait(self, note: str, entered: str = os.devnull):
        open(entered, "w").close()
        try:
            current_call().wait(3600)
        except Cancelled:
            with open(note, "w") as file:
                file.write(f"cancelled {current_call().cancelled}")
            raise

    @tool
    def endless(self, note: str):
        try:
            while True:
                yield "x" * 10000
        finally:
            with open(note, "w") as file:
                file.write("closed")

    def __init__(self):
        self.both = threading.Barrier(2)

    @tool
    def kept(self, note: str):
        self.stream = self.endless(note)
        return self.stream

    @tool
    def meet(self):
        self.both.wait(60)

    @tool
    def fork(self):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, b"x")
            while True:
                signal.pause()
        os.close(writer)
        os.read(reader, 1)
        os.kill(child, 15)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    directory = tmp_path_factory.mktemp("own")
    (directory / "own.py").write_text(OWN)
    worker = WorkerProcess(directory, "--python-path", str(directory), "--adapter", "own:Own")
    try:
        yield worker.ready()
    finally:
        worker.destroy()


def chunks(stream):
    return [(c.chunk_id, json.loads(c.data or b'"-"'), c.is_final) for c in stream]


def status(stream):
    with pytest.raises(grpc.RpcError) as caught:
        list(stream)
    return caught.value.code(), caught.value.details()


def test_result(showcase):
    response = showcase.execute("add", a=1, b=2)
    assert response.success and response.result.value == b"3"
    assert response.result.type_url == "type.googleapis.com/snakepit.integer"
    assert showcase.call("add", a=1, b=0.5) == 1.5
    assert showcase.call("echo", a=[1, None], b="ä") == {"a": [1, None], "b": "ä"}


def test_execution_time(showcase):
    response = showcase.execute("sleep", seconds=0.05)
    assert 50 <= response.execution_time_ms < PATIENCE * 1000


def test_bytes(own):
    assert own.call("size", data="aGk=") == 2
    assert own.call("size", binary={"data": b"\x00" * 5_000_000}) == 5_000_000
    response = own.execute("reverse", binary={"data": b"\x01\x02"})
    assert (response.binary_result, response.result.value) == (b"\x02\x01", b"null")


@pytest.mark.parametrize(
    ("tool", "values", "kind", "message"),
    [
        ("add", {"a": 1, "b": 2, "c": 3}, "InvalidParameters", "takes no parameter 'c'"),
        ("add", {"a": 1}, "InvalidParameters", "needs the parameter 'b'"),
        ("add", {"a": 1, "b": True}, "InvalidParameters", "must be float, not true"),
        ("add", {"a": 1, "b": b"{"}, "InvalidParameters", "parameter 'b' is not JSON"),
        ("add", {"a": 1, "b": b"NaN"}, "InvalidParameters", "NaN is not JSON"),
        ("subtract", {}, "UnknownTool", "no tool 'subtract'; there are: add, allocate"),
        ("raise_error", {"message": "on purpose"}, "ValueError", "on purpose"),
    ],
)
def test_errors(showcase, tool, values, kind, message):
    with pytest.raises(Failed) as caught:
        showcase.call(tool, **values)
    document = caught.value.document
    assert document["type"] == kind and message in document["message"]
    assert set(document) == {"type", "message", "stacktrace", "traceback", "context"}
    code, details = status(showcase.stream(tool, **values))
    same = json.loads(details)
    assert (same["type"], same["message"]) == (kind, document["message"])
    assert (
        code
        is {
            "InvalidParameters": grpc.StatusCode.INVALID_ARGUMENT,
            "UnknownTool": grpc.StatusCode.NOT_FOUND,
            "ValueError": grpc.StatusCode.INTERNAL,
        }[kind]
    )


def test_unknown_tool_lists_tools(showcase):
    with pytest.raises(Failed) as caught:
        showcase.call("subtract")
    assert {"add", "ping", "stream"} <= set(caught.value.document["context"]["tools"])


def test_traceback_begins_in_the_tool(showcase):
    with pytest.raises(Failed) as caught:
        showcase.call("raise_error", message="on purpose")
    document = caught.value.document
    assert "showcase.py" in document["traceback"] and "bridge.py" not in document["traceback"]
    assert len(document["stacktrace"]) == 3


def test_results_that_cannot_be_sent(own):
    with pytest.raises(Failed) as caught:
        own.call("nan")
    assert caught.value.document["type"] == "UnserializableResult"
    stream = own.stream("stream_nan")
    assert next(stream).data == b"1"
    code, details = status(stream)
    assert code is grpc.StatusCode.INTERNAL
    assert json.loads(details)["type"] == "UnserializableResult"


def test_exit_in_a_tool_is_an_error(own):
    with pytest.raises(Failed) as caught:
        own.call("quit")
    assert (caught.value.document["type"], str(caught.value)) == ("SystemExit", "3")
    assert status(own.stream("quit"))[0] is grpc.StatusCode.INTERNAL
    assert own.call("size", data="") == 0


def test_streams(own, showcase):
    assert chunks(own.stream("items")) == [
        ("items-0", 1, False),
        ("items-1", "aGk=", False),
        ("items-2", None, False),
        ("items-3", "-", True),
    ]
    assert chunks(own.stream("nothing")) == [("nothing-0", "-", True)]
    assert chunks(showcase.stream("add", a=1, b=2)) == [("add-0", 3, True)]
    found = chunks(showcase.stream("stream", count=2))
    assert [data for _, data, _ in found] == [{"index": 0, "of": 2}, {"index": 1, "of": 2}, "-"]


def test_stream_as_one_result(own, showcase):
    assert own.call("items") == [1, "aGk=", None]
    assert showcase.call("stream", count=2) == [{"index": 0, "of": 2}, {"index": 1, "of": 2}]


def test_remaining(own):
    assert 0 < own.call("remaining", timeout=PATIENCE) <= PATIENCE + 1
    assert own.call("remaining", timeout=None) is None


def test_deadline_reaches_the_tool(own, fifo):
    note = fifo("note")
    with pytest.raises(grpc.RpcError) as caught:
        own.execute("wait", timeout=0.05, note=str(note))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert note.read_text() == "cancelled True"


def test_cancellation_reaches_the_tool(own, fifo):
    note, entered = fifo("note"), fifo("entered")
    values = {"note": str(note), "entered": str(entered)}
    running = own.stub.ExecuteTool.future(request("wait", values))
    entered.read_text()
    running.cancel()
    assert note.read_text() == "cancelled True"


@pytest.mark.parametrize("leave_after", [1, 20])
@pytest.mark.parametrize("tool", ["endless", "kept"])
def test_client_leaves_a_stream(own, fifo, tool, leave_after):
    note = fifo("note")
    stream = own.stream(tool, note=str(note))
    for _ in range(leave_after):
        next(stream)
    stream.cancel()
    assert note.read_text() == "closed"


def test_endless_stream_as_one_result_ends_at_the_deadline(own, fifo):
    note = fifo("note")
    with pytest.raises(grpc.RpcError):
        own.execute("endless", timeout=0.05, note=str(note))
    assert note.read_text() == "closed"


def test_two_calls_at_once(own):
    first = own.stub.ExecuteTool.future(request("meet", {}))
    assert own.call("meet") is None
    assert first.result(PATIENCE).success


def test_forked_children_obey_signals(own):
    assert [own.call("fork") for _ in range(20)] == [-15] * 20
    assert own.call("size", data="") == 0
    assert own.process.poll() is None


def test_sessions(showcase):
    stub = showcase.stub
    beat = bridge_pb2.HeartbeatRequest(session_id="s")
    assert not stub.Heartbeat(beat).session_valid
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetSession(bridge_pb2.GetSessionRequest(session_id="s"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    opened = stub.InitializeSession(
        bridge_pb2.InitializeSessionRequest(session_id="s", metadata={"a": "b"})
    )
    assert opened.success
    assert stub.Heartbeat(beat).session_valid
    session = stub.GetSession(bridge_pb2.GetSessionRequest(session_id="s"))
    assert (session.session_id, dict(session.metadata)) == ("s", {"a": "b"})
    assert session.tool_count == len(opened.available_tools) > 10
    assert session.created_at.seconds > 0
    cleaned = stub.CleanupSession(bridge_pb2.CleanupSessionRequest(session_id="s"))
    assert (cleaned.success, cleaned.resources_cleaned) == (True, 1)
    assert not stub.Heartbeat(beat).session_valid


def test_tool_descriptions(showcase):
    opened = showcase.stub.InitializeSession(bridge_pb2.InitializeSessionRequest(session_id="d"))
    stream = opened.available_tools["stream"]
    assert stream.supports_streaming and stream.name == "stream"
    assert stream.metadata["usage"] == "stream(count: int = 5, delay: float = 0.0)"
    count = stream.parameters[0]
    assert (count.name, count.type, count.required) == ("count", "int", False)
    assert count.default_value.value == b"5"
    add = opened.available_tools["add"]
    assert add.description == "Adds two numbers." and not add.supports_streaming
    assert add.parameters[0].required and not add.parameters[0].HasField("default_value")


def test_ping(showcase):
    answer = showcase.stub.Ping(bridge_pb2.PingRequest(message="hi"))
    assert answer.message == "hi" and answer.server_time.seconds > 0


def test_telemetry(showcase):
    events = showcase.stub.StreamTelemetry(iter([bridge_pb2.TelemetryControl()]))
    try:
        # The stream may be open a moment later than the first calls.
        while not (started := next_event(showcase, events)):
            pass
        assert list(started.event_parts) == ["tool", "execution", "start"]
        stopped = next(e for e in events if e.correlation_id == started.correlation_id)
        assert list(stopped.event_parts) == ["tool", "execution", "stop"]
        assert stopped.measurements["duration"].int_value > 0
        assert dict(stopped.metadata) == {"tool": "ping", "worker_id": "default-0"}
        with pytest.raises(Failed):
            showcase.call("raise_error")
        parts = next(e for e in events if "exception" in e.event_parts)
        assert parts.metadata["tool"] == "raise_error"
    finally:
        events.cancel()


def next_event(showcase, events):
    for _ in range(50):
        showcase.call("ping")
    return next(events)


def test_output_and_errors_are_kept(showcase):
    # Here, and not in a buffer that a crash would take along.
    showcase.call("log", message="to stdout ä")
    showcase.call("log", message="to stderr", stream="stderr")
    assert "to stdout ä\n" in showcase.output.read_text()
    assert "to stderr\n" in showcase.errors.read_text()


def test_word_count(showcase, tmp_path):
    path = tmp_path / "text"
    path.write_bytes("one two\nthree ä".encode())
    assert showcase.call("word_count", path=str(path)) == {
        "path": str(path),
        "lines": 1,
        "words": 4,
        "bytes": os.path.getsize(path),
    }
    with pytest.raises(Failed, match="No such file"):
        showcase.call("word_count", path=str(tmp_path / "absent"))


def test_allocate(showcase):
    assert showcase.call("allocate", megabytes=3) == 3 * 1024 * 1024


def test_idle_service_tells_when_a_left_call_has_ended(start):
    worker = start().ready()
    statuses = worker.watch_health("snakepit.idle")
    call = worker.stub.ExecuteTool.future(request("sleep", {"seconds": 3600}), timeout=PATIENCE)
    assert next(statuses).status == NOT_SERVING  # it has reached its tool
    call.cancel()
    assert next(statuses).status == SERVING
