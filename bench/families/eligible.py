"""GET /subscription/eligible beside COPY of a plain table that holds just its ids, and what it costs to keep.

1,000,000 subscriptions with 1.7 history rows each, about 600,000 of them eligible, on an instance of their own.
"""
import concurrent.futures
import json
import os
import re
import sys
import time

from measuring.load import CONNECTIONS, answers, pgbench, run
from measuring.statements import SUBSCRIBE, array
from measuring.table import Row, at_least, at_most, in_turns
from measuring.workspace import private_kilobytes

TARGET_COPY = at_most(1.5)
# More than at rest.
TARGET_MEMORY = at_most(4096, "kB")
TARGET_LOADING = at_most(3)
TARGET_SUBSCRIBE = at_least(0.87)
SIZE = 1_000_000
# Of eligible, as functions.yml has them.
WORKERS = 4
# So many that every request is a new customer's.
NOBODY = 10 ** 12

CLUBS = f"""
TRUNCATE club CASCADE;
INSERT INTO club (id, name, store_sku) SELECT n, 'Club ' || n, n FROM generate_series(1, 20) n;
INSERT INTO club_status_history (id, club_id, club_status_id, effect_date)
    SELECT 'club-' || n, n, CASE WHEN n % 20 IN (7, 13, 19) THEN 3 WHEN n % 5 = 0 THEN 2 ELSE 1 END, '2020-01-01'
    FROM generate_series(1, 20) n;
INSERT INTO subscription (id, club_id, customer_store_id, create_date)
    SELECT gen_random_uuid()::text, 1 + n / 10 % 20, gen_random_uuid()::text,
        timestamp '2022-01-01' + n * interval '1 s'
    FROM generate_series(0, {SIZE} - 1) n;
"""
# Everybody's first row; of ten subscriptions one has come back from a pause, two will, and one has cancelled.
FIRST_ROWS = "SELECT gen_random_uuid()::text, id, 1, create_date, create_date, 'Subscribed' FROM subscription"
LATER_ROWS = """
INSERT INTO subscription_status_history
    SELECT gen_random_uuid()::text, s.id, r.status,
        coalesce(s.create_date + r.after, utc_now() + interval '10 days'), s.create_date, ''
    FROM (SELECT id, create_date, row_number() OVER (ORDER BY create_date) % 10 AS kind FROM subscription) s
    JOIN (VALUES (6, 3, interval '30 days'), (6, 1, '60 days'), (7, 3, '30 days'), (7, 1, NULL), (8, 3, '30 days'),
        (8, 1, NULL), (9, 2, '30 days')) r (kind, status, after) ON r.kind = s.kind;
"""
PLAIN = "CREATE TABLE bench_plain AS SELECT id FROM eligible_subscription"


def measure(workspace):
    instance = workspace.instance("eligible")
    instance.sql(CLUBS)
    workspace.table.add(lambda: copying(workspace, instance))
    instance.sql(LATER_ROWS)
    instance.sql(PLAIN)
    instance.settle()
    workspace.table.add(lambda: reading(workspace, instance))
    workspace.table.add(lambda: streaming(workspace, instance))
    if instance.sql("SELECT count(*) FROM wrong_active_intervals()").strip() != "0":
        sys.exit("bench: the intervals are not those of the histories")
    # After the check, since what is written while the triggers are off is kept nowhere.
    workspace.table.add(lambda: subscribing(workspace, instance))


def reading(workspace, instance):
    """The whole answer beside COPY, each to a file."""
    answer, plain = workspace.path("eligible.json"), workspace.path("eligible.copy")
    # Every worker has its own session, whose first statement takes some milliseconds more.
    for _ in range(WORKERS * 2):
        listing(instance, answer)
    figures = in_turns(workspace.turns * 3, ours=lambda: listing(instance, answer),
                       copy=lambda: milliseconds(instance, "COPY bench_plain TO STDOUT", plain))
    with open(answer) as file, open(plain) as other:
        ids = json.load(file)
        if sorted(ids) != sorted(other.read().split()):
            sys.exit("bench: the answer is not what the definition says")
    return [Row("`eligible`, %d of %d subscriptions, ms" % (len(ids), SIZE), figures["ours"],
                "`COPY` of a plain table", figures["copy"], TARGET_COPY)]


