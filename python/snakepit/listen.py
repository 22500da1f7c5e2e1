"""Binds the server's port, and says exactly why it cannot."""

import errno
import os
import socket

from snakepit.failures import StartFailure

_WILDCARDS = ("", "0.0.0.0", "::")


def bind(server, host, port):
    """Binds a gRPC server; returns the port. Raises StartFailure.

    gRPC tells a taken port from other errors only in its log, so plain sockets
    ask first.
    """
    _probe(host, port)
    try:
        bound = server.add_insecure_port(_join(host, port))
    except RuntimeError as error:
        _probe(host, port)  # somebody may have been quicker
        raise StartFailure("bind", f"cannot bind {_join(host, port)}: {error}") from None
    if not bound:
        _probe(host, port)
        raise StartFailure("bind", f"cannot bind {_join(host, port)}")
    return bound


def _join(host, port):
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _probe(host, port):
    for family, address in _addresses(host, port):
        try:
            _listen(family, address)
        except OSError as error:
            raise _failure(host, port, error) from None


def _listen(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As gRPC does it: connections of the past do not count as use.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind(address)
        probe.listen(1)


def _addresses(host, port):
    # gRPC binds both families for either wildcard.
    if host in _WILDCARDS:
        found = [(socket.AF_INET, ("0.0.0.0", port))]
        return [*found, (socket.AF_INET6, ("::", port))] if _has_ipv6() else found
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise StartFailure("bind", f"cannot bind {_join(host, port)}: {error.strerror}") from None
    return [(info[0], info[4]) for info in infos]


def _has_ipv6():
    try:
        _listen(socket.AF_INET6, ("::", 0))
    except OSError:
        return False
    return True


def _failure(host, port, error):
    where = _join(host, port)
    if error.errno == errno.EADDRINUSE:
        return StartFailure("port_in_use", f"cannot bind {where}: the port is in use")
    if error.errno == errno.EACCES:
        return StartFailure(
            "bind", f"cannot bind {where}: permission denied", "use a port of 1024 or higher"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return StartFailure("bind", f"cannot bind {where}: {host} is no address of this machine")
    return StartFailure("bind", f"cannot bind {where}: {os.strerror(error.errno or 0)}")
