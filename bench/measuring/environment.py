"""What a run stands in: the checkout, a port for each server, and the environment of what it starts."""
import os
import socket

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def surroundings(**more):
    """Ours without Taproom's own variables, which may name a shop that is in use, and with some more."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith("TAPROOM_")}, **more}
