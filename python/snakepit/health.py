"""The standard grpc.health.v1.Health service.

It is our own in place of grpc_health's servicer for one reason: its watchers
end when the worker drains. A watcher that stayed would keep the gRPC server,
and so the worker, until the end of the grace time.
"""

import threading

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

SERVICES = ("", "snakepit.bridge.BridgeService")
MAX_WATCHERS = 4

_Response = health_pb2.HealthCheckResponse


class Health(health_pb2_grpc.HealthServicer):
    """Says SERVING from the start, and NOT_SERVING after drain()."""

    def __init__(self):
        self._changed = threading.Condition()  # guards the rest
        self._draining = False
        self._watchers = 0

    def drain(self):
        """Says NOT_SERVING to everybody, and ends all watchers."""
        with self._changed:
            self._draining = True
            self._changed.notify_all()

    def Check(self, request, context):
        if request.service not in SERVICES:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.service!r}")
        return _Response(status=self._status())

    def Watch(self, request, context):
        if request.service not in SERVICES:
            yield _Response(status=_Response.SERVICE_UNKNOWN)
            return
        if not self._enter():
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MAX_WATCHERS} watchers already")
        try:
            yield _Response(status=self._status())
            if self._wait_for_change(context):
                yield _Response(status=self._status())
        finally:
            with self._changed:
                self._watchers -= 1

    def _status(self):
        return _Response.NOT_SERVING if self._draining else _Response.SERVING

    def _enter(self):
        # Each watcher holds one of the server's threads.
        with self._changed:
            if self._watchers >= MAX_WATCHERS:
                return False
            self._watchers += 1
            return True

    def _wait_for_change(self, context):
        def wake():
            with self._changed:
                self._changed.notify_all()

        if not context.add_callback(wake):
            return False
        with self._changed:
            if self._draining:
                return False
            self._changed.wait_for(lambda: self._draining or not context.is_active())
            return self._draining
