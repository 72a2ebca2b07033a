"""What a request takes with many subscriptions beside what it takes with few."""
import sys

from families.data import EXISTING
from measuring import peers
from measuring.load import CONNECTIONS, answers, mixed, run
from measuring.table import Row, at_most, in_turns

TARGET_GROWTH = at_most(1.2)
# Ten times faster.
TARGET_ELIGIBLE = at_most(0.1)
SMALL, LARGE = 10_000, 1_000_000


def loaded(workspace, size):
    """An instance with so many subscriptions: 1.7 history rows each, six of ten eligible, all charged this month."""
    instance = workspace.instance("growth-%d" % size)
    instance.load(size, charged=size, changes=True)
    return instance


def measure(workspace, has_ten_million):
    sizes = [SMALL, LARGE] + ([10 * LARGE] if has_ten_million else [])
    instances = {size: loaded(workspace, size) for size in sizes}
    for name, load in (
            ("`subscribe`", lambda it, size: mixed(
                "%s/club/%s/subscribe/" % (it.gateway, it.club), workspace.seconds, min(EXISTING, size))),
            ("`status`", lambda it, size: answers(it.gateway, workspace.seconds, "status", last=size)),
            ("`charge` replay", lambda it, size: answers(it.gateway, workspace.seconds, "charge", last=size))):
        workspace.table.add(lambda: growth_rows(workspace, name, load, instances))
    listing(workspace, instances[LARGE])


def growth_rows(workspace, name, load, instances):
    for instance in instances.values():
        instance.warm()
    measures = {"at_%d" % size: (lambda it=instance, size=size: load(it, size)) for size, instance in instances.items()}
    # The time that one of 16 connections waits for an answer.
    times = {key: [CONNECTIONS * 1000 / rate for rate in rates]
             for key, rates in in_turns(workspace.turns, **measures).items()}
    small = times["at_%d" % SMALL]
    return [Row("%s with %d million subscriptions, ms" % (name, size // 1_000_000), times["at_%d" % size],
                "itself with 10 thousand", small, TARGET_GROWTH, "%.2f")
            for size in list(instances)[1:]]


def listing(workspace, instance):
    """`eligible` beside SQLAlchemy, each as a client gets it: the whole answer."""
    what = "`eligible`, 600,000 ids of 1,000,000 subscriptions, s"
    absent = peers.missing("Flask")
    if absent:
        workspace.table.cannot(what + "; beside Flask", absent)
        return
    flask = peers.flask(workspace, instance)

    def rows():
        figures = in_turns(workspace.turns, ours=lambda: seconds_of_list(instance.gateway),
                           flask=lambda: seconds_of_list(flask))
        return [Row(what, figures["ours"], "Flask + SQLAlchemy", figures["flask"], TARGET_ELIGIBLE, "%.2f")]

    workspace.table.add(rows)


def seconds_of_list(base):
    answer = run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{size_download} %{time_total}",
                  base + "/subscription/eligible"])
    status, size, seconds = answer.split()
    # An id, two quotes and a comma for each.
    if status != "200" or int(size) < 0.5 * LARGE * 39:
        sys.exit("bench: %s listed %s bytes with status %s" % (base, size, status))
    return float(seconds)
