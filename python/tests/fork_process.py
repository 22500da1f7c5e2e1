"""A real forkserver, and the supervisor's side of it."""

import ctypes
import json
import os
import secrets
import signal
import socket
import subprocess
import sys

from worker_process import ENTRY, PATIENCE, WorkerProcess

_SET_CHILD_SUBREAPER = 36


class ForkServerProcess:
    """A forkserver of this process, which is its subreaper."""

    def __init__(self, directory, *arguments, environment=None):
        assert ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
        self.directory = directory
        self.run_id = secrets.token_hex(5)
        self.output = directory / f"{self.run_id}.fork"
        self.link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.link.settimeout(PATIENCE)
        ours = ("SNAKEPIT_", "GRPC_", "PYTHONUNBUFFERED")
        clean = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
        clean.update(
            environment or {},
            SNAKEPIT_RUN_ID=self.run_id,
            SNAKEPIT_WORKER_ID="default-fork",
            SNAKEPIT_FORK_FD=str(theirs.fileno()),
        )
        marker = ["--port", "0", "--worker-id", "default-fork", "--snakepit-run-id", self.run_id]
        with open(self.output, "wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, str(ENTRY), *marker, *arguments, "--forkserver"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=clean,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        theirs.close()
        self.pid = self.process.pid
        self.forked = []

    def hear(self):
        return json.loads(self.link.recv(65536))

    def ready(self):
        assert self.hear() == {"ready": True, "pid": self.pid}
        return self

    def stand_by(self):
        """A worker that is warm, and our end of its seat."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(PATIENCE)
        forked = self.fork(worker="default-next", seat=theirs)
        forked.our_seat = ours
        assert json.loads(ours.recv(65536)) == {"warm": True}
        return forked

    def ask(self, worker="default-0", port=0, parent_death=True, seat=None):
        """Asks for a worker; its process with all that belongs to it."""
        forked = Forked(self, seat)
        descriptors = {"output": forked.output_end, "ready": forked.ready_end}
        descriptors["lifeline"] = forked.lifeline_end
        if seat is not None:
            descriptors["seat"] = seat.fileno()
        request = {"worker": worker, "port": port, "parent_death": parent_death}
        text = json.dumps({**request, "descriptors": list(descriptors)}).encode()
        socket.send_fds(self.link, [text], list(descriptors.values()))
        forked.close_their_ends()
        self.forked.append(forked)
        return forked

    def fork(self, **request):
        """Asks for a worker and adopts it."""
        forked = self.ask(**request)
        forked.pid = self.hear()["pid"]
        self.link.send(json.dumps({"adopt": forked.pid}).encode())
        assert self.hear() == {"adopted": forked.pid}
        return forked

    def close(self):
        for forked in self.forked:
            forked.close()
        self.link.close()
        assert self.process.wait(PATIENCE) is not None


class Forked:
    """One forked worker, our own child."""

    def __init__(self, server, seat):
        self.pid = None
        self.seat, self.our_seat = seat, None
        self.output = server.directory / f"{secrets.token_hex(5)}.out"
        self.output_end = os.open(self.output, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        self.ready_read, self.ready_end = os.pipe()
        self.lifeline_end, self.lifeline = os.pipe()
        self.status = self._channel = None

    def close_their_ends(self):
        for descriptor in (self.output_end, self.ready_end, self.lifeline_end):
            os.close(descriptor)
        if self.seat is not None:
            self.seat.close()

    def report(self):
        text = b""
        while part := os.read(self.ready_read, 65536):
            text += part
        return json.loads(text) if text else None

    def connect(self):
        report = self.report()
        assert report["ready"], report
        WorkerProcess.connect(self, report["port"])
        return self

    execute = WorkerProcess.execute
    call = WorkerProcess.call

    def wait(self):
        """Its exit code, negative for a signal."""
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status

    def close(self):
        if self.pid is not None and self.status is None:
            os.kill(self.pid, signal.SIGKILL)  # our child, not waited for
            self.wait()
        for descriptor in (self.ready_read, self.lifeline):
            os.close(descriptor)
        if self.our_seat is not None:
            self.our_seat.close()
        if self._channel is not None:
            self._channel.close()

    def assign(self, worker, port=0):
        """Gives a place to a worker that stands by; its answer."""
        self.our_seat.send(json.dumps({"worker": worker, "port": port}).encode())
        return json.loads(self.our_seat.recv(65536))

    def open_files(self):
        """What its descriptors are."""
        base = f"/proc/{self.pid}/fd"
        return {os.readlink(f"{base}/{name}") for name in os.listdir(base)}

    def see(self, name):
        """The entries of a file of its in /proc."""
        with open(f"/proc/{self.pid}/{name}", "rb") as file:
            return [entry.decode() for entry in file.read().split(b"\0") if entry]
