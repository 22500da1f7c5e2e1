"""How a worker ends: asked to, left alone, or by accident."""

import contextlib
import os
import signal
import sys
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2
from worker_process import PATIENCE, Death, Failed, eventually, request

NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
GATE = """
from snakepit import Adapter, tool

class Own(Adapter):
    @tool
    def gate(self, entered: str, go: str):
        open(entered, "w").close()
        with open(go) as file:
            return file.read()

    def close(self):
        print("closed", end="")
"""


def test_term_of_an_idle_worker(start):
    worker = start().ready()
    worker.call("ping")
    worker.terminate()
    assert worker.wait() == 0
    assert worker.errors.read_text() == ""


def test_term_ends_watchers_and_telemetry(start):
    worker = start("--grace", "3600").ready()
    statuses = worker.watch_health()
    events = worker.stub.StreamTelemetry(iter([]), timeout=PATIENCE)
    for _ in range(50):
        worker.call("ping")
    next(events)  # it is open
    worker.terminate()
    assert [answer.status for answer in statuses] == [NOT_SERVING]
    list(events)
    assert worker.wait() == 0


def test_term_lets_a_running_call_finish(start_adapter, fifo):
    worker = start_adapter(GATE, "--grace", "3600").ready()
    statuses = worker.watch_health()
    entered, go = fifo("entered"), fifo("go")
    values = {"entered": str(entered), "go": str(go)}
    running = worker.stub.ExecuteTool.future(request("gate", values), timeout=PATIENCE)
    entered.read_text()
    worker.terminate()
    assert next(statuses).status == NOT_SERVING
    with pytest.raises(grpc.RpcError) as caught:
        refused(worker)
    # gRPC cancels a call that arrives while it closes its listener.
    assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    go.write_text("on")
    assert running.result(PATIENCE).result.value == b'"on"'
    assert worker.wait() == 0
    assert worker.output.read_text() == "closed"


def refused(worker):
    # The server closes its listener a moment after it said NOT_SERVING.
    for _ in range(10_000):
        with contextlib.suppress(Failed):
            worker.call("gate", timeout=PATIENCE, wrong="parameter")


def test_stream_finishes_after_term(start):
    worker = start("--grace", "3600").ready()
    stream = worker.stream("stream", count=3, delay=0.05)
    next(stream)
    worker.terminate()
    assert len(list(stream)) == 3  # two items and the end
    assert worker.wait() == 0


def test_grace_ends(start):
    worker = start("--grace", "0.2").ready()
    statuses = worker.watch_health()
    running = worker.stub.ExecuteTool.future(request("hang", {}))
    waiting = worker.stub.ExecuteTool.future(request("sleep", {"seconds": 3600}))
    worker.call("ping")
    worker.terminate()
    list(statuses)
    for call in (running, waiting):
        assert call.exception(PATIENCE) is not None
    assert worker.wait() == 0


def test_second_term_ends_at_once(start_adapter, fifo):
    worker = start_adapter(GATE, "--grace", "3600").ready()
    statuses = worker.watch_health()
    entered = fifo("entered")
    values = {"entered": str(entered), "go": str(fifo("go"))}
    running = worker.stub.ExecuteTool.future(request("gate", values))
    entered.read_text()
    worker.terminate()
    assert next(statuses).status == NOT_SERVING
    worker.terminate()
    assert worker.wait() == -signal.SIGTERM
    assert running.exception(PATIENCE) is not None


def test_close_that_raises(start_adapter):
    worker = start_adapter(GATE + "        raise ValueError('in close')").ready()
    worker.terminate()
    assert worker.wait() == 0
    assert "ValueError: in close" in worker.errors.read_text()


def test_sigint_is_for_the_supervisor(start):
    worker = start().ready()
    worker.process.send_signal(signal.SIGINT)
    assert worker.call("ping") == "pong"
    worker.terminate()
    assert worker.wait() == 0


def hanging_import(fifo):
    entered = fifo("importing")
    return entered, f"import time; open({str(entered)!r}, 'w').close(); time.sleep(3600)"


def test_term_during_a_hanging_import(start_adapter, fifo):
    entered, source = hanging_import(fifo)
    worker = start_adapter(source)
    entered.read_text()
    worker.terminate()
    assert worker.wait() == -signal.SIGTERM
    assert worker.report() == b""


