"""The standard grpc.health.v1.Health service.

It is our own in place of grpc_health's servicer for one reason: its watchers
end when the worker drains. A watcher that stayed would keep the gRPC server,
and so the worker, until the end of the grace time.
"""

import threading

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

# Serves while no tool runs. A call that its caller has left may still run: this
# tells when it has ended.
IDLE = "snakepit.idle"
SERVICES = ("", "snakepit.bridge.BridgeService", IDLE)
MAX_WATCHERS = 4

_Response = health_pb2.HealthCheckResponse


class Health(health_pb2_grpc.HealthServicer):
    """Says SERVING from the start, and NOT_SERVING after drain()."""

    def __init__(self):
        self._changed = threading.Condition()  # guards the rest
        self._draining = False
        self._watchers = 0
        self._calls = 0

    def drain(self):
        """Says NOT_SERVING to everybody, and ends all watchers."""
        with self._changed:
            self._draining = True
            self._changed.notify_all()

    def begin_call(self):
        """A tool begins to run."""
        self._count(1)

    def end_call(self):
        """A tool has ended, whatever became of its caller."""
        self._count(-1)

    def _count(self, change):
        with self._changed:
            self._calls += change
            self._changed.notify_all()

    def Check(self, request, context):
        if request.service not in SERVICES:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.service!r}")
        return _Response(status=self._status(request.service))

    def Watch(self, request, context):
        if request.service not in SERVICES:
            yield _Response(status=_Response.SERVICE_UNKNOWN)
            return
        if not self._enter():
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MAX_WATCHERS} watchers already")
        try:
            while context.is_active():
                shown = self._status(request.service)
                yield _Response(status=shown)
                if self._draining and shown == _Response.NOT_SERVING:
                    return
                self._wait_for_change(request.service, shown, context)
        finally:
            with self._changed:
                self._watchers -= 1

    def _status(self, service):
        down = self._draining or (service == IDLE and self._calls > 0)
        return _Response.NOT_SERVING if down else _Response.SERVING

    def _enter(self):
        # Each watcher holds one of the server's threads.
        with self._changed:
            if self._watchers >= MAX_WATCHERS:
                return False
            self._watchers += 1
            return True

    def _wait_for_change(self, service, shown, context):
        def wake():
            with self._changed:
                self._changed.notify_all()

        if not context.add_callback(wake):
            return
        with self._changed:
            self._changed.wait_for(
                lambda: self._status(service) != shown or not context.is_active()
            )
