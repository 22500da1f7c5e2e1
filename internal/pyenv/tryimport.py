"""Imports an adapter as a worker would, says what came of it, and ends.

It reads one JSON object: the worker's package as text, so that nothing has to be
written anywhere, and the adapter to import.
"""

import faulthandler
import importlib.abc
import importlib.util
import inspect
import json
import os
import sys
import threading
import time

BEGAN = time.monotonic()
told = json.load(sys.stdin)
sys.path[:] = [entry for entry in sys.path if entry]  # "" is the working directory


class Embedded(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of the worker's package in what was told."""

    def find_spec(self, name, path=None, target=None):
        base = name.replace(".", "/")
        for file, package in ((base + "/__init__.py", True), (base + ".py", False)):
            if file in told["sources"]:
                return importlib.util.spec_from_loader(
                    name, self, origin="<snakepit>/" + file, is_package=package
                )
        return None

    def exec_module(self, module):
        module.__file__ = module.__spec__.origin
        source = told["sources"][module.__file__.partition("/")[2]]
        exec(compile(source, module.__file__, "exec"), vars(module))


def answer(**fields):
    line = "\nsnakepit-import:" + json.dumps(fields) + "\n"
    os.write(1, line.encode("utf-8", "backslashreplace"))
    # Threads that an adapter has started must not keep the process.
    os._exit(0)


def watch():
    """Has the stacks written when all of this takes long."""
    left = told["stacks_after"] - (time.monotonic() - BEGAN)
    faulthandler.dump_traceback_later(max(0.05, left), exit=False)


def threads():
    """How many the kernel counts, 0 where it does not say."""
    # It has a thread, whose end is told a moment before the kernel has ended it, and
    # nothing tells when it has.
    faulthandler.cancel_dump_traceback_later()
    for _ in range(100):
        try:
            count = len(os.listdir("/proc/self/task"))
        except OSError:
            return 0
        if count == 1:
            break
        time.sleep(0.002)
    return count


def versions():
    from importlib import metadata

    found = {}
    for name in told["packages"]:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "unknown version"
    return found


def peak_bytes():
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def could_be_made(kind):
    """Raises StartFailure for a class that cannot be called without arguments."""
    from snakepit.failures import StartFailure

    missing = ", ".join(sorted(getattr(kind, "__abstractmethods__", ())))
    if missing:
        raise StartFailure(
            "adapter_invalid",
            f"the class {kind.__name__} is abstract, it lacks: {missing}",
            "write what it lacks, or name a class that has it",
        )
    try:
        signature = inspect.signature(kind)
    except (TypeError, ValueError):
        return  # nothing tells
    try:
        signature.bind()
    except TypeError as error:
        raise StartFailure(
            "adapter_invalid",
            f"the constructor of the adapter {kind.__name__} is called without arguments: {error}",
            "give its arguments defaults",
        ) from None


def main():
    sys.meta_path.insert(0, Embedded())
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # as the worker does
    faulthandler.enable()
    watch()
    from snakepit import loader, server
    from snakepit.failures import StartFailure

    began = time.monotonic()
    try:
        server._import_worker()
        before = threads()
        watch()
        sys.path[1:1] = told["python_path"]
        kind = loader._class(loader._import(told["module"]), told["class"])
        could_be_made(kind)
        # Its constructor is not run: that may load a model, or call home.
        loader._tools(object.__new__(kind), told["class"])
    except StartFailure as failure:
        answer(kind=failure.kind, message=failure.message, hint=failure.hint)
    seconds = time.monotonic() - began
    answer(
        packages=versions(),
        seconds=seconds,
        threads_before=before,
        threads=threads(),
        thread_names=[t.name for t in threading.enumerate() if t is not threading.main_thread()],
        peak_bytes=peak_bytes(),
    )


main()
