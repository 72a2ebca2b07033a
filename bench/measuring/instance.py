"""A running instance of this project, its database, and the data that the rows need."""
import json
import os
import subprocess
import sys
from urllib.parse import urlsplit

from measuring.environment import ROOT, free_port, surroundings

# Subscription n has this id, and the customer cN.
ID = "'00000000-0000-4000-%s-' || 100000000000 + n"


class Instance:
    def __init__(self, tool, folder, environment):
        if not os.path.exists(tool):
            sys.exit("bench: %s is missing: run make build first" % tool)
        self.tool = tool
        self.state = os.path.join(folder, "state")
        os.makedirs(self.state)
        os.chmod(folder, 0o755)
        self.port = free_port()
        self.environment = surroundings(
            TAPROOM_STATE=self.state, TAPROOM_PORT=str(self.port), TAPROOM_CONFIG=os.path.join(folder, "config.json"),
            **environment)
        self.club = None

    def up(self):
        self.run("up")
        with open(os.path.join(self.state, "instance.json")) as file:
            self.record = json.load(file)
        # The functions' own URI, which goes through the server's Unix socket.
        self.database = self.record["parameters"]["databases.subscriptions"]
        self.gateway = "http://127.0.0.1:%d" % self.port
        self.club = self.sql(
            "WITH made AS (INSERT INTO club (name, store_sku) VALUES ('Bench', 1) RETURNING id) "
            "INSERT INTO club_status_history SELECT gen_random_uuid()::text, id, 1, utc_now() - interval '60 days', "
            "utc_now(), '' FROM made RETURNING club_id").split()[0]

    def down(self):
        """Stops it and forgets its data, wherever they lie."""
        self.run("clean-state")

    def run(self, *arguments):
        done = subprocess.run([self.tool, *arguments], cwd=ROOT, env=self.environment, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit("bench: taproom %s failed:\n%s%s" % (arguments[0], done.stdout, done.stderr))
        return done.stdout

    def function(self, name):
        """The executable of which the instance runs its own processes."""
        return os.path.join(self.record["data"], "bin", name + "Function")

    def process(self, name):
        """Executable and environment of a function's process."""
        pid = self.pids(name)[0]
        with open("/proc/%d/environ" % pid) as file:
            variables = file.read().rstrip("\0").split("\0")
        return os.readlink("/proc/%d/exe" % pid), dict(variable.split("=", 1) for variable in variables)

    def pids(self, name):
        """Of a function's processes."""
        functions = json.loads(self.run("status", "--json"))["functions"]
        return next(function["pids"] for function in functions if function["name"] == name)

    def sql(self, text):
        return subprocess.run(["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", self.database, "-c", text], check=True,
                              capture_output=True, text=True).stdout

    def copy(self, query, table):
        """Loads rows by COPY, as outsiders do."""
        psql = ["psql", "-qX", "-v", "ON_ERROR_STOP=1", self.database, "-c"]
        rows = subprocess.Popen(psql + ["COPY (%s) TO STDOUT" % query], stdout=subprocess.PIPE)
        subprocess.run(psql + ["COPY %s FROM STDIN" % table], stdin=rows.stdout, check=True)
        if rows.wait() != 0:
            sys.exit("bench: loading %s failed" % table)

    def load(self, count, charged=0, changes=False):
        """Subscriptions 1 … count, all active since 30 days; the first `charged` of them charged this month.

        - changes: seven of ten have changed since: four cancelled or paused, three active again.
        """
        at = "utc_now() - interval '%d days'"
        numbers = "generate_series(1, %d) n" % count
        # The intervals are made at once, as their migration does: with the triggers COPY takes twice as long.
        self.sql("ALTER TABLE subscription_status_history DISABLE TRIGGER USER")
        self.copy("SELECT %s, %s, 'c' || n, %s FROM %s" % (ID % "8000", self.club, at % 30, numbers), "subscription")
        history = "SELECT %s, %s, 1, %s, %s, 'Subscribed' FROM %s" % (
            ID % "9000", ID % "8000", at % 30, at % 30, numbers)
        if changes:
            history += (
                " UNION ALL SELECT %s, %s, (ARRAY[2, 2, 3, 3, 1, 1, 1])[n %% 10 + 1], %s, %s, 'Changed' FROM %s "
                "WHERE n %% 10 < 7" % (ID % "a000", ID % "8000", at % 10, at % 10, numbers))
        self.copy(history, "subscription_status_history")
        self.sql("INSERT INTO active_interval (since, until, club_id, subscription_id) "
                 "SELECT since, until, club_id, subscription_id FROM active_interval_definition WHERE until > utc_now()")
        self.sql("ALTER TABLE subscription_status_history ENABLE TRIGGER USER")
        if charged:
            self.charge(charged)
        self.settle()

    def charge(self, count):
        """Has the subscriptions 1 … count charged this month."""
        self.sql(
            "WITH made AS (INSERT INTO charge (subscription_id, period, state, request_id, customer_id, sku_id, "
            "lease_until, created_at, charged_at, platform_order) "
            "SELECT %s, billing_period(clock_timestamp(), 'UTC'), 'charged', 'bench-' || n, 'c' || n, 1, now(), "
            "now(), now(), '{\"order_id\":\"bench\"}' "
            "FROM generate_series(1, %d) n RETURNING request_id, id) "
            "INSERT INTO charge_request SELECT request_id, id FROM made" % (ID % "8000", count))

    def empty_ledger(self):
        self.sql("TRUNCATE charge, charge_request, charge_event, charge_settlement")

    def settle(self):
        """Takes what loading left to do out of the measurements."""
        self.as_superuser("VACUUM ANALYZE", "CHECKPOINT")

    def warm(self, relations):
        """Has the server read these tables and indexes into its buffers, as one that has answered for a day.

        Five times, the most that the use of a page counts: what loading has used much makes room no sooner.
        """
        self.as_superuser("SET client_min_messages = warning", "CREATE EXTENSION IF NOT EXISTS pg_prewarm",
                          *["SELECT pg_prewarm(name) FROM unnest('{%s}'::regclass[]) name" % ",".join(relations)] * 5)

    def superuser_url(self, database):
        """The superuser's URI of a database of the embedded server."""
        address = urlsplit(self.database)
        with open(os.path.join(self.record["data"], "postgres.password")) as file:
            password = file.read().strip()
        return "postgresql://postgres:%s@%s:%d/%s" % (password, address.hostname, address.port, database)

    def as_superuser(self, *statements):
        subprocess.run(
            ["psql", "-qX", "-o", os.devnull, "-v", "ON_ERROR_STOP=1", self.superuser_url("subscriptions"),
             *(word for statement in statements for word in ("-c", statement))], check=True)
