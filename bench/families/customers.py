"""A page of the list of customers at the database, for terms of every kind, at the first page and deep down.

One million customers, laid out as the functions lay them: in the order of their numbers. Each page is asked for in one
session after a first time that is not counted, as a function's session stays open.
"""
import re
import subprocess

from measuring.statements import Statement
from measuring.table import Row, at_most

TARGET = at_most(20, "ms")
CUSTOMERS = 1_000_000
PER_TURN = 5
FIRST = "Ana Bruno Carla Diego Elisa Fábio Gina Hugo Inês João"
LAST = "Silva Souza Costa Rossi Meyer Novak Dubois Lima Araújo Khan"
STREETS = "Rua da Cerveja,Hopfenweg,Malt Lane,Avenida Brasil,Via Roma,Rue du Port,Calle Mayor,Kaiserallee"
CITIES = "Porto,Recife,München,Roma,Lyon,Sevilla,London,Curitiba,Gent,Praha"
COUNTRIES = "Portugal,Brazil,Germany,Italy,France,Spain,United Kingdom,Brazil,Belgium,Czechia"

LOAD = """
INSERT INTO customer (id, number, email, street, city, country, created_at, is_archived, version)
SELECT gen_random_uuid()::text, n,
    lower((string_to_array('{first}', ' '))[1 + n * 7 % 10] || '.' || (string_to_array('{last}', ' '))[1 + n / 3 % 10])
        || n || '@example.com',
    (string_to_array('{streets}', ','))[1 + n / 5 % 8] || ' ' || n % 250,
    CASE WHEN n % 5000 = 77 THEN 'Quixadá' WHEN n < 400000 AND n % 5 = 0 THEN 'Oldenburg'
         ELSE (string_to_array('{cities}', ','))[1 + n / 7 % 10] END,
    (string_to_array('{countries}', ','))[1 + n / 7 % 10], timestamptz '2020-01-01' + n * interval '1 minute',
    n % 10 = 3, 1
FROM generate_series(1, {count}) n
"""

# What is searched for, and how common it is.
TERMS = {
    "everybody: example": "example",
    "one in ten: recife": "recife",
    "one in five of the oldest two fifths: oldenburg": "oldenburg",
    "one in 5,000: quixad": "quixad",
    "one alone: silva123456@": "silva123456@",
    "long, of common parts: bruno.silva1234": "bruno.silva1234",
    "none: zzyzx": "zzyzx",
    "two letters: zq": "zq",
}
# The page before which a deep page starts.
DEEP = 500_000


def measure(workspace, instance):
    database = instance.record["parameters"]["databases.customers"]

    def sql(*statements):
        command = ["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", database]
        for statement in statements:
            command += ["-c", statement]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    indexes = sql("SELECT indexdef FROM pg_indexes WHERE tablename = 'customer'").strip().split("\n")
    names = [re.search(r"INDEX (\w+) ON", index)[1] for index in indexes]
    sql("DROP INDEX " + ", ".join(names),
        LOAD.format(first=FIRST, last=LAST, streets=STREETS, cities=CITIES, countries=COUNTRIES, count=CUSTOMERS),
        "SET maintenance_work_mem = '256MB'", *indexes, "VACUUM ANALYZE customer")

    def page(term, archived, before):
        """Milliseconds of the statement that the list function runs, at the database."""
        values = ["NULL" if term is None else "'%s'" % term, archived, str(before) if before else "NULL", "21"]
        statement = PAGE.with_values(values)
        text = sql("\\timing on", *[statement] * (PER_TURN + 1))
        return [float(value) for value in re.findall(r"^Time: ([\d.]+) ms", text, re.M)][1:]

    def row(what, *arguments):
        workspace.table.add(lambda: [Row(
            "page of 21 of 1,000,000 customers, ms: " + what,
            [value for _ in range(workspace.turns) for value in page(*arguments)], target=TARGET, form="%.1f")])

    row("all", None, "NULL", None)
    row("all, deep", None, "NULL", DEEP)
    for what, term in TERMS.items():
        row(what, term, "NULL", None)
        row(what + ", deep", term, "NULL", DEEP)
        row(what + ", archived", term, "true", None)


PAGE = Statement("Customers/CustomerDirectory.swift", "FROM customer_page(", ["", "", "", ""])
