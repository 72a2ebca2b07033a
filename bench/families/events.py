"""Events: from the outbox to the committed effect, idle and under load, through one relay and one consumer.

Under load beside a bare publisher and consumer over librabbitmq, with confirms and without any database.
"""
import os
import statistics
import subprocess
import sys
import time
from urllib.parse import unquote, urlsplit

from measuring.table import Row, Target, at_most, in_turns
from measuring.workspace import BUILT, end, wait_until

TARGET_LATENCY = at_most(25, "ms")
TARGET_RATE = Target(2000, is_least=True, unit="a second")
EVENTS, BATCH, PREFETCH, TOGETHER, PROBES = 10000, 200, 100, 50, 40

# The tables of a service that publishes and consumes, and the ledger of the consumer of the tests.
SCHEMA = """
CREATE TABLE outbox (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id uuid NOT NULL DEFAULT gen_random_uuid(),
    type varchar(64) NOT NULL, subject varchar(64) NOT NULL, sequence bigint NOT NULL,
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(), data text NOT NULL, traceparent varchar(55),
    correlation_id varchar(128), causation_id varchar(128),
    lane smallint NOT NULL GENERATED ALWAYS AS (abs(hashtext(subject) % 8)) STORED,
    state varchar(10) NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'unroutable')),
    settled_at timestamptz);
CREATE INDEX outbox_waiting ON outbox (lane, position) WHERE state = 'waiting';
CREATE TABLE outbox_lane (
    lane smallint PRIMARY KEY, held_by varchar(64), held_until timestamptz NOT NULL DEFAULT '-infinity');
INSERT INTO outbox_lane (lane) SELECT generate_series(0, 7);
CREATE TABLE inbox (
    consumer varchar(64) NOT NULL, event_id varchar(128) NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (consumer, event_id));
CREATE INDEX inbox_received_at ON inbox USING brin (received_at);
CREATE TABLE effect (
    place bigserial, event_id text, subject text, sequence bigint, request_id text,
    at timestamptz DEFAULT clock_timestamp());
CREATE TABLE broken (mode text);
"""


class Service:
    """A database of its own on the instance's server, with one relay and one consumer."""

    def __init__(self, workspace, instance):
        self.broker = instance.record["rabbitmq"]
        address = urlsplit(instance.database)
        with open(os.path.join(instance.record["data"], "postgres.password")) as file:
            password = file.read().strip()
        server = "postgresql://postgres:%s@/%%s?host=%s&port=%d" % (password, unquote(address.hostname), address.port)
        self.url = server % "bench_events"
        psql(server % "postgres", "CREATE DATABASE bench_events")
        psql(self.url, SCHEMA)
        self.signal = workspace.path("events.signal")
        common = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", ""),
                  "DATABASE_URL": self.url, "AMQP_URL": self.broker, "TAPROOM_EXCHANGE": "bench.events",
                  "TAPROOM_TIMEOUT": "30"}
        self.consumer = workspace.start([os.path.join(BUILT, "LedgerConsumer")], environment={
            **common, "TAPROOM_FUNCTION": "ledger", "TAPROOM_QUEUE": "bench.ledger", "TAPROOM_ROUTING_KEYS": "#",
            "TAPROOM_CONCURRENCY": "1", "TAPROOM_PREFETCH": str(PREFETCH), "TAPROOM_BATCH": str(TOGETHER)})
        self.relay = workspace.start([workspace.function("Relay")], environment={
            **common, "TAPROOM_FUNCTION": "relay", "TAPROOM_OUTBOX": "bench", "OUTBOX_SIGNAL": self.signal,
            "TAPROOM_BATCH": str(BATCH)})
        wait_until(lambda: os.path.exists(self.signal), "the relay")
        self.pipe = os.open(self.signal, os.O_WRONLY | os.O_NONBLOCK)
        self.session = subprocess.Popen(
            ["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", self.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, bufsize=1)
        self.write(1)
        wait_until(lambda: self.effects() == 1, "the first event's effect")

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
        return int(self.ask("SELECT coalesce(max(place), 0) FROM effect"))

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
