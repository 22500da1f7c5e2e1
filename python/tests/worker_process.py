"""Real worker processes, and what tests do with them."""

import contextlib
import json
import os
import secrets
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from snakepit import bridge_pb2, bridge_pb2_grpc

ENTRY = Path(__file__).parent.parent / "grpc_server.py"
# Only a test that fails ever waits as long as this, in seconds.
PATIENCE = 60


class Failed(Exception):
    """A tool's error; document is its JSON object."""

    def __init__(self, document):
        super().__init__(document["message"])
        self.document = document


class WorkerProcess:
    """A worker with a ready channel, a lifeline, and files for its output."""

    def __init__(
        self, directory, *arguments, command=None, environment=None, channels=True, leader=True
    ):
        self.run_id = secrets.token_hex(5)
        self.output = directory / f"{self.run_id}.out"
        self.errors = directory / f"{self.run_id}.err"
        ready, ready_end = os.pipe()
        rope_end, self.lifeline = os.pipe()
        ours = ("SNAKEPIT_", "GRPC_", "PYTHONUNBUFFERED")
        clean = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
        clean.update(environment or {}, SNAKEPIT_RUN_ID=self.run_id)
        if channels:
            clean.update(SNAKEPIT_READY_FD=str(ready_end), SNAKEPIT_LIFELINE_FD=str(rope_end))
        marker = ["--snakepit-run-id", self.run_id]
        with open(self.output, "wb") as out, open(self.errors, "wb") as err:
            self.process = subprocess.Popen(
                [*(command or [sys.executable, str(ENTRY)]), *arguments, *marker],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=clean,
                pass_fds=(ready_end, rope_end) if channels else (),
                start_new_session=leader,
            )
        self.pid = self.process.pid
        self.lifeline_pipe = os.fstat(self.lifeline).st_ino
        self.ready_pipe = os.fstat(ready).st_ino
        os.close(ready_end)
        os.close(rope_end)
        self._ready = ready
        self._channel = None

    def report(self):
        """What the worker wrote to its ready channel, up to the end of file."""
        text = b""
        while select.select([self._ready], [], [], PATIENCE)[0]:
            part = os.read(self._ready, 65536)
            if not part:
                return text
            text += part
        raise AssertionError(f"no end of the ready channel; stderr: {self.errors.read_text()}")

    def ready(self):
        """Waits until the worker is ready; returns itself."""
        text = self.report()
        assert text.endswith(b"\n") and text.count(b"\n") == 1, (text, self.errors.read_text())
        report = json.loads(text)
        assert report.get("ready"), report
        self.connect(report["port"])
        return self

    def failure(self):
        """The report of a worker that does not start, and its exit code."""
        text = self.report()
        assert text.endswith(b"\n") and text.count(b"\n") == 1, (text, self.errors.read_text())
        assert len(text) <= 16384
        return json.loads(text), self.wait()

    def connect(self, port, host="127.0.0.1"):
        self.port = port
        self._channel = grpc.insecure_channel(f"{host}:{port}")
        self.stub = bridge_pb2_grpc.BridgeServiceStub(self._channel)
        self.health = health_pb2_grpc.HealthStub(self._channel)

    def execute(self, tool, timeout=PATIENCE, binary=None, session="", **values):
        return self.stub.ExecuteTool(request(tool, values, binary, session), timeout=timeout)

    def call(self, tool, **options):
        """A tool's result; raises Failed."""
        response = self.execute(tool, **options)
        if not response.success:
            raise Failed(json.loads(response.error_message))
        return json.loads(response.result.value)

    def stream(self, tool, timeout=PATIENCE, **values):
        return self.stub.ExecuteStreamingTool(request(tool, values), timeout=timeout)

    def watch_health(self, service=""):
        """Health statuses as they change; the first one has been seen."""
        statuses = self.health.Watch(
            health_pb2.HealthCheckRequest(service=service), timeout=PATIENCE
        )
        assert next(statuses).status == health_pb2.HealthCheckResponse.SERVING
        return statuses

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self):
        """The exit code; negative for a signal."""
        return self.process.wait(PATIENCE)

    def cut_lifeline(self):
        os.close(self.lifeline)
        self.lifeline = None

    def destroy(self):
        if self._channel:
            self._channel.close()
        if self.process.poll() is None:  # else the PID may be another's by now
            if os.getpgid(self.pid) == self.pid:
                os.killpg(self.pid, signal.SIGKILL)
            self.process.kill()
            self.process.wait()
        kill_marked(self.run_id)
        os.close(self._ready)
        if self.lifeline is not None:
            os.close(self.lifeline)


def request(tool, values, binary=None, session=""):
    """An ExecuteToolRequest; a value of bytes is sent as raw JSON."""
    message = bridge_pb2.ExecuteToolRequest(
        tool_name=tool, binary_parameters=binary or {}, session_id=session
    )
    for name, value in values.items():
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        message.parameters[name].value = raw
        message.parameters[name].type_url = "type.googleapis.com/google.protobuf.StringValue"
    return message


def eventually(condition):
    """Polls for what has no event, a file's content say; returns what the
    condition said at last."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.005)
    return found


def kill_marked(run_id):
    """Kills what still carries this run's marker in its environment (Linux)."""
    marker = f"SNAKEPIT_RUN_ID={run_id}".encode()
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if marker in (directory / "environ").read_bytes().split(b"\0"):
                os.kill(int(directory.name), signal.SIGKILL)


class Death:
    """Waits for the death of a process that is no child of ours; make it while
    the process lives."""

    def __init__(self, pid):
        self._pid = pid
        self._handle = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None

    def wait(self):
        if self._handle is not None:
            dead = bool(select.select([self._handle], [], [], PATIENCE)[0])
            os.close(self._handle)
            return dead
        return eventually(self._gone)

    def _gone(self):
        command = ["ps", "-o", "state=", "-p", str(self._pid)]
        shown = subprocess.run(command, capture_output=True, check=False).stdout
        return shown.strip()[:1] in (b"", b"Z")
