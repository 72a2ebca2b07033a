"""`subscribe` and `status` through the gateway, beside pgbench running the functions' own statements on the same server.

Half of the customers who subscribe are new, half have subscribed. Beside Flask with SQLAlchemy, which does the same,
and the same statement in C, which is what one statement per request reaches.
"""
from families.data import EXISTING, half
from measuring import peers, statements
from measuring.load import CONNECTIONS, answers, mixed, pgbench
from measuring.table import Row, at_least, in_turns

TARGET_SUBSCRIBE = at_least(0.85)
TARGET_FLASK = at_least(8)
TARGET_STATUS = at_least(0.85)


def measure(workspace, instance):
    scripts = statements.scripts(existing=EXISTING, last=half(workspace), club=instance.club)

    def subscribing(base):
        url = "%s/club/%s/subscribe/" % (base, instance.club)
        return lambda: mixed(url, workspace.seconds, EXISTING)

    def beside(script):
        return lambda: pgbench(instance.database, scripts[script], workspace.seconds, workspace.folder)

    measures = {"ours": subscribing(instance.gateway), "pgbench": beside("subscribe")}
    what = "`subscribe`, %d connections, half new" % CONNECTIONS
    absent = peers.missing("Flask")
    if not workspace.is_short:
        measures["c"] = subscribing(peers.c_subscribe(workspace, instance))
        if not absent:
            measures["flask"] = subscribing(peers.flask(workspace, instance))

    def subscribe_rows():
        figures = in_turns(workspace.turns, **measures)
        yield Row(what, figures["ours"], "pgbench, same statement", figures["pgbench"], TARGET_SUBSCRIBE)
        if "flask" in figures:
            yield Row(what, figures["ours"], "Flask + SQLAlchemy, %d gunicorn workers" % peers.FLASK_WORKERS,
                      figures["flask"], TARGET_FLASK)
        if "c" in figures:
            yield Row(what, figures["ours"], "C, same statement, same nginx", figures["c"])
            yield Row("… the same in C", figures["c"], "pgbench, same statement", figures["pgbench"])

    workspace.table.add(lambda: list(subscribe_rows()))
    if not workspace.is_short and absent:
        workspace.table.cannot(what + "; beside Flask", absent)

    def status_rows():
        figures = in_turns(
            workspace.turns, pgbench=beside("status"),
            ours=lambda: answers(instance.gateway, workspace.seconds, "status", last=half(workspace)))
        return [Row("`status`, %d connections" % CONNECTIONS, figures["ours"], "pgbench, same statement",
                    figures["pgbench"], TARGET_STATUS)]

    workspace.table.add(status_rows)
