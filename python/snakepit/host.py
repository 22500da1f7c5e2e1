"""Sessions: kept here, or by the host that started this worker."""

import collections
import threading
import time

import grpc

from snakepit import bridge_pb2, bridge_pb2_grpc, call
from snakepit.failures import SessionFailure, StartFailure

SESSIONS = 10_000
MESSAGE_LIMIT = 100 * 1024 * 1024
PING_SECONDS = 5.0


class LocalSessions:
    """A bounded store of sessions for a worker without a host; the oldest
    session goes first."""

    def __init__(self):
        self._lock = threading.Lock()  # guards _sessions
        self._sessions = collections.OrderedDict()

    def open_for_call(self, session_id):
        """A call may name any session here."""

    def initialize(self, request, context):
        session = bridge_pb2.GetSessionResponse(
            session_id=request.session_id, metadata=dict(request.metadata)
        )
        session.created_at.GetCurrentTime()
        with self._lock:
            self._sessions.setdefault(request.session_id, session)
            while len(self._sessions) > SESSIONS:
                self._sessions.popitem(last=False)
        return bridge_pb2.InitializeSessionResponse(success=True)

    def cleanup(self, request, context):
        with self._lock:
            known = self._sessions.pop(request.session_id, None) is not None
        return bridge_pb2.CleanupSessionResponse(success=True, resources_cleaned=int(known))

    def get(self, request, context):
        with self._lock:
            session = self._sessions.get(request.session_id)
        if session is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no session {request.session_id!r}")
        copy = bridge_pb2.GetSessionResponse()
        copy.CopyFrom(session)
        return copy

    def heartbeat(self, request, context):
        with self._lock:
            valid = request.session_id in self._sessions
        response = bridge_pb2.HeartbeatResponse(session_valid=valid)
        response.server_time.GetCurrentTime()
        return response


class HostSessions:
    """Passes everything about sessions on to the host."""

    def __init__(self, address):
        self._address = address
        options = [
            ("grpc.max_send_message_length", MESSAGE_LIMIT),
            ("grpc.max_receive_message_length", MESSAGE_LIMIT),
        ]
        self.stub = bridge_pb2_grpc.BridgeServiceStub(grpc.insecure_channel(address, options))

    def greet(self):
        """Pings the host once; raises StartFailure."""
        try:
            self.stub.Ping(bridge_pb2.PingRequest(message="worker starts"), timeout=PING_SECONDS)
        except grpc.RpcError as error:
            raise StartFailure(
                "host_unreachable",
                f"the host at {self._address} does not answer: {error.details()}",
                "check --elixir-address",
            ) from None

    def open_for_call(self, session_id):
        """Opens the session that a call names, as hosts expect it before every
        call; raises SessionFailure."""
        if not session_id:
            return
        request = bridge_pb2.InitializeSessionRequest(session_id=session_id)
        try:
            response = self.stub.InitializeSession(request, timeout=PING_SECONDS)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.ALREADY_EXISTS:
                return
            reason = error.details()
        else:
            if response.success:
                return
            reason = response.error_message
        raise SessionFailure(f"cannot open the session {session_id!r} at the host: {reason}")

    def initialize(self, request, context):
        return _pass_on(self.stub.InitializeSession, request, context)

    def cleanup(self, request, context):
        return _pass_on(self.stub.CleanupSession, request, context)

    def get(self, request, context):
        return _pass_on(self.stub.GetSession, request, context)

    def heartbeat(self, request, context):
        return _pass_on(self.stub.Heartbeat, request, context)


def _pass_on(method, request, context):
    try:
        return method(request, timeout=call.Call(context).remaining())
    except grpc.RpcError as error:
        context.abort(error.code(), error.details())


def watch(sessions, worker_id, gone, every=2.0, limit=10.0):
    """Calls gone() when the host has not answered for limit seconds; asks it
    every few seconds, in a thread of its own. Any answer counts, an error too:
    it proves that somebody is there."""

    def ask():
        heard = time.monotonic()
        request = bridge_pb2.HeartbeatRequest(session_id=worker_id)
        while time.monotonic() - heard < limit:
            request.client_time.GetCurrentTime()
            try:
                sessions.stub.Heartbeat(request, timeout=every)
                heard = time.monotonic()
            except grpc.RpcError as error:
                silent = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
                if error.code() not in silent:
                    heard = time.monotonic()
            time.sleep(every)
        gone()

    threading.Thread(target=ask, name="host heartbeat", daemon=True).start()
