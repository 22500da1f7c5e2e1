"""A plain Python gRPC server that serves the health RPC: the floor of a worker.

server.py PORT [MODULE] imports the module first, serves on 127.0.0.1 (port 0: any),
says "ready PID PORT", and leaves at TERM, without the interpreter's teardown, or when
its standard input ends.
"""

import importlib
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


class Health(health_pb2_grpc.HealthServicer):
    def Check(self, request, context):
        return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)


def serve(port: int) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    server = grpc.server(ThreadPoolExecutor(max_workers=4), options=[("grpc.so_reuseport", 0)])
    health_pb2_grpc.add_HealthServicer_to_server(Health(), server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    os.write(1, f"ready {os.getpid()} {bound}\n".encode())
    signal.sigwait({signal.SIGTERM})
    server.stop(None).wait()
    os._exit(0)


def leave() -> None:
    os.read(0, 1)
    os._exit(0)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        importlib.import_module(sys.argv[2])
    threading.Thread(target=leave, daemon=True).start()
    serve(int(sys.argv[1]))