def copying(workspace, instance):
    """COPY of everybody's first row, with the triggers and without."""
    path = workspace.path("rows")
    milliseconds(instance, "COPY (%s) TO STDOUT" % FIRST_ROWS, path)

    def copy(are_on):
        instance.sql("TRUNCATE subscription_status_history")
        switch_triggers(instance, are_on)
        taken = milliseconds(instance, "\\copy subscription_status_history FROM '%s'" % path)
        switch_triggers(instance, True)
        return taken / 1000

    without, ours = [], []
    # Always with the triggers last: these rows stay, with their intervals.
    for _ in range(workspace.turns):
        without.append(copy(False))
        ours.append(copy(True))
    return [Row("`COPY` of %d history rows, everybody's first, s" % SIZE, ours, "triggers disabled", without,
                TARGET_LOADING, "%.1f")]


def streaming(workspace, instance):
    """What private memory the function has more while it streams, in kB, than at rest with its database session."""
    def more():
        instance.run("restart", "eligible")
        pids = instance.pids("eligible")
        # A page opens the session of whichever process answers.
        for _ in range(WORKERS * 2):
            listing(instance, os.devnull, "?limit=1")
        rest = most = sum(private_kilobytes(pid) for pid in pids)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            stream = pool.submit(listing, instance, os.devnull)
            while not stream.done():
                most = max(most, sum(private_kilobytes(pid) for pid in pids))
                time.sleep(0.002)
            stream.result()
        return most - rest

    return [Row("private memory of `eligible` while it streams, more than at rest, kB",
                in_turns(workspace.turns, ours=more)["ours"], target=TARGET_MEMORY)]


def subscribing(workspace, instance):
    """`subscribe` of new customers with the triggers beside without, through the gateway and by pgbench."""
    script = SUBSCRIBE.with_values(
        [array("1", "integer"), array("'p' || gen_random_uuid()::varchar(34)", "varchar")]
        + SUBSCRIBE.values[2:]) + ";\n"
    loads = {
        "the gateway": lambda: answers(
            instance.gateway + "/club/1/subscribe/", workspace.seconds, "subscribe", existing=NOBODY),
        "pgbench": lambda: pgbench(instance.database, script, workspace.seconds, workspace.folder),
    }

    def rate(load, are_on):
        switch_triggers(instance, are_on)
        return load()

    rows = []
    for (name, load), target in zip(loads.items(), (TARGET_SUBSCRIBE, None)):
        figures = in_turns(workspace.turns, without=lambda: rate(load, False), ours=lambda: rate(load, True))
        rows.append(Row("`subscribe` by %s, %d connections, all new" % (name, CONNECTIONS), figures["ours"],
                        "triggers disabled", figures["without"], target))
    switch_triggers(instance, True)
    return rows


def switch_triggers(instance, are_on):
    for table in ("subscription", "subscription_status_history"):
        instance.sql("ALTER TABLE %s %s TRIGGER USER" % (table, "ENABLE" if are_on else "DISABLE"))


def milliseconds(instance, statement, output=os.devnull):
    """The time of a statement whose rows go to a file."""
    text = run(["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", instance.database, "-c", "\\timing on", "-c",
                "\\o " + output, "-c", statement])
    return float(re.findall(r"^Time: ([\d.]+) ms", text, re.M)[-1])


def listing(instance, output, query=""):
    """Milliseconds to have the whole answer in a file."""
    url = instance.gateway + "/subscription/eligible" + query
    return float(run(["curl", "-fsS", "-o", output, "-w", "%{time_total}", url])) * 1000