def test_lifeline_during_a_hanging_import(start_adapter, fifo):
    entered, source = hanging_import(fifo)
    worker = start_adapter(source)
    entered.read_text()
    worker.cut_lifeline()
    assert worker.wait() == -signal.SIGKILL
    assert "supervisor is gone" in worker.errors.read_text()


def test_lifeline_ends_the_whole_group(start):
    worker = start().ready()
    child = worker.call("spawn_child", ignore_term=True)["pid"]
    death = Death(child)
    worker.cut_lifeline()
    assert worker.wait() == -signal.SIGKILL
    assert death.wait()
    assert worker.errors.read_text() == "snakepit worker: supervisor is gone, ending\n"


def test_lifeline_beside_a_hanging_tool(start):
    worker = start().ready()
    running = worker.stub.ExecuteTool.future(request("hang", {}))
    worker.call("ping")
    worker.cut_lifeline()
    assert worker.wait() == -signal.SIGKILL
    assert running.exception(PATIENCE) is not None


def test_a_sibling_does_not_hold_the_lifeline(start):
    first, second = start().ready(), start().ready()
    child = second.call("spawn_child", setsid=True)["pid"]
    first.cut_lifeline()
    assert first.wait() == -signal.SIGKILL
    assert second.call("ping") == "pong"
    os.kill(child, 0)


@linux
def test_children_inherit_the_marker_and_no_channel(start):
    worker = start().ready()
    child = Path("/proc", str(worker.call("spawn_child")["pid"]))
    environment = (child / "environ").read_bytes().split(b"\0")
    names = {entry.partition(b"=")[0] for entry in environment}
    assert f"SNAKEPIT_RUN_ID={worker.run_id}".encode() in environment
    assert not names & {b"SNAKEPIT_READY_FD", b"SNAKEPIT_LIFELINE_FD", b"SNAKEPIT_READY_FILE"}
    assert b"snakepit" not in (child / "cmdline").read_bytes()
    pipes = {os.readlink(entry) for entry in (child / "fd").iterdir()}
    ours = {f"pipe:[{inode}]" for inode in (worker.lifeline_pipe, worker.ready_pipe)}
    assert not pipes & ours
    lifeline = f"pipe:[{worker.lifeline_pipe}]"
    held = {os.readlink(entry): entry for entry in Path(f"/proc/{worker.pid}/fd").iterdir()}
    assert f"pipe:[{worker.ready_pipe}]" not in held
    # Popen closes what it does not pass on; other ways to start a program obey
    # the flag only.
    information = Path(f"/proc/{worker.pid}/fdinfo", held[lifeline].name).read_text()
    flags = next(line for line in information.splitlines() if line.startswith("flags:"))
    assert int(flags.split()[1], 8) & os.O_CLOEXEC


def test_spawn_child_modes(start):
    worker = start().ready()
    obedient = worker.call("spawn_child")["pid"]
    deaf = worker.call("spawn_child", ignore_term=True, setsid=True)["pid"]
    assert os.getpgid(obedient) == worker.pid
    assert os.getsid(deaf) == deaf
    death = Death(obedient)
    os.kill(deaf, signal.SIGTERM)
    os.kill(obedient, signal.SIGTERM)
    assert death.wait()
    os.kill(deaf, 0)


def test_crash_shows_its_stack(start):
    worker = start().ready()
    worker.call("log", message="last words")
    with pytest.raises(grpc.RpcError):
        worker.call("crash")
    assert worker.wait() == -signal.SIGSEGV
    assert worker.output.read_text() == "last words\n"
    assert "Fatal Python error: Segmentation fault" in worker.errors.read_text()
    assert "in crash" in worker.errors.read_text()


def test_exit(start):
    worker = start().ready()
    with pytest.raises(grpc.RpcError):
        worker.call("exit", code=9)
    assert worker.wait() == 9


@pytest.mark.parametrize("hold_gil", [False, True])
def test_stacks_on_sigusr1(start, hold_gil):
    worker = start().ready()
    running = worker.stub.ExecuteTool.future(request("hang", {"hold_gil": hold_gil}))
    for dumps in range(1, 100):
        # One dump after the other, because a dump reads stacks that may move
        # under it. The main thread's outermost frame is its last line.
        worker.process.send_signal(signal.SIGUSR1)
        assert eventually(lambda: worker.errors.read_text().count("in <module>") >= dumps)  # noqa: B023
        if "in hang" in worker.errors.read_text():
            break
    assert "in hang" in worker.errors.read_text() and not running.done()
    if not hold_gil:
        assert worker.call("ping") == "pong"
