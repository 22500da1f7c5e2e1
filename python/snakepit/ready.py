"""Tells the supervisor, once, that the worker is ready or why it is not.

The channel is a pipe, its write end named in SNAKEPIT_READY_FD; it carries one
JSON object on one line, of at most 16 KiB, and is closed then. Without it the
port, in decimal, is written to the file named in SNAKEPIT_READY_FILE.
"""

import contextlib
import json
import os
import sys

from snakepit.failures import StartFailure

PROTOCOL = 1

# JSON escapes a character with at most six bytes, so a line of these lengths
# stays below 16 KiB.
_MESSAGE_LIMIT = 2000
_HINT_LIMIT = 500


def claim_descriptor(name):
    """Takes a descriptor's number out of the environment and keeps the
    descriptor from child processes; None if the variable is not there."""
    text = os.environ.pop(name, None)
    if text is None:
        return None
    try:
        descriptor = int(text)
        os.set_inheritable(descriptor, False)
    except (ValueError, OverflowError, OSError):
        raise StartFailure("environment", f"{name}={text} is no open descriptor") from None
    return descriptor


class Channel:
    """Where readiness is told: a descriptor that is given, or what claim() finds
    in the environment. That comes first, before any child process can inherit the
    descriptor."""

    def __init__(self, descriptor=None):
        self._descriptor = descriptor
        self._file = None

    def claim(self):
        self._file = os.environ.pop("SNAKEPIT_READY_FILE", None)
        self._descriptor = claim_descriptor("SNAKEPIT_READY_FD")

    def succeed(self, port):
        """Says that the worker serves on that port; raises OSError when nobody
        listens any more."""
        if self._descriptor is not None:
            self._send({"ready": True, "pid": os.getpid(), "port": port})
        elif self._file:
            temporary = f"{self._file}.{os.getpid()}"
            with open(temporary, "w", encoding="ascii") as file:
                file.write(str(port))
            os.replace(temporary, self._file)

    def fail(self, failure):
        """Says why the worker does not start, here and on stderr."""
        message = " ".join(failure.message.split())[:_MESSAGE_LIMIT]
        lines = [failure.trace, f"snakepit worker: {message}\n"]
        if failure.hint:
            lines.append(f"snakepit worker: {failure.hint}\n")
        # Before the report: who reads that ends us, perhaps in the middle of a line.
        with contextlib.suppress(AttributeError, OSError):
            sys.stderr.write("".join(lines))
        if self._descriptor is not None:
            report = {"ready": False, "kind": failure.kind, "message": message}
            with contextlib.suppress(OSError):  # nobody listens; stderr has it
                self._send({**report, "hint": failure.hint[:_HINT_LIMIT]})

    def _send(self, report):
        line = json.dumps({"protocol": PROTOCOL, **report}) + "\n"
        os.write(self._descriptor, line.encode("ascii"))
        os.close(self._descriptor)
        self._descriptor = None
