"""Workers that are forked, and the process that forks them."""

import json
import os
import signal
import sys
import time

import pytest
from worker_process import Death, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")

OWN = """
import os
from snakepit import Adapter, tool

VERSION = 1

class Own(Adapter):
    @tool
    def version(self) -> int:
        return VERSION

    @tool
    def variable(self, name: str) -> str:
        return os.environ[name]

    @tool
    def environment(self, name: str) -> str:
        import subprocess
        return subprocess.run(["sh", "-c", "echo $" + name], capture_output=True, text=True).stdout

    def close(self):
        print("closed")
"""


def edited(path, before, after):
    path.write_text(path.read_text().replace(before, after))


def test_a_worker_like_any_other(fork_server):
    server = fork_server().ready()
    worker = server.fork(worker="default-7", port=0).connect()
    ids = worker.call("pid")
    assert ids == {"pid": worker.pid, "ppid": os.getpid(), "pgid": worker.pid, "sid": worker.pid}
    words = worker.see("cmdline")
    assert words[words.index("--worker-id") + 1] == "default-7"
    assert words[words.index("--snakepit-run-id") + 1] == server.run_id
    assert "--forkserver" not in words
    marks = [entry for entry in worker.see("environ") if entry.startswith("SNAKEPIT_")]
    assert f"SNAKEPIT_RUN_ID={server.run_id}" in marks
    assert "SNAKEPIT_WORKER_ID=default-7" in marks
    worker.call("log", message="its own words")
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait() == 0
    assert worker.output.read_text() == "its own words\n"
    assert server.output.read_text() == ""


def test_descendants_inherit_its_marker(fork_server):
    worker = fork_server(OWN).ready().fork(worker="default-12").connect()
    assert worker.call("environment", name="SNAKEPIT_WORKER_ID") == "default-12\n"
    assert worker.call("variable", name="SNAKEPIT_WORKER_ID") == "default-12"
    assert worker.call("environment", name="SNAKEPIT_FORK_FD") == "\n"


def test_descriptors_are_its_own(fork_server):
    server = fork_server().ready()
    workers = [server.fork(worker=f"default-{i}").connect() for i in range(3)]
    stand_by = server.stand_by()
    for worker in [*workers, stand_by]:
        inherited = {name for name in worker.open_files() if name.startswith("pipe:")}
        for other in workers:
            if other is not worker:
                theirs = f"pipe:[{os.fstat(other.lifeline).st_ino}]"
                assert theirs not in inherited
                assert str(other.output) not in worker.open_files()
        # Its lifeline, and the two ends of the pipe that wakes it.
        own = {f"pipe:[{os.fstat(worker.lifeline).st_ino}]"}
        assert len(inherited - own) == (2 if worker is stand_by else 1)
    # The forkserver has kept nothing: each pipe has but one reader.
    held = os.listdir(f"/proc/{server.pid}/fd")
    assert len(held) == 4, held


def test_lifeline_of_one_ends_one(fork_server):
    server = fork_server().ready()
    first, second = server.fork(worker="default-0"), server.fork(worker="default-1")
    second.connect()
    os.close(first.lifeline)
    first.lifeline = os.open(os.devnull, os.O_RDONLY)
    assert first.wait() == -signal.SIGKILL
    assert second.call("ping") == "pong"


def test_stacks_go_to_its_own_output(fork_server):
    worker = fork_server().ready().fork().connect()
    os.kill(worker.pid, signal.SIGUSR1)
    assert eventually(lambda: "Current thread" in worker.output.read_text())


RANDOM = """
import random
from snakepit import Adapter, tool
import numpy.random

class Own(Adapter):
    @tool
    def numbers(self) -> list:
        return [random.random(), numpy.random.state]
"""


