import threading

import pytest

from snakepit import Call, Cancelled, current_call


class Context:
    """A gRPC context that is over at once if it is over."""

    def __init__(self, over=False, remaining=7.0):
        self.over, self.left, self.callbacks = over, remaining, []

    def add_callback(self, callback):
        self.callbacks.append(callback)
        return not self.over

    def time_remaining(self):
        return self.left


def test_outside_of_a_worker():
    call = current_call()
    assert not call.cancelled
    assert call.remaining() is None
    call.wait(0)
    call.wait(-1)


def test_cancelled():
    context = Context()
    call = Call(context)
    call.wait(0)
    threading.Timer(0.01, context.callbacks[0]).start()
    with pytest.raises(Cancelled):
        call.wait(3600)
    assert call.cancelled


def test_over_before_it_began():
    assert Call(Context(over=True)).cancelled


@pytest.mark.parametrize(("left", "expected"), [(7.0, 7.0), (0, 0), (None, None), (1e12, None)])
def test_remaining(left, expected):
    assert Call(Context(remaining=left)).remaining() == expected


def test_tools_do_not_swallow_it():
    assert not issubclass(Cancelled, Exception)
