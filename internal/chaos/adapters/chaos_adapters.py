"""The adapters of snakepit chaos: each misbehaves in one way."""

import os
import signal
import subprocess
import sys
import time

from snakepit import Adapter, tool

_HERE = os.path.dirname(os.path.abspath(__file__))
_WORKER = os.environ.get("SNAKEPIT_WORKER_ID", "")

_DEAF_CHILD = """\
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(3600)
"""


class Deaf(Adapter):
    """Ignores SIGTERM, whoever sets a handler for it later."""

    def __init__(self):
        handle = signal.signal

        def refuse(number, handler):
            return handle(number, signal.SIG_IGN if number == signal.SIGTERM else handler)

        signal.signal = refuse

    @tool
    def ping(self) -> str:
        return "pong"


class Parent(Adapter):
    """Has children that ignore SIGTERM."""

    def __init__(self):
        self._children = []

    @tool
    def fork(self) -> dict:
        """Forks a child that keeps all descriptors, so that of the port too."""
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                time.sleep(3600)
        return {"pid": pid}

    @tool
    def send_away(self) -> dict:
        """Starts a child in a session of its own."""
        child = subprocess.Popen(
            [sys.executable, "-S", "-c", _DEAF_CHILD],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        child.stdout.readline()
        self._children.append(child)
        return {"pid": child.pid}


class Hungry(Adapter):
    """Keeps what it was fed with."""

    def __init__(self):
        self._kept = []

    @tool
    def eat(self, megabytes: int) -> int:
        self._kept.append(b"x" * (megabytes * 1000 * 1000))
        return megabytes


class Moody(Adapter):
    """Fails at every other start of its worker: the second, the fourth."""

    def __init__(self):
        with open(os.path.join(_HERE, _WORKER + ".starts"), "a") as starts:
            starts.write("x")
            count = starts.tell()
        if count % 2 == 0:
            raise RuntimeError(f"start {count} fails on purpose")

    @tool
    def ping(self) -> str:
        return "pong"


class Slow(Adapter):
    """Takes its time to end, and leaves a file when it was given it."""

    @tool
    def ping(self) -> str:
        return "pong"

    def close(self):
        time.sleep(1.5)
        with open(os.path.join(_HERE, f"{os.getpid()}.closed"), "w"):
            pass
