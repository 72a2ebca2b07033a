"""Rows of figures, their targets, and the one table that is printed."""
import statistics
from dataclasses import dataclass, field
from typing import Callable, Optional, Sequence

# How far a ratio may be from its target before the short run fails.
TOLERANCE = 0.2
# How often the short run measures again what has missed: another program may have had the processors.
GATE_REPEATS = 2


@dataclass(frozen=True)
class Target:
    """Limits for a row's ratio or, with a unit, for our figure itself."""
    least: Optional[float] = None
    most: Optional[float] = None
    unit: Optional[str] = None

    def holds(self, value, tolerance=0.0):
        return ((self.least is None or value >= self.least * (1 - tolerance))
                and (self.most is None or value <= self.most * (1 + tolerance)))

    def __str__(self):
        if self.most is None:
            limits = "≥ %g" % self.least
        else:
            limits = "≤ %g" % self.most if self.least is None else "%g–%g" % (self.least, self.most)
        return limits + (" " + self.unit if self.unit else "")


def at_least(limit, unit=None):
    return Target(least=limit, unit=unit)


def at_most(limit, unit=None):
    return Target(most=limit, unit=unit)


def between(least, most):
    return Target(least, most)


@dataclass
class Row:
    """One line: our figures of every turn, beside those of the same turns of somebody else."""
    what: str
    ours: Sequence[float]
    beside: str = ""
    theirs: Sequence[float] = ()
    target: Optional[Target] = None
    form: str = "%.0f"
    ratios: list = field(init=False)

    def __post_init__(self):
        self.ratios = [ours / theirs for ours, theirs in zip(self.ours, self.theirs)]

    def holds(self, tolerance=0.0):
        if self.target is None:
            return True
        return self.target.holds(statistics.median(self.ours if self.target.unit else self.ratios), tolerance)

    def line(self, tolerance=0.0):
        verdict = "" if self.target is None else "yes" if self.holds() else "**no**"
        if verdict == "**no**" and self.holds(tolerance):
            verdict = "within %.0f %%" % (100 * tolerance)
        return "| %s | %s | %s | %s | %s | %s | %s |" % (
            self.what, spread(self.ours, self.form), self.beside, spread(self.theirs, self.form),
            spread(self.ratios, "%.2f"), self.target or "", verdict)


def spread(values, form):
    """Median, least and greatest; one value alone; nothing for none."""
    if not values:
        return ""
    if len(values) == 1:
        return form % values[0]
    return "%s (%s–%s)" % tuple(form % value for value in (statistics.median(values), min(values), max(values)))


def in_turns(turns: int, **measures: Callable[[], float]):
    """Each measure once a turn, every other turn in the opposite order; the figures by the measures' names."""
    figures = {name: [] for name in measures}
    for turn in range(turns):
        for name in list(measures)[::1 if turn % 2 == 0 else -1]:
            figures[name].append(measures[name]())
    return figures


class Table:
    """Prints rows as they come and remembers which miss their target.

    A gate repeats a measurement when a row of it misses by more than the tolerance, twice at most; the last one counts.
    """

    def __init__(self, is_gate):
        self.is_gate = is_gate
        self.tolerance = TOLERANCE if is_gate else 0.0
        self.missed = []
        self.unmeasured = []

    def head(self):
        print("| what | ours | beside | theirs | ratio | target | holds |\n|---|---|---|---|---|---|---|", flush=True)

    def add(self, measure: Callable[[], Sequence[Row]]):
        rows = measure()
        for _ in range(GATE_REPEATS if self.is_gate else 0):
            if all(row.holds(self.tolerance) for row in rows):
                break
            for row in rows:
                print(row.line(self.tolerance) + " measured again", flush=True)
            rows = measure()
        for row in rows:
            print(row.line(self.tolerance), flush=True)
            if not row.holds(self.tolerance):
                self.missed.append(row)

    def cannot(self, what, why):
        """A row that cannot be measured is said in its place, and the run does not count as whole."""
        print("| %s | not measured: %s | | | | | |" % (what, why), flush=True)
        self.unmeasured.append(what)
