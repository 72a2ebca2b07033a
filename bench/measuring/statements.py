"""The functions' own statements, read from the Swift sources, so that what pgbench and the C peer run cannot drift.

When a statement takes other parameters, its `values` below are what has to follow: one for each `\\(…)` of the Swift
text, in order. A wrong number of them ends the bench with the statement's name.
"""
import os
import re
import sys

from measuring.environment import ROOT


class Statement:
    def __init__(self, source, marker, values):
        self.values = values
        path = os.path.join(ROOT, "Sources", source)
        with open(path) as file:
            found = [text for text in re.findall(r'"""\n(.*?)"""', file.read(), re.DOTALL) if marker in text]
        if len(found) != 1:
            sys.exit("bench: %s has %d statements with “%s”, not 1: correct statements.py" % (path, len(found), marker))
        self.pieces = split_at_interpolations(" ".join(found[0].split()))
        if len(self.pieces) - 1 != len(values):
            sys.exit("bench: the statement with “%s” in %s takes %d values, and statements.py has %d" % (
                marker, path, len(self.pieces) - 1, len(values)))

    def with_values(self, values=None):
        """The text with an expression for each parameter."""
        values = self.values if values is None else values
        return "".join(piece + value for piece, value in zip(self.pieces, values + [""]))


def split_at_interpolations(text):
    """The pieces around each `\\(…)`, whose parentheses may nest."""
    pieces, rest = [], text
    while "\\(" in rest:
        piece, rest = rest.split("\\(", 1)
        depth = 1
        for index, character in enumerate(rest):
            depth += {"(": 1, ")": -1}.get(character, 0)
            if depth == 0:
                break
        pieces.append(piece)
        rest = rest[index + 1:]
    return pieces + [rest]


def scripts(existing=1, last=1, first=1, clients=1, club="1"):
    """pgbench's scripts, which ask for the same mix as those of wrk.

    - existing: customers c1 … of this number have subscribed.
    - last: the greatest number of a subscription that is charged or gets another status.
    - first: the least number of a subscription that is charged for the first time.
    """
    replay = BEGIN_CHARGE.with_values()
    return {
        "subscribe": "\\set is_new random(0, 1)\n"
                     "\\set customer random(1, %d) + :is_new * %d * random(1, 2147483648)\n%s;\n" % (
                         existing, existing, SUBSCRIBE.with_values([array(club, "integer")] + SUBSCRIBE.values[1:])),
        "status": "\\set subscription random(1, %d) + 100000000000\n\\set status random(1, 3)\n%s;\n" % (
            last, CHANGE_STATUS.with_values()),
        "replay": "\\set subscription random(1, %d) + 100000000000\n%s;\n" % (last, replay),
        "charge": "\\set count :count + 1\n\\set subscription %d + :count * %d + :client_id + 100000000000\n"
                  "%s \\gset\n%s;\n" % (first, clients, replay, FINISH_CHARGE.with_values()),
    }


def array(value, kind):
    """The functions' statements take what several requests ask; here each asks for itself."""
    return "ARRAY[%s]::%s[]" % (value, kind)


# MARK: Where parameters come from

SUBSCRIPTION = array("'00000000-0000-4000-8000-' || :subscription", "varchar")
MADE_ID = array("gen_random_uuid()::text", "varchar")
REQUEST = array("'bench-' || :subscription", "varchar")
TRACE = array("'00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'", "varchar")
CORRELATION = array("gen_random_uuid()::text", "varchar")

# MARK: The statements, with one value for each parameter as pgbench gives it; `scripts` fills in the club

SUBSCRIBE = Statement(
    "Subscriptions/SubscriptionStore.swift", "FROM subscribe(",
    ["", array("'c' || :customer", "varchar"), MADE_ID, MADE_ID, TRACE, CORRELATION, "false"])
CHANGE_STATUS = Statement(
    "Subscriptions/SubscriptionStore.swift", "FROM change_status(",
    [SUBSCRIPTION, array(":status", "integer"), array("NULL", "timestamp"), array("NULL", "integer"),
     array("NULL", "varchar"), MADE_ID, MADE_ID, TRACE, CORRELATION, "false"])
BEGIN_CHARGE = Statement(
    "Charging/LedgerRequests.swift", "FROM begin_charges(",
    [SUBSCRIPTION, REQUEST, "'UTC'", array("25000", "integer"), array("false", "boolean"), "false", "false"])
FINISH_CHARGE = Statement(
    "Charging/LedgerRequests.swift", "FROM finish_charges(",
    [array(":charge_id", "bigint"), array(":charge_attempt", "integer"), array(":sent_request", "varchar"),
     array("'charged'", "text"), array("200", "integer"), array("'{\"order_id\":\"bench\"}'", "text"),
     array("NULL", "varchar"), SUBSCRIPTION, TRACE, CORRELATION, "false"])
CLUBS = Statement("Subscriptions/ClubCatalogue.swift", "FROM club c", [])


# MARK: As the C peer runs them: the text, the outcome of success, and where each $n comes from (see statement.c).

def in_c(statement, bound, outcome, *sources):
    """- bound: what stands for the parameters of these places; the others are as pgbench has them."""
    values = [bound.get(place, value) for place, value in enumerate(statement.values)]
    return [statement.with_values(values), outcome, *sources]


IN_C = {
    "subscribe": in_c(
        SUBSCRIBE, {0: array("$1", "integer"), 1: array("$2", "varchar"), 2: array("$3", "varchar"),
                    3: array("$4", "varchar")}, "subscribed", "1", "customer_id", "uuid", "uuid"),
    "status": in_c(
        CHANGE_STATUS, {0: array("$1", "varchar"), 1: array("$2", "integer"), 5: array("$3", "varchar"),
                        6: array("$4", "varchar")}, "changed", "1", "status_id", "uuid", "uuid"),
    "charge": in_c(
        BEGIN_CHARGE, {0: array("$1", "varchar"), 1: array("$2", "varchar")}, "charged", "1", "3"),
    "clubs": in_c(CLUBS, {}, ""),
}
# As the bare one runs it: for all who wait. In place of each other array stands one as long.
BARE_IN_C = {
    "charge": in_c(
        BEGIN_CHARGE, {0: "$1::varchar[]", 1: "$2::varchar[]", 3: "array_fill(25000, ARRAY[cardinality($1)])",
                       4: "array_fill(false, ARRAY[cardinality($1)])"}, "charged"),
}
