"""How a worker comes up, and how it says that it does not."""

import ast
import contextlib
import json
import os
import pathlib
import runpy
import socket
import sys

import grpc
import pytest
from grpc_health.v1 import health_pb2
from worker_process import ENTRY, Failed, eventually

from snakepit import bridge_pb2

HELLO = """
from snakepit import Adapter, tool

class Own(Adapter):
    @tool
    def greet(self, name: str, times: int = 1) -> str:
        "Greets somebody."
        return " ".join([f"Hello, {name}!"] * times)

    @tool
    def count(self, to: int):
        yield from range(1, to + 1)
"""


def test_ready_line(start):
    worker = start()
    text = worker.report()
    assert text.endswith(b"\n") and text.count(b"\n") == 1
    report = json.loads(text)
    port = report.pop("port")
    assert report == {"protocol": 1, "ready": True, "pid": worker.pid}
    worker.connect(port)
    assert worker.call("ping") == "pong"


def test_given_port(start):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert start("--port", str(port)).ready().port == port


def test_ten_line_adapter(start_adapter):
    worker = start_adapter(HELLO).ready()
    assert worker.call("greet", name="Ada", times=2) == "Hello, Ada! Hello, Ada!"
    assert [json.loads(chunk.data) for chunk in worker.stream("count", to=3) if chunk.data] == [
        1,
        2,
        3,
    ]
    with pytest.raises(Failed, match=r"greet\(name: str, times: int = 1\)"):
        worker.call("greet", times=2)


def test_health(showcase):
    for service in ("", "snakepit.bridge.BridgeService"):
        answer = showcase.health.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    unknown = health_pb2.HealthCheckRequest(service="unknown")
    with pytest.raises(grpc.RpcError) as caught:
        showcase.health.Check(unknown)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    answers = [answer.status for answer in showcase.health.Watch(unknown)]
    assert answers == [health_pb2.HealthCheckResponse.SERVICE_UNKNOWN]


def test_watchers_do_not_take_all_threads(showcase):
    watches = [showcase.watch_health() for _ in range(4)]
    with pytest.raises(grpc.RpcError) as caught:
        showcase.watch_health()
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    for watch in watches:
        watch.cancel()

    def room():
        with contextlib.suppress(grpc.RpcError):
            return [showcase.watch_health() for _ in range(4)]

    assert eventually(room)


def test_leads_its_session(showcase):
    ids = showcase.call("pid")
    assert (ids["pid"], ids["pgid"], ids["sid"]) == (showcase.pid,) * 3
    assert ids["ppid"] == os.getpid()


def test_makes_itself_leader_of_a_session(start):
    worker = start(leader=False).ready()
    ids = worker.call("pid")
    assert (ids["pgid"], ids["sid"]) == (worker.pid,) * 2


def test_ready_file(start, tmp_path):
    ready_file = tmp_path / "ready"
    ready_file.touch()  # as the stock host does: empty means "not yet"
    worker = start(environment={"SNAKEPIT_READY_FILE": str(ready_file)}, channels=False)
    assert eventually(lambda: ready_file.read_text() or worker.process.poll() is not None)
    worker.connect(int(ready_file.read_text()))
    assert worker.call("ping") == "pong"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("ready")] == ["ready"]


