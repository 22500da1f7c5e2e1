"""SIGTERM, made into something to wait for."""

import os
import select
import signal


class Termination:
    """Notes the first SIGTERM; the second ends the process at once. As long as
    this is not made, the first one does.
    """

    def __init__(self):
        self._received = False
        # A signal may reach any thread; the byte in the pipe wakes the main one.
        self._wake, alarm = os.pipe()
        os.set_blocking(alarm, False)
        signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._note)
        os.register_at_fork(after_in_child=_forget_signals)

    def wait(self):
        """Returns when SIGTERM came; for the main thread."""
        while not self._received:
            os.read(self._wake, 64)

    def wait_with(self, other):
        """Returns True when there is something to read from other, and False when
        SIGTERM came; for the main thread."""
        while not self._received:
            readable = select.select([self._wake, other], [], [])[0]
            if self._wake in readable:
                os.read(self._wake, 64)
            elif other in readable:
                return True
        return False

    def _note(self, *_):
        self._received = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _forget_signals():
    # A forked child (multiprocessing) is no worker: it shall end when told,
    # and must not ring our alarm.
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
