"""The environment of what a run starts."""
import os


def surroundings(**more):
    """Ours without Taproom's own variables, which may name a shop that is in use, and with some more."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith("TAPROOM_")}, **more}
