"""`subscribe` and `status` through the gateway, beside pgbench with the functions' own statements on the same server.

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
        measures["c"] = subscribing(peers.c_statement(workspace, instance, "subscribe", 16))
        if not absent:
            measures["flask"] = subscribing(peers.flask(workspace, instance))

    def subscribe_rows():
        figures = in_turns(workspace.turns, **measures)
        rows = beside_limits(what, figures, TARGET_SUBSCRIBE)
        if "flask" in figures:
            rows.append(Row(what, figures["ours"], "Flask + SQLAlchemy, %d gunicorn workers" % peers.FLASK_WORKERS,
                            figures["flask"], TARGET_FLASK))
        return rows

    workspace.table.add(subscribe_rows)
    if not workspace.is_short and absent:
        workspace.table.cannot(what + "; beside Flask", absent)

    def changing(base):
        return lambda: answers(base, workspace.seconds, "status", last=half(workspace))

    status = {"ours": changing(instance.gateway), "pgbench": beside("status")}
    if not workspace.is_short:
        status["c"] = changing(peers.c_statement(workspace, instance, "status", 16))
    workspace.table.add(lambda: beside_limits(
        "`status`, %d connections" % CONNECTIONS, in_turns(workspace.turns, **status), TARGET_STATUS))


def beside_limits(what, figures, target):
    """Rows beside pgbench, and beside C when that was measured."""
    rows = [Row(what, figures["ours"], "pgbench, same statement", figures["pgbench"], target)]
    if "c" in figures:
        rows.append(Row(what, figures["ours"], "C, same statement, same nginx", figures["c"]))
        rows.append(Row("… the same in C", figures["c"], "pgbench, same statement", figures["pgbench"]))
    return rows
