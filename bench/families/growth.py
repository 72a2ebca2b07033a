"""What a request takes with many subscriptions beside what it takes with few."""
import sys

from measuring import peers
from measuring.load import CONNECTIONS, answered, mixture, run
from measuring.table import Row, at_most, between, in_turns

TARGET_GROWTH = at_most(1.2)
# Ten times faster.
TARGET_ELIGIBLE = at_most(0.1)
TARGET_LINEAR = between(0.9, 1.1)
SMALL, LARGE = 10_000, 1_000_000
# Between them, for the straight line.
TENTH, HALF = 100_000, 500_000
# A list takes milliseconds, so there is time for many.
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
    for name, reads, load in (
            ("`subscribe`", ("subscription", "subscription_club_customer"), lambda it, size: mixture(
                "%s/club/%s/subscribe/" % (it.gateway, it.club), workspace.seconds, size)),
            ("`status`", ("subscription", "subscription_pkey", "subscription_status_history_current",
                          "active_interval", "active_interval_subscription"),
             lambda it, size: answered(it.gateway, workspace.seconds, "status", last=size)),
            ("`charge` replay", ("charge", "charge_decides"),
             lambda it, size: answered(it.gateway, workspace.seconds, "charge", last=size))):
        workspace.table.add(lambda: growth_rows(workspace, name, reads, load, instances))
    instances.update({size: loaded(workspace, size) for size in (TENTH, HALF)})
    workspace.table.add(lambda: linear_rows(workspace, instances))
    listing(workspace, instances[LARGE])


def growth_rows(workspace, name, reads, load, instances):
    """- reads: tables and indexes of which the load reads pages anywhere, not at their ends alone."""
    def milliseconds_and_kilobytes(instance, size):
        before = kilobytes_read()
        done = load(instance, size)
        # The time that one of 16 connections waits for an answer.
        return CONNECTIONS * 1000 / done.rate, (kilobytes_read() - before) / done.requests

    for instance in instances.values():
        instance.warm(reads)
    turns = in_turns(workspace.turns, **{
        str(size): (lambda it=instance, size=size: milliseconds_and_kilobytes(it, size))
        for size, instance in instances.items()})
    small, _ = zip(*turns[str(SMALL)])
    rows = []
    for size in list(instances)[1:]:
        times, read = zip(*turns[str(size)])
        rows += [Row("%s with %s subscriptions, ms" % (name, said(size)), times,
                     "itself with 10 thousand", small, TARGET_GROWTH, "%.2f"),
                 Row("… read from the disk for each, kB", read, form="%.1f")]
    return rows


def kilobytes_read():
    """From the machine's disks since it started."""
    with open("/proc/vmstat") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("pgpgin "))


def linear_rows(workspace, instances):
    """Each size but the least and the greatest beside the straight line between its neighbours."""
    def milliseconds_and_ids(instance):
        seconds, size = time_of_list(instance.gateway)
        return seconds * 1000, size / ID_BYTES

    sizes = sorted(instances)
    for instance in instances.values():
        # The sessions of all its processes.
        for _ in range(LISTS_PER_TURN):
            milliseconds_and_ids(instance)
    turns = in_turns(LISTS_PER_TURN * workspace.turns, **{
        str(size): (lambda it=instances[size]: milliseconds_and_ids(it)) for size in sizes})

    def row(less, size, more):
        times = [time for time, _ in turns[str(size)]]
        line = [s + (t - s) * (n - l) / (m - l)
                for (s, l), (_, n), (t, m) in zip(turns[str(less)], turns[str(size)], turns[str(more)])]
        return Row("`eligible` of %s subscriptions, ms" % said(size), times,
                   "the straight line between %s and %s" % (said(less), said(more)), line, TARGET_LINEAR)

    def nanoseconds_for_each(size):
        return [time * 1e6 / ids for time, ids in turns[str(size)]]

    return [row(*neighbours) for neighbours in zip(sizes, sizes[1:], sizes[2:])] + [
        # A call has a time of its own, so a straight line does not start at nought: no target.
        Row("`eligible` for each id of %s subscriptions, ns" % said(LARGE), nanoseconds_for_each(LARGE),
            "of %s" % said(TENTH), nanoseconds_for_each(TENTH))]


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
