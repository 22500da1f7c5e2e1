"""Ends the worker when its supervisor is gone.

The lifeline is a pipe that nobody writes to. The supervisor holds the other
end, so however it dies, the kernel closes the pipe.
"""

import os
import select
import signal
import threading


def watch(descriptor):
    """Ends the worker at the end of file on that descriptor."""
    threading.Thread(target=_wait, args=(descriptor,), name="lifeline", daemon=True).start()


def _wait(descriptor):
    try:
        while os.read(descriptor, 4096):
            pass  # a word from a supervisor that lives
    except OSError:
        pass  # somebody closed the descriptor: nobody would notice a death now
    end("supervisor is gone")


def end(reason):
    """Ends the worker at once, and with it its group if it leads that: its
    children have nobody left who would end them."""
    _say(f"snakepit worker: {reason}, ending\n")
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def _say(line):
    # Only if it cannot block: stderr may be a full pipe that nobody reads.
    try:
        if select.select([], [2], [], 0)[1]:
            os.write(2, line.encode("utf-8"))
    except OSError:
        pass
