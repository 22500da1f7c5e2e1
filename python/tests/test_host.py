"""Sessions that a host keeps, against a host in this process."""

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from worker_process import PATIENCE, Failed

from snakepit import bridge_pb2, bridge_pb2_grpc, host


class Host(bridge_pb2_grpc.BridgeServiceServicer):
    """Records what it is asked."""

    def __init__(self):
        self.asked = []
        self.beat = threading.Event()

    def Ping(self, request, context):
        self.asked.append("Ping")
        return bridge_pb2.PingResponse(message="pong")

    def InitializeSession(self, request, context):
        self.asked.append(f"InitializeSession {request.session_id}")
        if request.session_id == "old":
            context.abort(grpc.StatusCode.ALREADY_EXISTS, "it is there")
        if request.session_id == "bad":
            return bridge_pb2.InitializeSessionResponse(error_message="we are full")
        if request.session_id == "broken":
            context.abort(grpc.StatusCode.INTERNAL, "out of order")
        return bridge_pb2.InitializeSessionResponse(success=True)

    def CleanupSession(self, request, context):
        return bridge_pb2.CleanupSessionResponse(success=True, resources_cleaned=7)

    def GetSession(self, request, context):
        context.abort(grpc.StatusCode.NOT_FOUND, "never heard of it")

    def Heartbeat(self, request, context):
        self.asked.append(f"Heartbeat {request.session_id}")
        self.beat.set()
        return bridge_pb2.HeartbeatResponse(session_valid=True)


@pytest.fixture
def serving():
    servicer = Host()
    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    bridge_pb2_grpc.add_BridgeServiceServicer_to_server(servicer, server)
    servicer.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    servicer.stop = lambda: server.stop(None).wait()
    server.start()
    yield servicer
    servicer.stop()


def test_worker_with_a_host(start, serving):
    worker = start("--elixir-address", serving.address, "--worker-id", "w-1").ready()
    assert serving.asked[0] == "Ping"
    assert worker.call("ping", session="s") == "pong"
    assert "InitializeSession s" in serving.asked
    assert worker.call("ping", session="old") == "pong"
    before = len([asked for asked in serving.asked if "Initialize" in asked])
    assert worker.call("ping") == "pong"
    assert len([asked for asked in serving.asked if "Initialize" in asked]) == before
    for session, reason in [("bad", "we are full"), ("broken", "out of order")]:
        with pytest.raises(Failed, match=reason) as caught:
            worker.call("ping", session=session)
        assert caught.value.document["type"] == "SessionFailure"
    request = bridge_pb2.CleanupSessionRequest(session_id="s")
    assert worker.stub.CleanupSession(request).resources_cleaned == 7
    beat = bridge_pb2.HeartbeatRequest(session_id="s")
    assert worker.stub.Heartbeat(beat, timeout=PATIENCE).session_valid
    opened = worker.stub.InitializeSession(bridge_pb2.InitializeSessionRequest(session_id="t"))
    assert opened.success and "ping" in opened.available_tools
    with pytest.raises(grpc.RpcError) as caught:
        worker.stub.GetSession(bridge_pb2.GetSessionRequest(session_id="s"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == "never heard of it"
    assert serving.beat.wait(PATIENCE) and "Heartbeat w-1" in serving.asked


def test_unreachable_host(start, serving):
    serving.stop()
    report, code = start("--elixir-address", serving.address).failure()
    assert (report["kind"], code) == ("host_unreachable", 1)
    assert serving.address in report["message"]


def test_watch_notices_a_silent_host(serving):
    gone = threading.Event()
    sessions = host.HostSessions(serving.address)
    host.watch(sessions, "w", gone.set, every=0.02, limit=0.5)
    assert serving.beat.wait(PATIENCE)
    assert not gone.is_set()
    serving.stop()
    assert gone.wait(PATIENCE)


def test_an_error_is_an_answer(serving):
    gone, beats = threading.Event(), []
    enough = threading.Event()

    def refuse(request, context):
        beats.append(request.session_id)
        if len(beats) == 10:
            enough.set()
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "not here")

    serving.Heartbeat = refuse
    stop = grpc.server(ThreadPoolExecutor(2))
    bridge_pb2_grpc.add_BridgeServiceServicer_to_server(serving, stop)
    port = stop.add_insecure_port("127.0.0.1:0")
    stop.start()
    sessions = host.HostSessions(f"127.0.0.1:{port}")
    host.watch(sessions, "w", gone.set, every=0.05, limit=0.4)
    assert enough.wait(PATIENCE)
    assert not gone.is_set()
    stop.stop(None).wait()
    assert gone.wait(PATIENCE)


def test_the_store_of_sessions_is_bounded(monkeypatch):
    monkeypatch.setattr(host, "SESSIONS", 2)
    sessions = host.LocalSessions()
    for name in "abc":
        sessions.initialize(bridge_pb2.InitializeSessionRequest(session_id=name), None)
    valid = [
        sessions.heartbeat(bridge_pb2.HeartbeatRequest(session_id=name), None).session_valid
        for name in "abc"
    ]
    assert valid == [False, True, True]
