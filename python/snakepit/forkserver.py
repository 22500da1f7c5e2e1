"""Forks workers from a process that has imported everything once.

The supervisor asks on a socket; each message is one JSON object. This process
has one thread as long as it lives, and never makes anything of gRPC's: a fork
takes along the thread that forks and no other, with all locks as they are.

    to us                                     from us
                                              {"ready": true, "pid": 10}
    {"worker": "default-0", "port": 4567, …}  {"pid": 12}
      with descriptors                          of a worker, which waits
    {"adopt": 12}                             {"adopted": 12}
    {"worker": "default-1", …}                {"refused": "threads", "message": "…"}

A worker is the fork of a fork that ends, so that it becomes the supervisor's
own child (prctl(2), PR_SET_CHILD_SUBREAPER). The one in between ends only when
the supervisor knows the worker, and the worker goes on only then.
"""

import contextlib
import ctypes
import fcntl
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys

from snakepit import loader, ready
from snakepit.failures import StartFailure
from snakepit.marker import Marker
from snakepit.seat import Seat
from snakepit.sources import Sources

VARIABLE = "SNAKEPIT_FORK_FD"
MESSAGE_LIMIT = 64 * 1024
# prctl(2)
_SET_PARENT_DEATH_SIGNAL, _GET_CHILD_SUBREAPER = 1, 37
_GO = b"g"
_LATE = (
    *("grpc._server", "grpc._interceptor", "encodings.idna", "unicodedata"),
    *("concurrent.futures.thread", "random", "subprocess", "multiprocessing", "logging"),
)


class Birth:
    """What a forked worker has been given: its ready channel; its lifeline, if
    it has one; its seat, if it stands by.

    It keeps the forkserver's own things: to let go of them would write to each, and
    so copy the memory in which it lies.
    """

    def __init__(self, channel, rope, seat, keepsakes):
        self.channel, self.rope, self.seat = channel, rope, seat
        self._keepsakes = keepsakes


def serve(chosen, prepare):
    """Imports what prepare does and, if it is to, the adapter; then answers
    requests until the supervisor is gone. Returns in each forked worker, and
    there only, with its Birth. Raises StartFailure."""
    link = socket.socket(fileno=ready.claim_descriptor(VARIABLE))
    try:
        with _ending_with(link):
            prepare()
            server = _made(link, chosen)
    except StartFailure as failure:
        _send(link, {"ready": False, "kind": failure.kind, "message": failure.message})
        raise
    _send(link, {"ready": True, "pid": os.getpid()})
    while True:
        text, descriptors, _, _ = socket.recv_fds(link, MESSAGE_LIMIT, 8)
        if not text:
            os._exit(0)  # the supervisor is gone, or has no use for us any more
        birth = server.answer(json.loads(text), descriptors)
        if birth is not None:
            return birth


def _made(link, chosen):
    try:
        return ForkServer(link, chosen)
    except OSError as error:  # no /proc, say
        raise StartFailure("forkserver", f"cannot fork workers here: {error}") from None


