"""The life of a worker's process. This module imports no package that may be
missing, so that it can say which one is."""

import contextlib
import os
import signal
import sys
import traceback

from snakepit import lifeline, loader, options, ready
from snakepit.failures import StartFailure

PACKAGES = "grpcio grpcio-health-checking protobuf"


def main(arguments):
    """Runs a worker with these arguments; ends the process."""
    channel, birth = ready.Channel(), None
    try:
        channel.claim()
        chosen = options.parse(arguments)
        _settle(chosen.run_id)
        if chosen.forkserver:
            birth = _fork_workers(chosen)
            channel = birth.channel
        worker = _start(chosen, channel, birth)
    except StartFailure as failure:
        channel.fail(failure)
        _leave(2 if failure.kind == "usage" else 1)
    except BaseException as error:  # whatever it is, the supervisor shall hear of it
        message = f"the worker failed: {type(error).__name__}: {error}"
        channel.fail(StartFailure("internal", message, trace=traceback.format_exc()))
        _leave(1)
    if worker is not None:
        worker.wait_for_end()
    _leave(0)


def _fork_workers(chosen):
    """Returns in each forked worker."""
    from snakepit import forkserver

    def prepare():
        _import_worker()
        _extend_path(chosen)

    return forkserver.serve(chosen, prepare)


def _start(chosen, channel, birth):
    """The worker, when it serves; None when it stood by and is not needed."""
    rope = birth.rope if birth else ready.claim_descriptor("SNAKEPIT_LIFELINE_FD")
    if rope is not None:
        lifeline.watch(rope)  # before the adapter's import, which may hang
    Worker = _import_worker()
    if not birth:
        _extend_path(chosen)
    adapter, tools = loader.load(*chosen.adapter)
    worker = Worker(adapter, chosen.grace)
    try:
        worker.prepare(tools, chosen)
        if birth and birth.seat and not birth.seat.wait(chosen, worker.termination):
            worker.close()
            return None
        channel.succeed(worker.serve(chosen))
    except BaseException:
        worker.close()
        raise
    return worker


def _extend_path(chosen):
    # After our own packages, which a file of the user's must not hide.
    sys.path[1:1] = chosen.python_path


def _settle(run_id):
    if os.getsid(0) != os.getpid():
        # Refused to the leader of a group; leading a group is good enough.
        with contextlib.suppress(PermissionError):
            os.setsid()
    # Ctrl-C in a terminal is for the supervisor. A handler that does nothing,
    # and not SIG_IGN, because that would be inherited by programs we start.
    signal.signal(signal.SIGINT, lambda *_: None)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    if run_id:
        os.environ["SNAKEPIT_RUN_ID"] = run_id  # marks all descendants
    # gRPC's fork handlers make children of a busy process crash or hang at
    # birth (grpc/grpc#22624); a tool that uses multiprocessing forks.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")


def _import_worker():
    hint = f"{sys.executable} -m pip install {PACKAGES}"
    try:
        from snakepit.worker import Worker
    except ModuleNotFoundError as error:
        name = _distribution(error.name or "")
        message = f"the Python package {name} is not installed for {sys.executable}"
        raise StartFailure("missing_package", message, hint) from None
    except Exception as error:  # half installed, or versions that do not fit
        trace = traceback.format_exc()
        message = f"a Python package does not work with {sys.executable}: {error}"
        hint = hint.replace("install", "install --upgrade --force-reinstall", 1)
        raise StartFailure("missing_package", message, hint, trace) from None
    return Worker


def _distribution(module):
    names = {"grpc": "grpcio", "grpc_health": "grpcio-health-checking", "google": "protobuf"}
    return names.get(module.partition(".")[0], module)


def _leave(status):
    """Ends the process without the interpreter's slow and risky teardown."""
    for stream in (sys.stdout, sys.stderr):
        # It may be None or closed, or nobody reads it any more.
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.flush()
    os._exit(status)
