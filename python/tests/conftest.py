"""Fixtures that start real workers. Whatever a test starts is killed when it
ends, descendants included."""

import os

import pytest
from fork_process import ForkServerProcess
from worker_process import WorkerProcess


@pytest.fixture
def start(tmp_path):
    """start(*arguments, ...) makes a WorkerProcess."""
    started = []

    def make(*arguments, **options):
        started.append(WorkerProcess(tmp_path, *arguments, **options))
        return started[-1]

    yield make
    for worker in started:
        worker.destroy()


@pytest.fixture
def start_adapter(tmp_path, start):
    """start_adapter(source, *arguments) runs the class Own of a module with
    this source."""

    def make(source, *arguments, **options):
        (tmp_path / "own.py").write_text(source)
        path = ["--python-path", str(tmp_path), "--adapter", "own:Own"]
        return start(*path, *arguments, **options)

    return make


@pytest.fixture
def fork_server(tmp_path):
    """fork_server(source, *arguments) makes a ForkServerProcess, for the class Own
    of a module with this source, or for the showcase adapter."""
    started = []

    def make(source=None, *arguments, **options):
        if source is not None:
            (tmp_path / "own.py").write_text(source)
            arguments = ("--python-path", str(tmp_path), "--adapter", "own:Own", *arguments)
        started.append(ForkServerProcess(tmp_path, *arguments, **options))
        return started[-1]

    yield make
    for server in started:
        server.close()


@pytest.fixture(scope="module")
def showcase(tmp_path_factory):
    """One ready worker with the showcase adapter for all tests of a module."""
    worker = WorkerProcess(tmp_path_factory.mktemp("showcase"))
    try:
        yield worker.ready()
    finally:
        worker.destroy()


@pytest.fixture
def fifo(tmp_path):
    """fifo(name) makes a named pipe: opening it waits for the other side."""

    def make(name):
        os.mkfifo(tmp_path / name)
        return tmp_path / name

    return make
