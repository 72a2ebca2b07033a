"""One run's temporary folder with all it starts; everything in it ends with it."""
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from measuring.environment import ROOT
from measuring.instance import Instance
from measuring.table import Table

BUILT = os.path.join(ROOT, ".build", "release")


class Workspace:
    """
    - turns: how often each figure is taken; seconds: how long.
    - is_short: the gate: few rows, on little data, beside C and pgbench only.
    """

    def __init__(self, turns, seconds, is_short):
        self.turns, self.seconds, self.is_short = turns, seconds, is_short
        self.table = Table(is_gate=is_short)
        self.folder = tempfile.mkdtemp(prefix="taproom-bench-")
        os.chmod(self.folder, 0o755)
        self.ending = contextlib.ExitStack()
        self.ending.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.log = self.ending.enter_context(open(os.path.join(self.folder, "programs.log"), "w"))
        self.compiled, self.instances = {}, {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ending.close()

    def path(self, name):
        return os.path.join(self.folder, name)

    def function(self, name):
        path = os.path.join(BUILT, name + "Function")
        if not os.path.exists(path):
            sys.exit("bench: %s is missing: run make build first" % path)
        return path

    def compile(self, source, *libraries):
        """A C program under bench/, compiled once."""
        if source not in self.compiled:
            program = self.path(os.path.basename(source)[:-2])
            include = subprocess.run(
                ["pkg-config", "--cflags", "libpq"], check=True, capture_output=True, text=True).stdout
            subprocess.run(
                [compiler(), "-O2", "-Wall", "-Werror", "-o", program, os.path.join(ROOT, "bench", source),
                 *include.split(), *("-l" + library for library in libraries), "-lpthread"], check=True)
            self.compiled[source] = program
        return self.compiled[source]

    def compile_swift(self, source):
        """A Swift program under bench/, linked as functions are."""
        program = self.path(os.path.basename(source)[:-len(".swift")])
        subprocess.run(["swiftc", "-O", "-Xlinker", "--as-needed", "-o", program, os.path.join(ROOT, "bench", source)],
                       check=True)
        return program

    def start(self, command, listener=None, environment=None):
        """Starts a program with a listening socket as its standard input; it ends with the run."""
        process = subprocess.Popen(
            command, stdin=listener or subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=environment)
        self.ending.callback(end, process)
        return process

    def instance(self, name="main", **environment):
        """A running instance of this project; the same for the same name."""
        if name not in self.instances:
            instance = Instance(os.path.join(BUILT, "taproom"), self.path(name), environment)
            self.ending.callback(instance.down)
            instance.up()
            self.instances[name] = instance
        return self.instances[name]


def compiler():
    """The C compiler: $CC, the system's, or the one that Swift brings."""
    found = os.environ.get("CC") or shutil.which("cc") or shutil.which("clang")
    return found or sys.exit("bench: there is no C compiler: run scripts/install-packages --bench")


def end(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def listening(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    os.chmod(path, 0o666)
    listener.listen(511)
    return listener


def listening_on_port():
    """A listening TCP socket and its port."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(511)
    return listener, listener.getsockname()[1]


def wait_until(condition, what):
    for _ in range(300):
        if condition():
            return
        time.sleep(0.1)
    sys.exit("bench: %s did not come up" % what)


def answers_http(url):
    """Whether anything at all answers, be it a refusal."""
    return subprocess.run(["curl", "-s", "-o", "/dev/null", url], stderr=subprocess.DEVNULL).returncode == 0


def private_kilobytes(pid):
    with open("/proc/%d/smaps_rollup" % pid) as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Private_"))
