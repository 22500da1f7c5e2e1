"""The worker's command line.

argparse would cost a worker two milliseconds at every start and could not
report over the ready channel.
"""

import math

from snakepit.failures import StartFailure

USAGE = (
    "usage: grpc_server.py --adapter module:Class --host ADDRESS --port N --snakepit-run-id ID"
    " [--worker-id ID] [--grace SECONDS] [--python-path DIR]... [--elixir-address HOST:PORT]"
    " [--forkserver [--preload]]"
)


class Options:
    """adapter (module, class), host, port (0: choose one), run_id, worker_id,
    grace (seconds), python_path (directories), host_address ('' for none),
    forkserver (fork workers; the port and the id of a worker are given later),
    preload (import the adapter before)."""

    def __init__(self):
        self.adapter = ("snakepit.showcase", "Showcase")
        self.host = "127.0.0.1"
        self.port = 0
        self.run_id = ""
        self.worker_id = "default-0"
        self.grace = 5.0
        self.python_path = []
        self.host_address = ""
        self.forkserver = False
        self.preload = False


def parse(arguments):
    """Options from the arguments after the script's name; raises StartFailure
    of kind usage."""
    options = Options()
    rest = iter(arguments)
    for argument in rest:
        if argument in _SWITCHES:
            setattr(options, _SWITCHES[argument], True)
            continue
        flag, separator, value = argument.partition("=")
        if flag not in _FLAGS:
            raise _refusal(f"unknown argument {argument!r}")
        if not separator:
            value = next(rest, "")
        if not value or (not separator and value.startswith("--")):
            raise _refusal(f"{flag} needs a value")
        try:
            _FLAGS[flag](options, value)
        except ValueError as error:
            raise _refusal(f"{flag} {value}: {error}") from None
    return options


def _refusal(message):
    return StartFailure("usage", message, USAGE)


def _adapter(options, value):
    # module:Class as everywhere in Python, module.Class as Elixir hosts say it.
    module, _, name = value.rpartition(":" if ":" in value else ".")
    if not module or not name.isidentifier():
        raise ValueError("is not of the form module:Class")
    options.adapter = (module, name)


def _port(options, value):
    if not (value.isascii() and value.isdigit() and int(value) <= 65535):
        raise ValueError("is no port number (0 to 65535)")
    options.port = int(value)


def _grace(options, value):
    seconds = float(value)
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError("is no number of seconds")
    options.grace = seconds


def _text(name):
    return lambda options, value: setattr(options, name, value)


_FLAGS = {
    "--adapter": _adapter,
    "--host": _text("host"),
    "--port": _port,
    "--snakepit-run-id": _text("run_id"),
    "--worker-id": _text("worker_id"),
    "--grace": _grace,
    "--python-path": lambda options, value: options.python_path.append(value),
    "--elixir-address": _text("host_address"),
}

_SWITCHES = {"--forkserver": "forkserver", "--preload": "preload"}
