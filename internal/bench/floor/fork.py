"""Forks servers from a process that has imported grpc: the floor of a forked worker.

Reads "start PORT" and "stop PID" from its standard input. To a start the server
itself answers, to a stop we do: "gone PID". At the end of the input all are ended.
"""

import encodings.idna  # noqa: F401  the first server would import it
import gc
import importlib
import os
import signal
import sys

import grpc._server  # noqa: F401  the same
import server

if len(sys.argv) > 1:
    importlib.import_module(sys.argv[1])
gc.collect()
gc.freeze()  # what is shared stays shared
os.write(1, b"waiting 0 0\n")

children = set()
for line in sys.stdin:
    word, number = line.split()
    if word == "start":
        child = os.fork()
        if child == 0:
            os.close(0)
            server.serve(int(number))
        children.add(child)
    elif int(number) in children:
        child = int(number)
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
        children.remove(child)
        os.write(1, f"gone {child} 0\n".encode())

for child in children:
    os.kill(child, signal.SIGKILL)
for child in children:
    os.waitpid(child, 0)
