"""A function that only answers, beside the same in C with libfcgi and in PHP, through the same nginx settings."""
from measuring import peers
from measuring.load import CONNECTIONS, answers
from measuring.table import Row, at_least, in_turns

TARGET_C = at_least(0.95)
TARGET_PHP = at_least(1.3)


def measure(workspace):
    measures = {name: (lambda url=base + "/livez": answers(url, workspace.seconds)) for name, base in (
        ("ours", peers.livez(workspace, workspace.function("Livez"))[1]), ("c", peers.c_answer(workspace)[1]))}
    what = "answers a second, %d connections, %d workers" % (CONNECTIONS, peers.WORKERS)
    absent = peers.missing("PHP-FPM")
    if not workspace.is_short and not absent:
        php = peers.php_answer(workspace) + "/livez"
        measures["php"] = lambda: answers(php, workspace.seconds)

    def rows():
        figures = in_turns(workspace.turns, **measures)
        yield Row(what, figures["ours"], "C with libfcgi", figures["c"], TARGET_C)
        if "php" in figures:
            yield Row(what, figures["ours"], "PHP-FPM", figures["php"], TARGET_PHP)

    workspace.table.add(lambda: list(rows()))
    if not workspace.is_short and absent:
        workspace.table.cannot(what + "; beside PHP-FPM", absent)
