"""p99 of `subscribe` at half the top rate, beside its median: ours, the same statement in C on the same instance, and
what both stand on, whose tails are the machine's: an nginx that answers by itself, and the disk, which is written and
flushed as often as there are new subscriptions.

wrk has no rate limit, so `pace` sends: instants fixed beforehand, and a latency counts from its instant.
"""
import statistics

from families.data import EXISTING
from measuring import peers
from measuring.load import CONNECTIONS, flush, mixed, pace
from measuring.table import Row, at_most, in_turns

TARGET = at_most(4)


def measure(workspace, instance):
    program, flushing = workspace.compile("pace/pace.c"), workspace.compile("pace/flush.c")
    path = "/club/%s/subscribe/" % instance.club
    top = statistics.median(mixed(instance.gateway + path, workspace.seconds, EXISTING) for _ in range(3))
    c = peers.c_statement(workspace, instance, "subscribe", 16)
    nginx = peers.behind_nginx(workspace, "location / { return 200; }")

    def paced(base):
        return lambda: pace(program, base.rsplit(":", 1)[1], path, top / 2, workspace.seconds, EXISTING)

    def flushed():
        return flush(flushing, workspace.path("flushed"), top / 4, workspace.seconds)

    def rows():
        figures = in_turns(
            workspace.turns, ours=paced(instance.gateway), c=paced(c), nginx=paced(nginx), disk=flushed)
        ours = "p99 of `subscribe` at %d a second, half the top rate, %d connections, ms" % (top / 2, CONNECTIONS)
        return [Row(what, [p99 for _, p99 in figures[who]], "its median", [median for median, _ in figures[who]],
                    target, "%.2f")
                for who, what, target in (("ours", ours, TARGET), ("c", "… the same in C", None),
                                          ("nginx", "… nginx alone", None),
                                          ("disk", "… the disk alone, a page flushed for each new one", None))]

    workspace.table.add(rows)
