"""Events: from the outbox to the committed effect, idle and under load, through one relay and one consumer.

Under load beside a bare publisher and consumer over librabbitmq, with confirms and without any database.
"""
import contextlib
import glob
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from urllib.parse import unquote, urlsplit

from families.data import EXISTING
from measuring import peers
from measuring.environment import ROOT
from measuring.load import mixed
from measuring.table import Row, at_least, at_most, in_turns
from measuring.workspace import BUILT, end, wait_until

TARGET_LATENCY = at_most(25, "ms")
TARGET_COST = at_least(0.85)
TARGET_RATE = at_least(2000, "a second")
EVENTS, BATCH, PREFETCH, TOGETHER, PROBES = 10000, 200, 100, 50, 40

# The ledger of the consumer of the tests, beside the tables that every service has for its events.
SCHEMA = """
CREATE TABLE effect (
    place bigserial, event_id text, subject text, sequence bigint, request_id text,
    at timestamptz DEFAULT clock_timestamp());
CREATE TABLE broken (mode text);
"""


class Service:
    """A database of its own on the instance's server, with one relay and one consumer."""

    def __init__(self, workspace, instance):
        self.broker = instance.record["rabbitmq"]
        self.url = instance.superuser_url("bench_events")
        psql(instance.superuser_url("postgres"), "CREATE DATABASE bench_events")
        psql(self.url, tables_for_events() + SCHEMA)
        self.signal = workspace.path("events.signal")
        ledger = os.path.join(BUILT, "LedgerConsumer")
        common = {**peers.basics(ledger), "DATABASE_URL": self.url, "AMQP_URL": self.broker,
                  "TAPROOM_EXCHANGE": "bench.events", "TAPROOM_TIMEOUT": "30"}
        self.consumer = workspace.start([ledger], environment={
            **common, "TAPROOM_FUNCTION": "ledger", "TAPROOM_QUEUE": "bench.ledger", "TAPROOM_ROUTING_KEYS": "#",
            "TAPROOM_CONCURRENCY": "1", "TAPROOM_RETRY": "5", "TAPROOM_DEAD_LETTER": "bench.ledger.dead",
            "TAPROOM_PREFETCH": str(PREFETCH), "TAPROOM_BATCH": str(TOGETHER)})
        self.relay = workspace.start([workspace.function("Relay")], environment={
            **common, "TAPROOM_FUNCTION": "relay", "TAPROOM_OUTBOX": "bench", "OUTBOX_SIGNAL": self.signal,
            "TAPROOM_BATCH": str(BATCH)})
        wait_until(lambda: os.path.exists(self.signal), "the relay")
        self.pipe = os.open(self.signal, os.O_WRONLY | os.O_NONBLOCK)
        self.session = subprocess.Popen(
            ["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", self.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, bufsize=1)
        # Events that come before the consumer has bound its queue go nowhere.
        wait_until(lambda: self.write(1) or self.effects() > 0, "the first event's effect")

    def ask(self, statement):
        self.session.stdin.write(statement + ";\n")
        self.session.stdin.flush()
        return self.session.stdout.readline().strip()

    def write(self, count):
        """Commits events and raises the signal, as functions do."""
        self.ask("WITH made AS (INSERT INTO outbox (type, subject, sequence, data) SELECT 'bench.event', 's' || n %% 100, "
                 "n, '{\"padding\":\"' || repeat('x', 180) || '\"}' FROM generate_series(1, %d) n RETURNING 1) "
                 "SELECT count(*) FROM made" % count)
        os.write(self.pipe, b"\1")

    def effects(self):
        return int(self.ask("SELECT count(*) FROM effect"))

    def milliseconds(self):
        """The median of events that come alone, from the commit until others see the effect."""
        times = []
        for _ in range(PROBES):
            before = self.effects()
            start = time.perf_counter()
            self.write(1)
            while self.effects() == before:
                if time.perf_counter() - start > 30:
                    sys.exit("bench: an event has had no effect for 30 s")
            times.append(1000 * (time.perf_counter() - start))
            time.sleep(0.05)
        return statistics.median(times)

    def rate(self):
        before = self.effects()
        self.write(EVENTS)
        start = time.perf_counter()
        while self.effects() < before + EVENTS:
            if time.perf_counter() - start > 120:
                sys.exit("bench: %d events have not had their effects after two minutes" % EVENTS)
            time.sleep(0.01)
        return EVENTS / (time.perf_counter() - start)

    def close(self):
        self.session.stdin.close()
        self.session.wait()
        os.close(self.pipe)
        for process in (self.relay, self.consumer):
            end(process)


def tables_for_events():
    """As the migrations make them in every service."""
    texts = []
    for path in glob.glob(os.path.join(ROOT, "migrations", "customers", "*.sql")):
        with open(path) as file:
            texts.append(file.read())
    patterns = (r"CREATE TABLE outbox \(.*?ON inbox USING brin \(received_at\);",
                r"CREATE INDEX outbox_unroutable.*?ON inbox \(received_at\);")
    found = [re.search(pattern, "\n".join(texts), re.DOTALL) for pattern in patterns]
    if not all(found):
        sys.exit("bench: no migration makes an outbox")
    return "\n".join(part[0] for part in found)


@contextlib.contextmanager
def without_events(instance):
    """The function `subscribe` of the database writes no events as long as the block runs."""
    whole = instance.sql("SELECT pg_get_functiondef('subscribe'::regproc)")
    part, count = re.subn(r",\n    published AS \(\n.*?FROM fresh f\)\n", "\n", whole, flags=re.DOTALL)
    if count != 1:
        sys.exit("bench: what `subscribe` publishes is not where it was: correct without_events")
    instance.sql(part)
    try:
        yield
    finally:
        instance.sql(whole)


@contextlib.contextmanager
def standing_still(pids):
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def wait_until_published(instance):
    waiting = "SELECT EXISTS (SELECT FROM outbox WHERE state = 'waiting')"
    wait_until(lambda: instance.sql(waiting).strip() == "f", "an outbox without waiting events")


def measure_cost(workspace, instance):
    """What its events cost `subscribe`: to write them, and to have them published at the same time."""
    relay = instance.pids("relay-subscriptions")

    def rate():
        return mixed("%s/club/%s/subscribe/" % (instance.gateway, instance.club), workspace.seconds, EXISTING)

    # What a turn leaves to publish must not burden the next.
    def publishing():
        wait_until_published(instance)
        return rate()

    def writing():
        wait_until_published(instance)
        with standing_still(relay):
            return rate()

    def silent():
        wait_until_published(instance)
        with without_events(instance):
            return rate()

    def rows():
        figures = in_turns(workspace.turns, writing=writing, publishing=publishing, silent=silent)
        return [
            Row("`subscribe` with its outbox", figures["writing"], "without", figures["silent"], TARGET_COST),
            Row("… while a relay publishes on the same processors", figures["publishing"], "without",
                figures["silent"])]

    workspace.table.add(rows)


def psql(url, script):
    subprocess.run(["psql", "-qX", "-v", "ON_ERROR_STOP=1", url, "-c", script], check=True)


def measure(workspace, instance):
    service = Service(workspace, instance)
    program = workspace.compile("peers/c-rabbitmq/rabbitmq.c", "rabbitmq")
    broker = urlsplit(service.broker)

    def bare():
        done = subprocess.run(
            [program, broker.hostname, str(broker.port), unquote(broker.username), unquote(broker.password),
             "bench.c", str(EVENTS), str(BATCH)], check=True, capture_output=True, text=True)
        return float(done.stdout)

    def rows():
        latency = in_turns(workspace.turns, ours=service.milliseconds)["ours"]
        rates = in_turns(workspace.turns, ours=service.rate, c=bare)
        return [
            Row("event, idle: outbox committed to effect committed, ms", latency, target=TARGET_LATENCY, form="%.1f"),
            Row("events a second, one relay, one consumer", rates["ours"], "librabbitmq alone (C), no database",
                rates["c"], TARGET_RATE)]

    workspace.table.add(rows)
    service.close()
