"""From exec to the first answer over FastCGI: without a database, with one query, and of `subscribe`, whose one statement
runs functions of the database that a new session has to read and plan first. Beside the same in C, and beside what a
Swift program without a line takes to end."""
import os
import subprocess
import sys
import time

from families.data import EXISTING
from measuring import peers
from measuring.fastcgi import ask
from measuring.table import Row, at_most, in_turns
from measuring.workspace import end, listening

TARGET_BARE = at_most(5, "ms")
TARGET_QUERY = at_most(12, "ms")
# A start takes milliseconds, so there is time for many.
STARTS_PER_TURN = 4


def measure(workspace, instance):
    def start(command, environment, request, expected):
        path = workspace.path("cold-start.sock")
        with listening(path) as listener:
            begin = time.perf_counter()
            process = workspace.start(command, listener, environment)
            answer = ask(path, **request)
            milliseconds = (time.perf_counter() - begin) * 1000
            process.kill()
            end(process)
        os.unlink(path)
        if expected not in answer:
            sys.exit("bench: %s answered %r" % (command[0], answer))
        return milliseconds

    def rows(what, target, ours, c, request, expected, **others):
        figures = in_turns(STARTS_PER_TURN * workspace.turns, ours=lambda: start(*ours, request, expected),
                           c=lambda: start(*c, request, expected), **others)
        return [Row(what, figures["ours"], "C with libfcgi", figures["c"], target, "%.1f")] + [
            Row(what, figures["ours"], name, figures[name], form="%.1f") for name in others]

    empty = workspace.compile_swift("peers/swift-empty/empty.swift")
    libraries = os.path.join(os.path.dirname(instance.function("Livez")), "libraries")
    workspace.table.add(lambda: rows(
        "exec to first answer, ms, no database", TARGET_BARE,
        peers.function(instance.function("Livez"), "livez", "GET /livez", 1),
        ([workspace.compile("peers/c-answer/answer.c", "fcgi"), "1"], None),
        {"REQUEST_URI": "/livez"}, b"alive",
        **{"an empty Swift program, to its end": lambda: run_through(empty, libraries)}))

    workspace.table.add(lambda: rows(
        "exec to first answer, ms, one query", TARGET_QUERY,
        peers.function(instance.function("Clubs"), "clubs", "GET /club/", 1, DATABASE_URL=instance.database),
        (peers.c_statement_command(workspace, "clubs", 1), {**os.environ, "DATABASE_URL": instance.database}),
        {"REQUEST_URI": "/club/"}, b"store_sku"))

    # A customer who has subscribed: connecting and one statement that writes nothing.
    path = "/club/%s/subscribe/" % instance.club
    body = b'{"customer_id":"c%d"}' % EXISTING
    workspace.table.add(lambda: rows(
        "exec to first answer, ms, subscribe", None,
        peers.function(instance.function("Subscribe"), "subscribe", "POST /club/{id}/subscribe/", 1,
                       DATABASE_URL=instance.database),
        (peers.c_statement_command(workspace, "subscribe", 1),
         {**os.environ, "DATABASE_URL": instance.database}),
        {"REQUEST_URI": path, "body": body}, b"already-subscribed"))


def run_through(command, libraries):
    """Milliseconds from exec to exit, with the libraries of a function."""
    environment = {**os.environ, "LD_LIBRARY_PATH": libraries}
    begin = time.perf_counter()
    subprocess.run([command], check=True, env=environment)
    return (time.perf_counter() - begin) * 1000