def test_no_channel_at_all(start, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    worker = start("--port", str(port), channels=False)
    worker.connect(port)
    ping = bridge_pb2.PingRequest(message="hi")
    assert worker.stub.Ping(ping, wait_for_ready=True, timeout=60).message == "hi"


@pytest.mark.parametrize(
    ("source", "kind", "message", "hint", "errors"),
    [
        ("import no_such_thing.sub", "adapter_missing_package", "needs 'no_such_thing'",
         "-m pip install no_such_thing", "own.py"),
        ("x = 1", "adapter_class_not_found", "no class 'Own'; it has no adapters", "", ""),
        ("from snakepit import Adapter\nclass One(Adapter): pass\nclass Two(Adapter): pass",
         "adapter_class_not_found", "its adapters are: One, Two", "--adapter own:One", ""),
        ("\n\nraise ValueError('two\\nlines')", "adapter_import",
         "raised ValueError: two lines (", "", "raise ValueError('two"),
        ("def (:", "adapter_import", "SyntaxError: ", "", "def (:"),
        ("import sys; sys.exit(3)", "adapter_exit", "sys.exit(3) (", "__main__", "own.py"),
        ("class Own: pass", "adapter_invalid", "own:Own is no subclass of snakepit.Adapter",
         "from snakepit import Adapter", ""),
        ("def Own(): pass", "adapter_invalid", "is no subclass", "", ""),
        ("from snakepit import Adapter\nclass Own(Adapter): pass", "adapter_invalid",
         "has no tools", "@tool", ""),
        (HELLO.replace("to: int", "to: complex"), "adapter_invalid",
         "parameter 'to': the type complex", "", ""),
        (HELLO.replace("def count", "async def count").replace("yield from", "return"),
         "adapter_invalid", "async def is not supported", "", ""),
        (HELLO + "    def __init__(self): 1 / 0", "adapter_invalid",
         "constructor of the adapter Own raised ZeroDivisionError: division by zero (", "",
         "def __init__(self): 1 / 0"),
        (HELLO + "    def __init__(self): raise SystemExit('no')", "adapter_exit",
         "constructor of the adapter Own ended the process: sys.exit('no')", "", "SystemExit: no"),
    ],
)  # fmt: skip
def test_adapter_failures(start_adapter, source, kind, message, hint, errors):
    worker = start_adapter(source)
    report, code = worker.failure()
    assert (report["protocol"], report["ready"], report["kind"]) == (1, False, kind)
    assert message in report["message"] and "\n" not in report["message"]
    assert hint in report["hint"]
    shown = worker.errors.read_text()
    assert errors in shown and report["message"] in shown
    assert "importlib" not in shown and "loader.py" not in shown
    assert code == 1


def test_adapter_place(start_adapter, tmp_path):
    report, _ = start_adapter("\n\nraise ValueError").failure()
    assert report["message"].endswith(f"({tmp_path / 'own.py'}:3)")


@pytest.mark.parametrize("adapter", ["absent:Own", "absent.sub:Own", "absent.sub.Own"])
def test_adapter_not_found(start, tmp_path, adapter):
    report, code = start("--adapter", adapter, "--python-path", str(tmp_path)).failure()
    assert (report["kind"], code) == ("adapter_not_found", 1)
    assert str(tmp_path) in report["message"] and "--python-path" in report["hint"]


def test_exit_during_import_closes_the_channel(start_adapter):
    worker = start_adapter("import os; os._exit(7)")
    assert worker.report() == b""
    assert worker.wait() == 7


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("grpc", "grpcio"),
        ("google.protobuf", "protobuf"),
        ("grpc_health", "grpcio-health-checking"),
    ],
)
def test_missing_package(start, module, package):
    runner = (
        f"import sys, runpy; sys.modules[{module!r}] = None; sys.argv[0] = {str(ENTRY)!r};"
        f" sys.path.insert(0, {str(ENTRY.parent)!r});"
        " runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    report, code = start(command=[sys.executable, "-c", runner]).failure()
    assert (report["kind"], code) == ("missing_package", 1)
    assert (
        report["message"] == f"the Python package {package} is not installed for {sys.executable}"
    )
    install = "-m pip install grpcio grpcio-health-checking protobuf"
    assert report["hint"] == f"{sys.executable} {install}"


def test_python_without_site_packages(start):
    report, _ = start(command=[sys.executable, "-S", str(ENTRY)]).failure()
    assert report["kind"] == "missing_package"


def test_package_that_does_not_work(start, tmp_path):
    (tmp_path / "grpc_health").mkdir()
    (tmp_path / "grpc_health" / "__init__.py").write_text("raise RuntimeError('wrong version')")
    worker = start(environment={"PYTHONPATH": str(tmp_path)})
    report, _ = worker.failure()
    assert report["kind"] == "missing_package"
    assert "wrong version" in report["message"] and "--force-reinstall" in report["hint"]


def test_python_too_old(monkeypatch, capsys):
    reader, writer = os.pipe()
    monkeypatch.setenv("SNAKEPIT_READY_FD", str(writer))
    monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(ENTRY), run_name="__main__")
    monkeypatch.undo()
    os.close(writer)
    with os.fdopen(reader) as file:
        report = json.loads(file.read())
    assert caught.value.code == 1
    assert (report["protocol"], report["ready"], report["kind"]) == (1, False, "python_too_old")
    assert "Python 3.9 is too old, snakepit needs 3.10" in report["message"]
    assert report["message"] in capsys.readouterr().err


