"""Free TCP ports on loopback."""

import random
import socket

# Below the range that the kernel gives to outgoing connections, so that nobody takes a port by accident.
_RANGE = range(20_000, 32_000)


def free_port(wanted: int | None = None, host: str = "127.0.0.1") -> int:
    """`wanted` when it is free, otherwise another port that is. Raises OSError when none is."""
    candidates = [wanted] if wanted else []
    for port in candidates + random.sample(_RANGE, 100):
        if is_free(port, host):
            return port
    raise OSError(f"no free port on {host}")


def is_free(port: int, host: str) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
