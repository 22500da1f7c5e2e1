"""Events about the calls of tools, for a host that listens.

An event is tool.execution.start, .stop or .exception. Nobody is ever kept
waiting for a listener: the oldest of a slow listener's events are dropped.
"""

import binascii
import collections
import fnmatch
import itertools
import threading
import time

import grpc

from snakepit import bridge_pb2

BACKLOG = 1000
MAX_LISTENERS = 4


class Telemetry:
    """Sends events to all listeners, in the name of worker_id."""

    def __init__(self, worker_id=""):
        self.worker_id = worker_id
        self._lock = threading.Lock()  # guards _listeners and _closed
        self._listeners = ()
        self._closed = False
        self._numbers = itertools.count(1)

    def span(self, tool, correlation_id=""):
        """Starts a span for the call of a tool; the result's end() ends it."""
        return _Span(self, tool, correlation_id or f"{self.worker_id}-{next(self._numbers)}")

    def emit(self, phase, tool, correlation_id, **measurements):
        listeners = self._listeners
        if not listeners:
            return
        event = bridge_pb2.TelemetryEvent(
            event_parts=["tool", "execution", phase],
            metadata={"tool": tool, "worker_id": self.worker_id},
            timestamp_ns=time.time_ns(),
            correlation_id=correlation_id,
        )
        for name, value in measurements.items():
            event.measurements[name].int_value = value
        for listener in listeners:
            listener.offer(event)

    def serve(self, controls, context):
        """Serves one StreamTelemetry: obeys its controls, yields events."""
        listener = _Listener()
        if not context.add_callback(listener.close):
            return
        with self._lock:
            if self._closed or len(self._listeners) >= MAX_LISTENERS:
                context.abort(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    f"{len(self._listeners)} telemetry listeners already",
                )
            self._listeners += (listener,)
        threading.Thread(target=listener.obey_all, args=(controls,), daemon=True).start()
        try:
            yield from listener.events()
        finally:
            with self._lock:
                self._listeners = tuple(x for x in self._listeners if x is not listener)

    def close(self):
        """Ends the streams of all listeners."""
        with self._lock:
            self._closed = True
            for listener in self._listeners:
                listener.close()


class _Span:
    def __init__(self, telemetry, tool, correlation_id):
        self._telemetry, self._tool, self._id = telemetry, tool, correlation_id
        self._began = time.perf_counter_ns()
        telemetry.emit("start", tool, correlation_id, system_time=time.time_ns())

    def end(self, failed):
        """Ends the span; returns its duration in nanoseconds."""
        duration = time.perf_counter_ns() - self._began
        phase = "exception" if failed else "stop"
        self._telemetry.emit(phase, self._tool, self._id, duration=duration)
        return duration


class _Listener:
    """What one listener wants, and what it has not taken yet. It listens from
    the start: a host that opens the stream wants events."""

    def __init__(self):
        self._changed = threading.Condition()  # guards the rest
        self._pending = collections.deque(maxlen=BACKLOG)
        self._closed = False
        self._enabled = True
        self._rate, self._patterns = 1.0, ()
        self._allow, self._deny = (), ()

    def obey_all(self, controls):
        try:
            for control in controls:
                self.obey(control)
        except Exception:
            self.close()  # the stream broke

    def obey(self, control):
        with self._changed:
            kind = control.WhichOneof("control")
            if kind == "toggle":
                self._enabled = control.toggle.enabled
            elif kind == "sampling":
                self._rate = control.sampling.sampling_rate
                self._patterns = tuple(control.sampling.event_patterns)
            elif kind == "filter":
                self._allow = tuple(control.filter.allow)
                self._deny = tuple(control.filter.deny)

    def offer(self, event):
        with self._changed:
            if self._wants(event):
                self._pending.append(event)
                self._changed.notify()

    def _wants(self, event):
        name = ".".join(event.event_parts)
        if not self._enabled or _matches(name, self._deny):
            return False
        if self._allow and not _matches(name, self._allow):
            return False
        if self._patterns and not _matches(name, self._patterns):
            return True
        # By the call, so that start and stop of one call go together.
        return binascii.crc32(event.correlation_id.encode()) < self._rate * 2**32

    def events(self):
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._closed)
                if not self._pending:
                    return
                event = self._pending.popleft()
            yield event

    def close(self):
        with self._changed:
            self._closed = True
            self._changed.notify()


def _matches(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
