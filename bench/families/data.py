"""The instance that most families share, with its platform."""
from measuring.workspace import listening_on_port

# Customers who have subscribed before, for the half of `subscribe` that is refused.
EXISTING = 10_000
PLATFORM_WORKERS = 32


def half(workspace):
    """Subscriptions 1 … this get statuses and charge replays; as many after them are charged for the first time."""
    return 30_000 if workspace.is_short else 100_000


def platform(workspace, milliseconds=0):
    """Starts the platform in C, which takes every order; gives its base URL."""
    listener, port = listening_on_port()
    program = workspace.compile("peers/c-platform/platform.c")
    workspace.start([program, str(PLATFORM_WORKERS), str(milliseconds)], listener)
    return "http://127.0.0.1:%d/ecommerce" % port


def loaded_instance(workspace):
    """The instance and its platform's base URL."""
    url = platform(workspace)
    instance = workspace.instance(TAPROOM_ECOMMERCE_URL=url)
    instance.load(2 * half(workspace), charged=half(workspace))
    return instance, url
