"""`taproom charge-run` through a platform that answers in 50 ms, beside what its concurrency allows."""
import json
import sys
import time

from families.data import platform
from measuring.table import Row, at_most, in_turns

TARGET = at_most(1.3)
SUBSCRIPTIONS = 1000
CONCURRENCY = 16
MILLISECONDS = 50


def measure(workspace):
    instance = workspace.instance("charge-run", TAPROOM_ECOMMERCE_URL=platform(workspace, MILLISECONDS))
    instance.load(SUBSCRIPTIONS)
    allowed = SUBSCRIPTIONS * MILLISECONDS / 1000 / CONCURRENCY

    def seconds():
        instance.empty_ledger()
        start = time.perf_counter()
        summary = json.loads(instance.run("charge-run", "--json", "--concurrency", str(CONCURRENCY)))
        took = time.perf_counter() - start
        if summary["charged"] != SUBSCRIPTIONS:
            sys.exit("bench: charge-run did not charge everybody: %s" % summary)
        return took

    def rows():
        figures = in_turns(workspace.turns, ours=seconds)
        return [Row("charge-run of %d, %d at a time, platform answers in %d ms, s" % (
            SUBSCRIPTIONS, CONCURRENCY, MILLISECONDS), figures["ours"], "what that allows",
            [allowed] * workspace.turns, TARGET, "%.2f")]

    workspace.table.add(rows)
