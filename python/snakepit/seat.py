"""Where a forked worker stands by: it has everything but its id and its port."""

import json
import socket

MESSAGE_LIMIT = 64 * 1024


class Seat:
    """The place of a worker that waits; descriptor is a socket to the supervisor."""

    def __init__(self, descriptor, sources, marker):
        self._link = socket.socket(fileno=descriptor)
        self._sources, self._marker = sources, marker

    def wait(self, chosen, termination):
        """Waits for the worker's id and port, and puts them into chosen. Returns
        False when this process is to end: it is told to, nobody is there any more,
        or the code that it has imported is not what is on disk."""
        self._sources.note()
        self._say({"warm": True})
        if not termination.wait_with(self._link):
            return False
        text = self._link.recv(MESSAGE_LIMIT)
        if not text:
            return False
        changed = self._sources.changed()
        if changed is not None:
            self._say({"stale": changed})
            return False
        place = json.loads(text)
        self._marker.set(place["worker"], place["port"])
        chosen.worker_id, chosen.port = place["worker"], place["port"]
        self._say({"taken": True})
        self._link.close()
        return True

    def _say(self, message):
        self._link.send(json.dumps(message).encode())