def test_random_states_differ(fork_server, tmp_path):
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy/__init__.py").touch()
    source = "import os\nstate = 0\ndef seed():\n    global state\n    state = os.getpid()\n"
    (tmp_path / "numpy/random.py").write_text(source)
    server = fork_server(RANDOM, "--preload").ready()
    one, two = (server.fork(worker=f"default-{i}").connect() for i in range(2))
    first, second = one.call("numbers"), two.call("numbers")
    assert first[0] != second[0]
    assert (first[1], second[1]) == (one.pid, two.pid)


THREAD = """
import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
"""


def test_threads_are_refused(fork_server):
    server = fork_server(THREAD + OWN, "--preload").ready()
    server.ask()
    assert server.hear() == {
        "refused": "threads",
        "message": "it has 2 threads, and a fork would have one",
    }


def test_subreaper_is_refused(fork_server):
    reaper = "import ctypes; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\n"
    server = fork_server(reaper + OWN, "--preload").ready()
    server.ask()
    assert server.hear()["refused"] == "subreaper"


def test_preloaded_once(fork_server, tmp_path):
    source = f"print(open({str(tmp_path / 'own.py')!r}).readline(), flush=True)\n"
    server = fork_server(source + OWN, "--preload").ready()
    worker = server.fork().connect()
    assert worker.call("version") == 1
    assert "print" not in worker.output.read_text() and "print" in server.output.read_text()


def test_preloaded_code_that_has_changed(fork_server, tmp_path):
    server = fork_server(OWN, "--preload").ready()
    assert server.fork().connect().call("version") == 1
    edited(tmp_path / "own.py", "VERSION = 1", "VERSION = 2")
    server.ask()
    answer = server.hear()
    assert answer["refused"] == "stale" and str(tmp_path / "own.py") in answer["message"]


def test_without_preload_each_worker_imports(fork_server, tmp_path):
    server = fork_server(OWN).ready()
    assert server.fork(worker="default-0").connect().call("version") == 1
    edited(tmp_path / "own.py", "VERSION = 1", "VERSION = 2  #")
    assert server.fork(worker="default-1").connect().call("version") == 2


def test_what_the_adapter_opened_stays_open(fork_server, tmp_path):
    (tmp_path / "data").write_text("of the adapter")
    source = OWN + f"    FILE = open({str(tmp_path / 'data')!r})\n"
    source += "    @tool\n    def read(self) -> str:\n        return self.FILE.read()\n"
    worker = fork_server(source, "--preload").ready().fork().connect()
    assert worker.call("read") == "of the adapter"


def test_a_failing_preload_is_told_by_the_worker(fork_server):
    server = fork_server("raise ValueError('broken')", "--preload").ready()
    worker = server.fork()
    report = worker.report()
    assert (report["ready"], report["kind"]) == (False, "adapter_import")
    assert "ValueError: broken" in worker.output.read_text()
    assert "ValueError: broken" in server.output.read_text()
    assert worker.wait() == 1


def test_stand_by(fork_server):
    server = fork_server(OWN).ready()
    worker = server.stand_by()
    assert "SNAKEPIT_WORKER_ID=default-next" in worker.see("environ")
    assert worker.assign("default-3") == {"taken": True}
    worker.connect()
    assert "SNAKEPIT_WORKER_ID=default-3" in worker.see("environ")
    words = worker.see("cmdline")
    assert words[words.index("--worker-id") + 1] == "default-3"
    assert worker.call("environment", name="SNAKEPIT_WORKER_ID") == "default-3\n"


@pytest.mark.parametrize("preload", [(), ("--preload",)])
def test_stand_by_with_old_code(fork_server, tmp_path, preload):
    server = fork_server("import part\n" + OWN, *preload)
    (tmp_path / "part.py").write_text("x = 1")
    os.utime(tmp_path / "part.py", (1, 1))
    worker = server.ready().stand_by()
    (tmp_path / "part.py").write_text("x = 2")
    assert worker.assign("default-0") == {"stale": str(tmp_path / "part.py")}
    assert worker.wait() == 0
    assert "closed" in worker.output.read_text()


