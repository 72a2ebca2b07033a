"""`charge`: repeats beside the deciding statement, which livez is held against too; first charges beside the platform and
the ledger's two commits."""
import statistics
import sys

from families.data import half
from families.subscribing import beside_limits
from measuring import peers, statements
from measuring.load import CONNECTIONS, answers, pgbench, wrk
from measuring.table import Row, at_least, in_turns

TARGET_REPLAY = at_least(0.85)
# The gate's: behind this gateway not even a bare loop in C replays as often as pgbench.
TARGET_REPLAY_BESIDE_C = at_least(1)
TARGET_FIRST = at_least(0.7)


def measure(workspace, instance, platform):
    first = half(workspace) + 1
    scripts = statements.scripts(last=half(workspace), first=first, clients=CONNECTIONS)

    def beside(script):
        return pgbench(instance.database, scripts[script], workspace.seconds, workspace.folder)

    measure_replays(workspace, instance, lambda: beside("replay"))

    def two_commits():
        instance.empty_ledger()
        return beside("charge")

    def first_rows():
        figures = in_turns(
            workspace.turns, ours=lambda: first_charges(workspace, instance, instance.gateway).rate,
            pgbench=two_commits, platform=lambda: answers(platform + "/order/bench", workspace.seconds, "order"))
        slower = min(("pgbench", "platform"), key=lambda name: statistics.median(figures[name]))
        names = {"pgbench": "pgbench, the two commits", "platform": "the platform (C) alone"}
        return [Row("`charge`, first time, %d connections" % CONNECTIONS, figures["ours"], names[name], figures[name],
                    TARGET_FIRST if name == slower else None) for name in names]

    workspace.table.add(first_rows)


def first_charges(workspace, instance, base):
    """Charges subscriptions that have not been charged, with an empty ledger; gives what wrk did."""
    instance.empty_ledger()
    load = wrk(base, workspace.seconds, "charge", first=half(workspace) + 1)
    charged = int(instance.sql("SELECT count(*) FROM charge WHERE state = 'charged'"))
    if load.refused or charged < load.requests:
        sys.exit("bench: of %d first charges %d were refused and %d are on record (there are %d subscriptions)" % (
            load.requests, load.refused, charged, half(workspace)))
    return load


def measure_replays(workspace, instance, statement):
    """- statement: gives the rate of pgbench with the deciding statement."""
    what = "`charge` replay, %d connections" % CONNECTIONS

    def replaying(base):
        return lambda: answers(base, workspace.seconds, "charge", last=half(workspace))

    ours = replaying(instance.gateway)
    c = replaying(peers.c_statement(workspace, instance, "charge", 32))

    def gate_rows():
        figures = in_turns(workspace.turns, ours=ours, c=c)
        return [Row(what, figures["ours"], "C, same statement, same nginx", figures["c"], TARGET_REPLAY_BESIDE_C)]

    if workspace.is_short:
        return workspace.table.add(gate_rows)
    bare = replaying(peers.c_bare(workspace, instance, "charge", keeps=False))
    keeping = replaying(peers.c_bare(workspace, instance, "charge", keeps=True))

    def rows():
        figures = in_turns(workspace.turns, ours=ours, pgbench=statement, c=c, bare=bare, keeping=keeping,
                           livez=lambda: answers(instance.gateway + "/livez", workspace.seconds))
        others = {"bare": "… bare C: epoll, all that wait in one statement, same nginx",
                  "keeping": "… the same, and nginx keeps its connections",
                  "livez": "… livez, which asks nothing, same nginx"}
        return [*beside_limits(what, figures, TARGET_REPLAY),
                *(Row(name, figures[key], "pgbench, same statement", figures["pgbench"])
                  for key, name in others.items())]

    workspace.table.add(rows)
