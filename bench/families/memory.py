"""Private memory of a function's process as an instance has it: idle, and after so many requests.

The instance's own processes share the libraries. The executable is a copy, since no other process of an instance runs
the same one: beside a second one its pages would count as shared.
"""
import shutil

from families.charging import first_charges
from families.data import EXISTING, half
from measuring import peers
from measuring.fastcgi import ask
from measuring.load import answered, mixture
from measuring.table import Row, at_most
from measuring.workspace import end, private_kilobytes

TARGET_IDLE = at_most(2048, "kB")
TARGET_AFTER = at_most(4096, "kB")
# What may come between 100,000 and 1,000,000 requests and still be no growth: a page or two for each thread.
TARGET_GROWTH = at_most(1.02)
SECONDS_PER_LOAD = 4
# A first charge takes ten times as long as a replay.
FIRST_CHARGES = 10_000


def measure(workspace, instance, has_million):
    if not workspace.is_short:
        # First charges have emptied the ledger, where they were measured.
        instance.empty_ledger()
        instance.charge(half(workspace))
    path = "/club/%s/subscribe/" % instance.club
    follow(workspace, instance, "livez", "requests", has_million,
           lambda base: answered(base + "/livez", SECONDS_PER_LOAD))
    follow(workspace, instance, "subscribe", "requests", has_million,
           lambda base: mixture(base + path, SECONDS_PER_LOAD, EXISTING))
    follow(workspace, instance, "charge", "replays", has_million,
           lambda base: answered(base, SECONDS_PER_LOAD, "charge", last=half(workspace)))
    if not workspace.is_short:
        after_first_charges(workspace, instance)
    wait_for_events(workspace, instance, "order-completed")


def follow(workspace, instance, name, what, has_million, load):
    """- load: sends requests to a base URL for some seconds; ends the bench when one is not answered as it should."""
    start = starter(workspace, instance, name)
    idle, after = [], []
    for turn in range(workspace.turns):
        if turn:
            end(process)
        process, base = start()
        idle.append(private_kilobytes(process.pid))
        if not workspace.is_short:
            after.append(kilobytes_after(100_000, process, base, load))
    workspace.table.add(lambda: [Row("private memory of %s, idle, kB" % name, idle, target=TARGET_IDLE)])
    if after:
        workspace.table.add(lambda: [
            Row("private memory of %s after 100,000 %s, kB" % (name, what), after, target=TARGET_AFTER)])
    if has_million:
        million = kilobytes_after(900_000, process, base, load)
        workspace.table.add(lambda: [
            Row("private memory of %s after 1,000,000 %s, kB" % (name, what), [million], "itself after 100,000",
                after[-1:], TARGET_GROWTH)])
    end(process)


def after_first_charges(workspace, instance):
    """The first call of the platform brings libcurl with it."""
    # The instance's own process may have loaded it, and would share its pages.
    instance.run("restart", "charge")
    start = starter(workspace, instance, "charge")
    after = []
    for _ in range(workspace.turns):
        process, base = start()
        after.append(kilobytes_after(
            FIRST_CHARGES, process, base, lambda base: first_charges(workspace, instance, base)))
        end(process)
    workspace.table.add(lambda: [
        Row("private memory of charge after 10,000 first charges, kB", after, target=TARGET_AFTER)])


def wait_for_events(workspace, instance, name):
    """A consumer waits with its sessions to RabbitMQ and PostgreSQL; the instance's own process is the only one."""
    pid, = instance.pids(name)
    workspace.table.add(lambda: [
        Row("private memory of %s, idle, kB" % name, [private_kilobytes(pid)], target=TARGET_IDLE)])


def starter(workspace, instance, name):
    """A function that starts a process, waits until it is up, and gives it and the base URL at which it answers."""
    executable, environment = instance.process(name)
    started = [shutil.copy(executable, workspace.path(name))], environment

    def start():
        process, base, socket = peers.fastcgi(workspace, name, *started)
        # An answer without a session.
        ask(socket, REQUEST_URI="/nothing-here")
        return process, base

    return start


def kilobytes_after(count, process, base, load):
    while count > 0:
        count -= load(base).requests
    return private_kilobytes(process.pid)
