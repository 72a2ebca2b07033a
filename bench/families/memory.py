"""Private memory of a function's process as an instance has it: idle, and after so many requests.

The instance's own processes share the libraries. The executable is a copy, since no other process of an instance runs
the same one: beside a second one its pages would count as shared.
"""
import os
import shutil

from families.data import EXISTING
from measuring import peers
from measuring.fastcgi import ask
from measuring.load import answered, mixture
from measuring.table import Row, at_most
from measuring.workspace import private_kilobytes

TARGET_IDLE = at_most(2048, "kB")
TARGET_AFTER = at_most(4096, "kB")
# What may come between 100,000 and 1,000,000 requests and still be no growth: a page or two for each thread.
TARGET_GROWTH = at_most(1.02)
SECONDS_PER_LOAD = 4


def measure(workspace, instance, has_million):
    process, base, path = copied(workspace, instance, "Livez", "GET /livez", peers.WORKERS)
    follow(workspace, "livez", process, path, has_million,
           lambda: answered(base + "/livez", SECONDS_PER_LOAD))
    process, base, path = copied(
        workspace, instance, "Subscribe", "POST /club/{id}/subscribe/", 16, DATABASE_URL=instance.database)
    url = "%s/club/%s/subscribe/" % (base, instance.club)
    follow(workspace, "subscribe", process, path, has_million,
           lambda: mixture(url, SECONDS_PER_LOAD, EXISTING))


def copied(workspace, instance, name, route, workers, **more):
    """A copy of a function's executable with the instance's libraries, as `peers.fastcgi` gives it."""
    executable = instance.function(name)
    return peers.fastcgi(workspace, name.lower(), *peers.function(
        shutil.copy(executable, workspace.path(name)), name.lower(), route, workers,
        LD_LIBRARY_PATH=os.path.join(os.path.dirname(executable), "libraries"), **more))


def follow(workspace, name, process, socket, has_million, load):
    """- load: sends requests for some seconds and ends the bench when one is not answered as it should be."""
    # An answer without a session, so that the process is known to be up.
    ask(socket, REQUEST_URI="/nothing-here")
    idle = private_kilobytes(process.pid)
    workspace.table.add(lambda: [Row("private memory of %s, idle, kB" % name, [idle], target=TARGET_IDLE)])
    requests = 0
    sizes = []
    for limit in (100_000, 1_000_000) if has_million else (100_000,):
        while requests < limit:
            requests += load().requests
        sizes.append(private_kilobytes(process.pid))
    workspace.table.add(lambda: [
        Row("private memory of %s after 100,000 requests, kB" % name, sizes[:1], target=TARGET_AFTER)])
    if has_million:
        workspace.table.add(lambda: [
            Row("private memory of %s after 1,000,000 requests, kB" % name, sizes[1:], "itself after 100,000",
                sizes[:1], TARGET_GROWTH)])
