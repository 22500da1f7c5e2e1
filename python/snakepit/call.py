"""The running call, as its tool sees it."""

import contextvars
import threading

_current = contextvars.ContextVar("snakepit_call", default=None)

# Without a deadline gRPC reports one that lies centuries ahead.
_NO_DEADLINE = 10 * 365 * 24 * 3600.0


class Cancelled(BaseException):
    """Nobody waits for the call any more: it was cancelled, its deadline
    passed, or the worker is at the end of its grace time.

    It is a BaseException, as in asyncio, so that a tool's `except Exception`
    does not keep the tool running.
    """


class Call:
    """One call of a tool. All methods may be used from any thread."""

    def __init__(self, context=None):
        self._context = context
        self._over = threading.Event()
        if context is not None and not context.add_callback(self._over.set):
            self._over.set()

    @property
    def cancelled(self):
        """Whether nobody waits for the result any more."""
        return self._over.is_set()

    def remaining(self):
        """Seconds until the deadline, never negative; None without one."""
        if self._context is None:
            return None
        left = self._context.time_remaining()
        return None if left is None or left > _NO_DEADLINE else left

    def wait(self, seconds):
        """Sleeps for that many seconds; raises Cancelled as soon as nobody
        waits for the result any more."""
        self._over.wait(max(seconds, 0))
        self.check()

    def check(self):
        """Raises Cancelled when nobody waits for the result any more."""
        if self.cancelled:
            raise Cancelled("the call was cancelled or its deadline passed")


def current_call():
    """The call that this thread works for.

    Outside of a worker, in an adapter's own tests say, it is a call without
    deadline that is never cancelled. A thread started by a tool does not know
    the call: hand it over.
    """
    return _current.get() or Call()


def set_current(call):
    """Says which call this thread works for from now on; None for none."""
    _current.set(call)
