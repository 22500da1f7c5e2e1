"""The built-in adapter: tools to try a pool out, and tools that misbehave on
purpose."""

import os
import signal
import subprocess
import sys
import time

from snakepit import Adapter, current_call, tool

_CHILD = """\
import signal, sys, time
if sys.argv[1] == "deaf": signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(float(sys.argv[2]))
"""


class Showcase(Adapter):
    """Useful tools first, then the misbehaving ones."""

    def __init__(self):
        self._children = []

    @tool
    def ping(self) -> str:
        """Answers pong."""
        return "pong"

    @tool
    def echo(self, **values):
        """Returns its parameters."""
        return values

    @tool
    def add(self, a: float, b: float) -> float:
        """Adds two numbers."""
        return a + b

    @tool
    def word_count(self, path: str) -> dict:
        """Counts the lines, words and bytes of a file."""
        lines = words = size = 0
        with open(path, "rb") as file:
            for line in file:
                lines += line.endswith(b"\n")
                words += len(line.split())
                size += len(line)
        return {"path": path, "lines": lines, "words": words, "bytes": size}

    @tool
    def sleep(self, seconds: float) -> float:
        """Sleeps, unless the call is cancelled."""
        current_call().wait(seconds)
        return seconds

    @tool
    def stream(self, count: int = 5, delay: float = 0.0):
        """Streams count items, with a delay in seconds before each."""
        for index in range(count):
            current_call().wait(delay)
            yield {"index": index, "of": count}

    @tool
    def pid(self) -> dict:
        """Returns the worker's process, parent, group and session ids."""
        ids = {"pid": os.getpid(), "ppid": os.getppid()}
        return {**ids, "pgid": os.getpgrp(), "sid": os.getsid(0)}

    @tool
    def log(self, message: str, stream: str = "stdout") -> None:
        """Prints a line to stdout or stderr."""
        print(message, file=sys.stderr if stream == "stderr" else sys.stdout)

    @tool
    def raise_error(self, message: str = "raised on purpose"):
        """Raises a ValueError."""
        raise ValueError(message)

    @tool
    def crash(self):
        """Dies of a segmentation fault."""
        os.kill(os.getpid(), signal.SIGSEGV)
        signal.pause()

    @tool
    def exit(self, code: int = 1):
        """Ends the process without a word."""
        sys.stdout.flush()
        os._exit(code)

    @tool
    def hang(self, hold_gil: bool = False):
        """Never returns, whatever the caller does; with hold_gil the whole
        interpreter stands still."""
        import ctypes

        pause = ctypes.PyDLL(None).sleep if hold_gil else time.sleep
        while True:
            pause(3600)

    @tool
    def allocate(self, megabytes: int, seconds: float = 0.0) -> int:
        """Holds that much memory for some seconds."""
        block = bytearray(megabytes * 1024 * 1024)
        block[::4096] = b"x" * len(block[::4096])
        current_call().wait(seconds)
        return len(block)

    @tool
    def spawn_child(
        self, setsid: bool = False, ignore_term: bool = False, seconds: float = 3600.0
    ) -> dict:
        """Starts a child process that sleeps; its command line has no marker."""
        mood = "deaf" if ignore_term else "obedient"
        child = subprocess.Popen(
            [sys.executable, "-S", "-c", _CHILD, mood, str(seconds)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=setsid,
        )
        child.stdout.readline()  # from here on it obeys, or not
        self._children.append(child)  # else Popen would warn when it is collected
        return {"pid": child.pid}
