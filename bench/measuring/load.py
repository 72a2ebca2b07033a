"""Load: wrk for HTTP, pgbench for statements, and pace and flush for a given rate."""
import itertools
import math
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass

from measuring.environment import ROOT

CONNECTIONS = 16
THREADS = 2
# Standard deviations.
CHANCE = 5
# No two loads of a run, nor two runs, may make the same "new" customers.
seeds = itertools.count(int(time.time()))


@dataclass
class Load:
    rate: float
    requests: int
    # Answers other than 2xx and 3xx.
    refused: int


def wrk(url, seconds, script=None, **environment):
    """Requests over 16 connections of two threads; ends the bench on connection errors."""
    # By itself wrk counts an answer after more than 2 s as none; a busy host can hold one back for that long.
    command = ["wrk", "-t%d" % THREADS, "-c%d" % CONNECTIONS, "-d%ds" % seconds, "--timeout", "10s"]
    if script:
        command += ["-s", os.path.join(ROOT, "bench", "wrk", script + ".lua")]
    environment.update(seed=next(seeds), threads=THREADS)
    environment = {"BENCH_" + name.upper(): str(value) for name, value in environment.items()}
    text = run(command + [url], {**os.environ, **environment})
    if "Socket errors" in text:
        sys.exit("bench: not every request to %s was answered:\n%s" % (url, text))
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return Load(
        float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]), int(re.search(r"(\d+) requests in", text)[1]),
        int(refused[1]) if refused else 0)


def answered(url, seconds, script=None, **environment):
    """A load whose answers must all be 2xx."""
    load = wrk(url, seconds, script, **environment)
    if load.refused:
        sys.exit("bench: %d of %d answers of %s were not 2xx" % (load.refused, load.requests, url))
    return load


def answers(*arguments, **environment):
    """The rate of a load whose answers must all be 2xx."""
    return answered(*arguments, **environment).rate


def mixture(url, seconds, existing):
    """Subscribing, of which half must be refused: those customers have subscribed.

    wrk does not tell a refusal from a failure, so there may be no more of both than half and what chance adds: five
    standard deviations, which is once in three million loads.
    """
    load = wrk(url, seconds, "subscribe", existing=existing)
    if abs(load.refused - load.requests / 2) > CHANCE * math.sqrt(load.requests) / 2:
        sys.exit("bench: %d of %d subscriptions at %s were refused, not half" % (load.refused, load.requests, url))
    return load


def mixed(*arguments):
    """The rate of such subscribing."""
    return mixture(*arguments).rate


def pgbench(database, script, seconds, folder):
    """Transactions a second over 16 sessions, prepared."""
    path = os.path.join(folder, "pgbench.sql")
    with open(path, "w") as file:
        file.write(script)
    text = run(["pgbench", "-n", "-M", "prepared", "-c", str(CONNECTIONS), "-j", "2", "-T", str(seconds),
                "-D", "count=0", "-f", path, database])
    failed = re.search(r"failed transactions: (\d+)", text)
    if failed and failed[1] != "0" or "aborted" in text:
        sys.exit("bench: pgbench did not get through:\n" + text)
    return float(re.search(r"tps = ([\d.]+) \(without", text)[1])


def pace(program, port, path, rate, seconds, existing):
    """Median and 99th percentile in milliseconds of subscribing at a rate over 16 connections."""
    return paced([program, str(port), path, str(CONNECTIONS), str(int(rate)), str(seconds), str(existing)])


def flush(program, path, rate, seconds):
    """Median and 99th percentile in milliseconds of writing a page to a file and flushing it, at a rate."""
    return paced([program, path, str(int(rate)), str(seconds)])


def paced(command):
    count, refused, median, last = (int(word) for word in run(command).split())
    if refused:
        sys.exit("bench: %d of %d paced requests were neither taken nor known" % (refused, count))
    return median / 1000, last / 1000


def run(command, environment=None):
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.exit("bench: %s failed:\n%s%s" % (command[0], done.stdout, done.stderr))
    return done.stdout
