"""Whether the source files of what was imported have changed since.

A process that imported them before serves old code to whoever has edited them
and restarts a worker to see it.
"""

import os
import site
import sys
import sysconfig
import time

# How far the time of a file may be behind the clock (the kernel's tick).
_TICK = 20_000_000


class Sources:
    """The files of the modules that are imported from outside of the standard
    library and of site-packages, as they were when they were imported, and the
    directories of site-packages, which change when a package is installed."""

    def __init__(self):
        packages = _package_directories()
        self._settled = (*_library_directories(), *packages)
        self._last = next(reversed(sys.modules))  # before it: ours, and what we import
        self._seen = {path: _state(path) for path in packages}
        self.begin()

    def begin(self):
        """Says that what note() finds next is imported from now on."""
        self._since = time.time_ns() - _TICK

    def note(self):
        """Looks at what was imported since. It does not touch what was there before:
        in a fork that would copy the memory in which it lies."""
        new = []
        for name in reversed(sys.modules):
            if name == self._last:
                break
            new.append(name)
        self._last = new[0] if new else self._last
        for name in new:
            path = getattr(sys.modules.get(name), "__file__", None)
            if path and not path.startswith(self._settled) and path not in self._seen:
                state = _state(path)
                # Written while we imported: before or after it was read, who knows.
                self._seen[path] = None if state and state[0] >= self._since else state

    def changed(self):
        """A file or directory that is not as it was; None when all are."""
        for path, before in self._seen.items():
            if _state(path) != before:
                return path
        return None


def _state(path):
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _library_directories():
    named = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
    return tuple(os.path.join(path, "") for path in named if path)


def _package_directories():
    named = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    named.update(site.getsitepackages())
    return tuple(os.path.join(path, "") for path in named if path and os.path.isdir(path))