@contextlib.contextmanager
def _ending_with(link):
    """While we import, and do not read: the kernel ends us by SIGIO when the
    supervisor has gone (fcntl(2), O_ASYNC). It is to say nothing meanwhile."""
    fcntl.fcntl(link, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(link, fcntl.F_GETFL)
    fcntl.fcntl(link, fcntl.F_SETFL, flags | os.O_ASYNC)
    if select.select([link], [], [], 0)[0]:
        os._exit(0)  # it had gone before
    try:
        yield
    finally:
        fcntl.fcntl(link, fcntl.F_SETFL, flags)


class ForkServer:
    """Forks workers on request. Raises StartFailure where it cannot be."""

    def __init__(self, link, chosen):
        self._link, self._chosen = link, chosen
        self._supervisor = os.getppid()
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._marker = Marker()
        before = _descriptors()
        self._sources = Sources()
        self._preloaded = chosen.preload
        _import_late()
        # Our own adapter comes with us: its module does not change.
        if chosen.preload or chosen.adapter[0].startswith("snakepit."):
            loader.preload(*chosen.adapter)
            self._sources.note()
        # What the adapter has opened is its own, and goes along to its workers.
        self._adapters = _descriptors() - before
        gc.collect()
        gc.freeze()  # a collection in a worker would write to the page of each object

    def answer(self, request, descriptors):
        """Serves one request. In the worker it returns its Birth, here None."""
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(AttributeError, ValueError, OSError):
                stream.flush()  # or a fork would print it as well
        labour = None
        try:
            self._check()
            labour = _Labour()
            if labour.fork():
                return self._become(request, descriptors, labour)
            self._deliver(labour)
        except _Refusal as refusal:
            _send(self._link, refusal.message())
        except OSError as error:
            _send(self._link, _Refusal("fork", f"cannot fork: {error.strerror}").message())
        for descriptor in descriptors:
            _close(descriptor)
        if labour is not None:
            labour.close()
        return None

    def _check(self):
        changed = self._sources.changed() if self._preloaded else None
        if changed is not None:
            raise _Refusal("stale", f"{changed} has changed since it was imported")
        threads = len(os.listdir("/proc/self/task"))
        if threads != 1:
            raise _Refusal("threads", f"it has {threads} threads, and a fork would have one")
        reaper = ctypes.c_int()
        self._libc.prctl(_GET_CHILD_SUBREAPER, ctypes.byref(reaper), 0, 0, 0)
        if reaper.value:
            raise _Refusal("subreaper", "it takes the orphans of its descendants itself")

    def _deliver(self, labour):
        """Gives the worker to the supervisor."""
        told = labour.told()
        _send(self._link, told)
        if "pid" not in told:
            return
        text = self._link.recv(MESSAGE_LIMIT)
        if not text:
            os._exit(0)  # the worker is told by the end of its pipe
        if "adopt" in json.loads(text):
            labour.let_go()
            _send(self._link, {"adopted": told["pid"]})

    def _become(self, request, descriptors, labour):
        """The worker's own first steps; whatever goes wrong ends it."""
        given = dict(zip(request["descriptors"], descriptors, strict=True))
        os.setsid()
        try:
            self._marker.set(request["worker"], request["port"])
            os.dup2(given["output"], 1)
            os.dup2(given["output"], 2)
            labour.tell({"pid": os.getpid()})
        except (StartFailure, OSError) as failure:
            labour.tell(_Refusal("fork_marker", str(failure)).message())
            os._exit(1)
        if not labour.go():
            os._exit(1)  # nobody knows of us
        if request["parent_death"]:
            self._libc.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != self._supervisor:
            os._exit(1)  # it has just gone
        self._link.close()
        kept = {given.get(name) for name in ("ready", "lifeline", "seat")}
        for descriptor in _descriptors() - self._adapters - kept - {0, 1, 2}:
            _close(descriptor)
        for descriptor in kept - {None}:
            os.set_inheritable(descriptor, False)  # to the programs that it starts
        _reseed()
        self._sources.begin()
        self._chosen.worker_id, self._chosen.port = request["worker"], request["port"]
        seat = Seat(given["seat"], self._sources, self._marker) if "seat" in given else None
        return Birth(ready.Channel(given["ready"]), given.get("lifeline"), seat, (self, labour))


class _Labour:
    """The pipes of one birth, and the process in between."""

    def __init__(self):
        self._said, self._say = os.pipe()  # the worker's word
        self._held, self._hold = os.pipe()  # its end ends the one in between
        self._called, self._call = os.pipe()  # the worker's sign to go on
        self._between = None

    def fork(self):
        """Forks twice; True in the worker."""
        try:
            self._between = os.fork()
        except OSError as error:
            raise _Refusal("fork", f"cannot fork: {error.strerror}") from None
        if self._between:
            self._say = _close(self._say)
            return False
        self._hold, self._call = _close(self._hold), _close(self._call)
        try:
            worker = os.fork()
        except OSError as error:
            self.tell(_Refusal("fork", f"cannot fork: {error.strerror}").message())
            os._exit(1)
        if worker:
            _close(self._say)
            os.read(self._held, 1)
            os._exit(0)
        return True

    def tell(self, message):
        os.write(self._say, json.dumps(message).encode())
        self._say = _close(self._say)

    def told(self):
        text = os.read(self._said, MESSAGE_LIMIT)
        if not text:
            return _Refusal("died", "the fork ended at once").message()
        return json.loads(text)

    def go(self):
        """Waits for the sign; False: it never comes."""
        return os.read(self._called, 1) == _GO

    def let_go(self):
        """Ends the one in between, then lets the worker go on."""
        self._end_between()
        os.write(self._call, _GO)

    def _end_between(self):
        self._hold = _close(self._hold)
        if self._between:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._between, 0)
            self._between = None

    def close(self):
        self._end_between()
        for descriptor in (self._said, self._say, self._held, self._called, self._call):
            _close(descriptor)


class _Refusal(Exception):
    """No worker was forked; kind is a word for programs."""

    def __init__(self, kind, text):
        super().__init__(text)
        self.kind = kind

    def message(self):
        return {"refused": self.kind, "message": str(self)}


def _import_late():
    """Imports what a worker imports when it first needs it: each would do so, and
    have it in memory of its own."""
    for name in _LATE:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def _send(link, message):
    try:
        link.send(json.dumps(message).encode())
    except OSError:
        os._exit(0)  # the supervisor is gone


def _close(descriptor):
    """Returns None, which stands for a closed one."""
    if descriptor is not None:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _descriptors():
    """All that are open, without the one that the look itself needs."""
    return {int(name) for name in os.listdir("/proc/self/fd") if _is_open(int(name))}


def _is_open(descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _reseed():
    """Gives numpy's global generator a state of its own; Python's random has one
    already."""
    random = sys.modules.get("numpy.random")
    if random is not None:
        random.seed()
