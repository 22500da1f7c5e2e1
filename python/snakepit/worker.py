"""A loaded adapter, served over gRPC until SIGTERM."""

import traceback
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health_pb2_grpc

from snakepit import (
    bridge,
    bridge_pb2_grpc,
    health,
    host,
    lifeline,
    listen,
    telemetry,
    termination,
)

MESSAGE_LIMIT = 100 * 1024 * 1024
# Threads are made when calls need them.
THREADS = 32


class Worker:
    """Serves one adapter; grace is in seconds. From its making on, SIGTERM
    waits for wait_for_end()."""

    def __init__(self, adapter, grace):
        self._adapter = adapter
        self._grace = grace
        self.termination = termination.Termination()
        self._server = self._health = self._telemetry = self._sessions = None

    def prepare(self, tools, chosen):
        """Makes everything that needs no port. Raises StartFailure."""
        self._sessions = host.LocalSessions()
        if chosen.host_address:
            self._sessions = host.HostSessions(chosen.host_address)
            self._sessions.greet()
        options = [("grpc.so_reuseport", 0), ("grpc.max_send_message_length", MESSAGE_LIMIT)]
        options.append(("grpc.max_receive_message_length", MESSAGE_LIMIT))
        # No ping with every message to measure the network: it is this machine.
        options.append(("grpc.http2.bdp_probe", 0))
        pool = ThreadPoolExecutor(max_workers=THREADS)
        self._server = grpc.server(pool, options=options)
        self._health = health.Health()
        self._telemetry = telemetry.Telemetry()
        served = bridge.Bridge(tools, self._sessions, self._telemetry, self._health)
        bridge_pb2_grpc.add_BridgeServiceServicer_to_server(served, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    def serve(self, chosen):
        """Starts to serve; returns the port. Raises StartFailure."""
        self._telemetry.worker_id = chosen.worker_id
        port = listen.bind(self._server, chosen.host, chosen.port)
        self._server.start()
        if chosen.host_address:
            host.watch(self._sessions, chosen.worker_id, lambda: lifeline.end("host is gone"))
        return port

    def wait_for_end(self):
        """Waits for SIGTERM, lets running calls finish, closes the adapter."""
        self.termination.wait()
        self._health.drain()
        self._telemetry.close()
        # The margin is for the adapter's close() and the exit itself.
        limit = self._grace - min(0.5, self._grace / 10)
        # New calls are refused from here on; at the limit the rest is cancelled.
        self._server.stop(limit).wait(limit + 0.1)
        self.close()

    def close(self):
        """Closes the adapter; what it raises is printed and no more."""
        try:
            self._adapter.close()
        except BaseException:
            traceback.print_exc()
