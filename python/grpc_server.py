"""Starts a snakepit worker: python grpc_server.py --adapter module:Class ...

The syntax here stays that of very old Pythons, so that one of those can say
what is wrong with it instead of printing a SyntaxError.
"""

import os
import sys

OLDEST = (3, 10)


def refuse_old_python():
    import json

    message = "Python %d.%d is too old, snakepit needs %d.%d or newer: %s" % (
        sys.version_info[0],
        sys.version_info[1],
        OLDEST[0],
        OLDEST[1],
        sys.executable,
    )
    report = {
        "protocol": 1,
        "ready": False,
        "kind": "python_too_old",
        "message": message,
        "hint": "give a newer interpreter with --python",
    }
    descriptor = os.environ.get("SNAKEPIT_READY_FD")
    if descriptor:
        os.write(int(descriptor), (json.dumps(report) + "\n").encode("utf-8"))
    sys.stderr.write("snakepit worker: " + message + "\n")
    return 1


def prepare():
    """Makes stacks visible on SIGUSR1 and on a crash, from the first moment."""
    import faulthandler
    import signal

    if sys.stderr is not None:
        faulthandler.enable()
        faulthandler.register(signal.SIGUSR1, all_threads=True, chain=False)
    # Python leaves this directory out of the path with -P or PYTHONSAFEPATH.
    here = os.path.dirname(os.path.abspath(__file__))
    if here not in sys.path:
        sys.path.insert(0, here)


if __name__ == "__main__":
    if sys.version_info < OLDEST:
        sys.exit(refuse_old_python())
    prepare()
    from snakepit import server

    server.main(sys.argv[1:])
