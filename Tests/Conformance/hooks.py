"""What the document cannot say to Schemathesis: which things exist, and rules between parameters.

TAPROOM_KNOWN is a JSON object of ids that exist, by operation (`POST /path`) or by how a path begins, the first that
fits: what one operation ends, others need not meet. TAPROOM_TALLY names the file that gets the number of answers by
operation and status.
"""

import atexit
import collections
import datetime
import json
import os
import re
import zlib

import schemathesis
from hypothesis import strategies

REQUEST = re.compile("[A-Za-z0-9._:-]{1,128}")
KNOWN = json.loads(os.environ["TAPROOM_KNOWN"])


def is_number(value):
    """Whether a generated club id has its form; some phases give it as the text that goes into the path."""
    return isinstance(value, (int, str)) and str(value).isdecimal() and 1 <= int(value) < 2**31


def is_text(value):
    return isinstance(value, str) and 1 <= len(value) <= 36 and "\0" not in value


def known_ids(case):
    path = case.operation.path
    for place, ids in KNOWN.items():
        if place == f"{case.method} {path}" or path.startswith(place):
            return ids
    return []


@schemathesis.hook
def before_call(context, case, kwargs):
    """Makes two ids of three the id of something that exists, unless an answer gave the id, and mends what the document
    cannot say. What comes of a value follows from the value, not from chance; what has not the form of an id stays as
    it is, to be refused.
    """
    stateful = case.meta is not None and case.meta.phase.name == "stateful"
    value = (case.path_parameters or {}).get("id")
    known = [] if stateful else known_ids(case)
    if known and (is_number if isinstance(known[0], int) else is_text)(value):
        number = zlib.crc32(str(value).encode())
        if number % 3:
            case.path_parameters["id"] = known[number // 3 % len(known)]
    # Ids of orders are learnt from the platform's answers; who charges needs one that made no order yet.
    request = (case.path_parameters or {}).get("request_id")
    if not stateful and case.operation.path.endswith("/charge/{request_id}") and REQUEST.fullmatch(str(request)):
        case.path_parameters["request_id"] = f"charge-{zlib.crc32(f'{request} {value}'.encode())}"
    # A place in the list is the id of a customer.
    if case.operation.path == "/api/v1/customers" and is_text((case.query or {}).get("after")):
        case.query["after"] = KNOWN["/api/v1/customers/"][0]
    # The two go together; OpenAPI has no word for that.
    if case.operation.path == "/subscription/eligible" and "after" in (case.query or {}):
        case.query.setdefault("limit", 10)


def instants():
    """Times of the years that an effect date may have, in any zone."""
    zones = strategies.integers(-14 * 4, 14 * 4).map(
        lambda quarters: datetime.timezone(datetime.timedelta(minutes=15 * quarters)))
    return strategies.datetimes(datetime.datetime(2, 1, 1), datetime.datetime(9899, 12, 31), timezones=zones)


schemathesis.openapi.format("date-time", instants().map(datetime.datetime.isoformat))
schemathesis.openapi.format(
    "date", strategies.dates(datetime.date(1, 1, 1), datetime.date(9900, 12, 31)).map(datetime.date.isoformat))

answers = collections.Counter()


@schemathesis.hook
def after_call(context, case, response):
    answers[f"{case.method} {case.operation.path} {response.status_code}"] += 1


@atexit.register
def write_tally():
    with open(os.environ["TAPROOM_TALLY"], "w", encoding="utf-8") as file:
        json.dump(answers, file)