def test_stand_by_with_code_that_was_edited_before(fork_server, tmp_path):
    server = fork_server(OWN).ready()
    edited(tmp_path / "own.py", "VERSION = 1", "VERSION = 2  #")
    # The forkserver began before the edit, the stand-by after it.
    eventually(lambda: time.time_ns() - os.stat(tmp_path / "own.py").st_mtime_ns > 10**8)
    worker = server.stand_by()
    assert worker.assign("default-0") == {"taken": True}
    assert worker.connect().call("version") == 2


def test_sources_of_an_adapter_that_removes_modules(fork_server, tmp_path):
    source = OWN + "\n    def __init__(self):\n        import sys\n"
    source += "        for name in ('random', 'logging', 'subprocess', 'unicodedata'):\n"
    source += "            sys.modules.pop(name, None)\n        import part\n"
    (tmp_path / "part.py").write_text("x = 1")
    os.utime(tmp_path / "part.py", (1, 1))
    worker = fork_server(source, "--preload").ready().stand_by()
    (tmp_path / "part.py").write_text("x = 2")
    assert worker.assign("default-0") == {"stale": str(tmp_path / "part.py")}


def test_programs_of_a_worker_inherit_no_descriptor(fork_server, tmp_path):
    seen = tmp_path / "seen"
    source = f"import os\nos.system('ls -l /proc/self/fd >{seen}')\n" + OWN
    server = fork_server(source).ready()
    for make in (lambda: server.fork().connect(), server.stand_by):
        worker = make()
        files = seen.read_text()
        assert f"pipe:[{os.fstat(worker.ready_read).st_ino}]" not in files
        assert f"pipe:[{os.fstat(worker.lifeline).st_ino}]" not in files
        assert "socket:" not in files


@pytest.mark.parametrize("how", ["term", "gone"])
def test_stand_by_ends(fork_server, how):
    worker = fork_server(OWN).ready().stand_by()
    if how == "term":
        os.kill(worker.pid, signal.SIGTERM)
    else:
        worker.our_seat.close()
    assert worker.wait() == 0
    assert worker.output.read_text() == "closed\n"


def test_it_ends_with_the_supervisor(fork_server):
    server = fork_server().ready()
    worker = server.fork().connect()
    server.link.close()
    assert server.process.wait(60) == 0
    assert worker.call("ping") == "pong"  # its death harms no worker


def test_it_ends_while_it_imports(fork_server, fifo):
    gate = fifo("gate")
    server = fork_server(f"open({str(gate)!r}).read()", "--preload")
    with open(gate, "w"):  # it imports
        server.link.close()
        assert server.process.wait(60) == -signal.SIGIO


def test_it_ends_before_it_imports(fork_server, fifo):
    server = fork_server(f"open({str(fifo('gate'))!r}).read()", "--preload")
    server.link.close()
    assert server.process.wait(60) in (0, -signal.SIGIO)


def test_a_worker_that_nobody_adopts(fork_server):
    server = fork_server().ready()
    server.ask()
    death = Death(server.hear()["pid"])
    server.link.close()
    assert death.wait()
    os.waitpid(-1, os.WNOHANG)


def test_a_fork_that_cannot_be(fork_server):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (5, 5))\n"
    server = fork_server(limit + OWN, "--preload").ready()
    server.ask()
    assert server.hear() == {"refused": "fork", "message": "cannot fork: Too many open files"}


def test_marker_without_room(fork_server):
    server = fork_server().ready()
    server.ask(worker="default-" + "9" * 200)
    answer = server.hear()
    assert answer["refused"] == "fork_marker" and "no room" in answer["message"]
    assert server.fork(worker="default-1").connect().call("ping") == "pong"


def test_json_line(fork_server):
    worker = fork_server().ready().fork()
    report = worker.report()
    port = report.pop("port")
    assert json.dumps(report) == json.dumps({"protocol": 1, "ready": True, "pid": worker.pid})
    assert 0 < port < 65536
