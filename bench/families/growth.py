"""What a request takes with many subscriptions beside what it takes with few."""
import statistics
import sys

from measuring import peers
from measuring.load import CONNECTIONS, answers, mixed, run
from measuring.table import Row, at_most, between, in_turns

TARGET_GROWTH = at_most(1.2)
# Ten times faster.
TARGET_ELIGIBLE = at_most(0.1)
TARGET_LINEAR = between(0.9, 1.1)
SMALL, MIDDLE, LARGE = 10_000, 500_000, 1_000_000
# A list of ten thousand takes a few milliseconds, so there is time for some in each turn.
LISTS_PER_TURN = 9
# An id, two quotes and a comma.
ID_BYTES = 39


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
                "%s/club/%s/subscribe/" % (it.gateway, it.club), workspace.seconds, size)),
            ("`status`", lambda it, size: answers(it.gateway, workspace.seconds, "status", last=size)),
            ("`charge` replay", lambda it, size: answers(it.gateway, workspace.seconds, "charge", last=size))):
        workspace.table.add(lambda: growth_rows(workspace, name, load, instances))
    instances[MIDDLE] = loaded(workspace, MIDDLE)
    workspace.table.add(lambda: linear_rows(workspace, instances))
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


def linear_rows(workspace, instances):
    """Each size but the least and the greatest beside the straight line between its neighbours."""
    def milliseconds_and_ids(instance):
        seconds, size = zip(*(time_of_list(instance.gateway) for _ in range(LISTS_PER_TURN)))
        return statistics.median(seconds) * 1000, size[0] / ID_BYTES

    sizes = sorted(instances)
    for instance in instances.values():
        # The sessions of all its processes.
        milliseconds_and_ids(instance)
    turns = in_turns(workspace.turns, **{
        str(size): (lambda it=instances[size]: milliseconds_and_ids(it)) for size in sizes})

    def row(less, size, more):
        times = [time for time, _ in turns[str(size)]]
        line = [s + (t - s) * (n - l) / (m - l)
                for (s, l), (_, n), (t, m) in zip(turns[str(less)], turns[str(size)], turns[str(more)])]
        return Row("`eligible` of %s subscriptions, ms" % said(size), times,
                   "the straight line between %s and %s" % (said(less), said(more)), line, TARGET_LINEAR)

    return [row(*neighbours) for neighbours in zip(sizes, sizes[1:], sizes[2:])]


def said(size):
    return "%d thousand" % (size // 1000) if size < LARGE else "%d million" % (size // LARGE)


def listing(workspace, instance):
    """`eligible` beside SQLAlchemy, each as a client gets it: the whole answer."""
    what = "`eligible`, 600,000 ids of 1,000,000 subscriptions, s"
    absent = peers.missing("Flask")
    if absent:
        workspace.table.cannot(what + "; beside Flask", absent)
        return
    flask = peers.flask(workspace, instance)

    def rows():
        figures = in_turns(workspace.turns, ours=lambda: seconds_of_all(instance.gateway),
                           flask=lambda: seconds_of_all(flask))
        return [Row(what, figures["ours"], "Flask + SQLAlchemy", figures["flask"], TARGET_ELIGIBLE, "%.2f")]

    workspace.table.add(rows)


def seconds_of_all(base):
    seconds, size = time_of_list(base)
    if size < 0.5 * LARGE * ID_BYTES:
        sys.exit("bench: %s listed %s bytes" % (base, size))
    return seconds


def time_of_list(base):
    """Seconds and bytes of the whole answer."""
    answer = run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{size_download} %{time_total}",
                  base + "/subscription/eligible"])
    status, size, seconds = answer.split()
    if status != "200":
        sys.exit("bench: the list of %s has the status %s" % (base, status))
    return float(seconds), int(size)
