"""Says in a forked worker's own arguments and environment who it is.

A fork has the memory of its parent, and with it what others read in
/proc/PID/cmdline and /proc/PID/environ. The run is the same; the worker's id
and its port are written over what stands there.
"""

import ctypes
import os
import sys

from snakepit.failures import StartFailure

WORKER_ID = "SNAKEPIT_WORKER_ID"
_NAME = WORKER_ID.encode() + b"="
# Flags of the forkserver that a worker does not have; they leave room.
_SCRIPT = os.path.basename(os.fsencode(sys.argv[0]))
_OWN = (b"--forkserver", b"--preload")


class Marker:
    """The arguments and the environment of this process, as it was started.

    Made in the forkserver, used in its forks. Raises StartFailure when they are
    not where the kernel says.
    """

    def __init__(self):
        self._arguments, environment = _places()
        first, size = self._arguments
        self._words = ctypes.string_at(first, size).rstrip(b"\0").split(b"\0")
        if _read("cmdline").rstrip(b"\0").split(b"\0") != self._words:
            raise _failure("its arguments are not where the kernel says")
        self._entry = _entry(*environment)
        self._id = ctypes.string_at(*self._entry)[len(_NAME) :].rstrip(b"\0")

        self._show(self._words, self._id)  # it can be done here, and so in a fork

    def set(self, worker_id, port):
        """Says that this process is that worker, to others, to its own code and
        to its descendants; raises StartFailure."""
        words = _with(self._words, worker_id, port)
        self._show(words, os.fsencode(worker_id))
        os.environ[WORKER_ID] = worker_id
        script = next(i for i, word in enumerate(words) if os.path.basename(word) == _SCRIPT)
        sys.argv[1:] = [os.fsdecode(word) for word in words[script + 1 :]]

    def _show(self, words, worker_id):
        entry = _NAME + worker_id
        _write(self._arguments, b"\0".join(words))
        _write(self._entry, entry)
        shown = _read("cmdline").rstrip(b"\0").split(b"\0")
        if shown != words or entry not in _read("environ").split(b"\0"):
            raise _failure("what others see of it does not change")


def _with(words, worker_id, port):
    """The words of the forkserver's command line, as the worker has them."""
    changed = [word for word in words if word not in _OWN]
    for flag, value in ((b"--worker-id", worker_id), (b"--port", str(port))):
        changed[changed.index(flag) + 1] = os.fsencode(value)
    return changed


def _places():
    """Start and size of the arguments and of the environment in memory
    (proc_pid_stat(5), fields 48 to 51)."""
    fields = _read("stat").rpartition(b")")[2].split()
    at = [int(field) for field in fields[45:49]]
    if not 0 < at[0] < at[1] <= at[2] < at[3]:
        raise _failure("the kernel does not say where they are")
    return (at[0], at[1] - at[0]), (at[2], at[3] - at[2])


def _entry(first, size):
    """Start and size of the entry of the worker's id in the environment."""
    at = 0
    for entry in ctypes.string_at(first, size).split(b"\0"):
        if entry.startswith(_NAME):
            return first + at, len(entry) + 1
        at += len(entry) + 1
    raise _failure(f"it has no {WORKER_ID}")


def _write(place, text):
    first, size = place
    if len(text) >= size:
        raise _failure(f"there is no room for {len(text)} bytes")
    ctypes.memmove(first, text.ljust(size, b"\0"), size)


def _read(name):
    with open(f"/proc/self/{name}", "rb") as file:
        return file.read()


def _failure(reason):
    return StartFailure(
        "fork_marker", f"cannot write a fork's marker into its arguments and environment: {reason}"
    )