def test_old_pythons_can_read_the_entry_point():
    source = ENTRY.read_text()
    ast.parse(source, feature_version=(3, 6))
    assert 'f"' not in source and "f'" not in source


@pytest.mark.parametrize("arguments", [["--no-such"], ["--port", "70000"], ["--port"]])
def test_usage(start, arguments):
    worker = start(command=[sys.executable, str(ENTRY), "--snakepit-run-id", "x", *arguments])
    report, code = worker.failure()
    assert (report["kind"], code) == ("usage", 2)
    assert arguments[0] in worker.errors.read_text() and "usage: " in report["hint"]


def test_lifeline_that_is_none(start):
    worker = start(environment={"SNAKEPIT_LIFELINE_FD": "999"}, channels=False)
    assert worker.wait() == 1
    assert "SNAKEPIT_LIFELINE_FD=999 is no open descriptor" in worker.errors.read_text()


@pytest.mark.parametrize(
    ("listening", "host"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "0.0.0.0"),
        ("0.0.0.0", "127.0.0.1"),
        ("0.0.0.0", "0.0.0.0"),
        ("::1", "::1"),
        ("::", "0.0.0.0"),
    ],
)
def test_port_in_use(start, listening, host):
    family = socket.AF_INET6 if ":" in listening else socket.AF_INET
    with socket.socket(family) as holder:
        if family == socket.AF_INET6:
            holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            holder.bind((listening, 0))
        except OSError:
            pytest.skip("no IPv6 here")
        holder.listen()
        port = holder.getsockname()[1]
        worker = start("--host", host, "--port", str(port))
        report, code = worker.failure()
    assert (report["kind"], code) == ("port_in_use", 1)
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    assert report["message"] == f"cannot bind {where}: the port is in use"
    assert worker.errors.read_text() == f"snakepit worker: {report['message']}\n"


def test_ipv6(start):
    if not socket.has_ipv6 or not pathlib.Path("/proc/net/if_inet6").exists():
        pytest.skip("no IPv6 here")
    worker = start("--host", "::1")
    report = json.loads(worker.report())
    worker.connect(report["port"], "[::1]")
    assert worker.call("ping") == "pong"


def test_port_is_not_shared(showcase):
    with socket.socket() as second:
        second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with pytest.raises(OSError, match="in use"):
            second.bind(("127.0.0.1", showcase.port))


@pytest.mark.parametrize(
    ("host", "message"),
    [("192.0.2.1", "is no address of this machine"), ("no.such.host.invalid", "cannot bind")],
)
def test_bind_failure(start, host, message):
    report, code = start("--host", host).failure()
    assert (report["kind"], code) == ("bind", 1)
    assert message in report["message"]


def test_adapter_is_closed_when_the_port_is_taken(start_adapter, showcase):
    source = HELLO + "    def close(self): print('closed')"
    worker = start_adapter(source, "--port", str(showcase.port))
    assert worker.failure()[0]["kind"] == "port_in_use"
    assert worker.output.read_text() == "closed\n"


def test_user_modules_do_not_hide_ours(start_adapter, tmp_path):
    for name in ("snakepit", "grpc", "json", "queue"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('hidden')")
    assert start_adapter(HELLO).ready().call("greet", name="Ada") == "Hello, Ada!"


def test_safe_path(start):
    assert start(environment={"PYTHONSAFEPATH": "1"}).ready().call("ping") == "pong"
