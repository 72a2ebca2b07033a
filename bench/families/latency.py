"""p99 of `subscribe` at half the top rate, beside its median.

wrk has no rate limit, so `pace` sends: instants fixed beforehand, and a latency counts from its instant.
"""
import statistics

from families.data import EXISTING
from measuring.load import CONNECTIONS, mixed, pace
from measuring.table import Row, at_most

TARGET = at_most(4)


def measure(workspace, instance):
    program = workspace.compile("pace/pace.c")
    path = "/club/%s/subscribe/" % instance.club
    top = statistics.median(mixed(instance.gateway + path, workspace.seconds, EXISTING) for _ in range(3))

    def rows():
        turns = [pace(program, instance.port, path, top / 2, workspace.seconds, EXISTING)
                 for _ in range(workspace.turns)]
        return [Row("p99 of `subscribe` at %d a second, half the top rate, %d connections, ms" % (top / 2, CONNECTIONS),
                    [p99 for _, p99 in turns], "its median", [median for median, _ in turns], TARGET, "%.2f")]

    workspace.table.add(rows)
