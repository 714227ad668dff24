"""From what was found to the words and the table that a student reads."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

import torch

from lecture_utils.checks.recorded import Recorded
from lecture_utils.checks.sketch import Named
from lecture_utils.checks.traces import Entry, Kind, Problem, Trace, close, tolerances

MOST_ROWS = 8  # of what comes back; of more only the first that differs is shown
LONG = 40  # characters of a cell; what is longer stands below the table


@dataclass(frozen=True)
class Finding:
    """Where and how an answer differs, and which mistakes it looks like.

    ``agreeing`` of ``total`` cases are right. ``case`` is the first that is not, with what came back (``got``) and what
    was expected; ``entry`` is the number of the first array that differs there, or None where only the end does.
    ``hidden``: that case is one of those which nothing may be said about.
    """

    agreeing: int
    total: int
    case: dict[str, Any] | None = None
    got: Trace | None = None
    expected: Trace | None = None
    entry: int | None = None
    hidden: bool = False
    named: Named | None = None


@dataclass(frozen=True)
class Row:
    """One thing with its numbers: what goes in, what is expected, what came. ``mark`` is where in the last the first wrong number stands."""

    name: str
    given: str = ""
    expected: str = ""
    yours: str = ""
    mark: tuple[int, int] | None = None


@dataclass(frozen=True)
class Table:
    """Where an answer differs: the first step, or the first call, in numbers. ``title`` says which; ``below`` is what is too long for a cell."""

    title: str
    rows: tuple[Row, ...]
    below: tuple[str, ...] = ()

    HEAD = ("", "goes in", "expected", "yours")

    def __str__(self) -> str:
        lines = [self.HEAD, *((r.name, r.given, r.expected, _pointed(r)) for r in self.rows)]
        widths = [max(len(line[k]) for line in lines) for k in range(4)]
        drawn = ["  ".join(text.ljust(w) for text, w in zip(line, widths, strict=True)).rstrip() for line in lines]
        return "\n".join([self.title, *(f"  {line}" for line in drawn), *(f"  {line}" for line in self.below)])


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    ``kind`` says how it ended; for a misconception ``misconception`` is its name. ``credit`` is the share of the points,
    0 to 1. ``message`` is the sentence for the student, ``headline`` says how far the answer got, ``table`` shows the
    first numbers that differ, ``evidence`` one line more.
    """

    exercise: str
    passed: bool
    kind: Kind
    credit: float
    headline: str
    message: str
    misconception: str | None = None
    evidence: str = ""
    table: Table | None = None

    def __str__(self) -> str:
        lines = [line for part in (self.message, self.evidence) for line in part.splitlines()]
        wrapped = [textwrap.fill(line, 100, initial_indent="  ", subsequent_indent="  ") for line in lines]
        table = textwrap.indent(str(self.table), "  ").splitlines() if self.table else []
        text = "\n".join([f"{self.sign} {self.exercise}   {self.headline}", *wrapped, *table])
        return text.replace("`", "")

    @property
    def sign(self) -> str:
        return "✔" if self.passed else "○" if self.kind == Kind.NOT_WRITTEN else "✘"


def explain(recorded: Recorded, finding: Finding) -> Verdict:
    """The verdict on a finding. Nothing is said of what came back in a hidden case."""
    name = recorded.name
    if finding.case is None:
        headline = f"agrees in all {finding.total} cases"
        return Verdict(name, True, Kind.PASSED, 1.0, headline, "Other cases, with other numbers, are drawn at grading.")
    if finding.hidden:
        text = "In a hidden case, with other numbers, it gives something else, or fails in a way that it does not in the visible ones."
        kind = finding.got.problem.kind if finding.got.problem else Kind.DIFFERENT
        return Verdict(name, False, kind, 0.0, "agrees in the visible cases, not in the hidden ones", text)
    problem, headline, table = _problem(finding), _headline(finding), _table(recorded, finding)
    shown = {"table": table} if table else {"evidence": f"Case: {finding.case['text']}."}
    if problem and problem.kind in (Kind.NOT_WRITTEN, Kind.ARITY):
        shown = {}
    if named := finding.named:
        slips = [recorded.slips[k] for k in named.slips]
        names, credit = " + ".join(s.name for s in slips), 1.0
        for slip in slips:
            credit *= 0.0 if named.rest or len(slips) > 2 else slip.credit
        text = in_words([s.message for s in slips], named)
        if problem and problem.kind in (Kind.NONFINITE, Kind.SHAPE) and named.rest:
            text = f"{text}\n{problem}"
        return Verdict(name, False, Kind.MISCONCEPTION, round(credit, 4), headline, text, names, **shown)
    if problem:
        return Verdict(name, False, problem.kind, 0.0, headline, str(problem), None, **shown)
    text = f"This is none of the usual slips. {recorded.observer.advice}"
    return Verdict(name, False, Kind.DIFFERENT, 0.0, headline, text, None, **shown)


def in_words(messages: list[str], named: Named) -> str:
    """One mistake as a sentence; several as a list."""
    messages = list(dict.fromkeys(messages))
    rest = "There is something else, too: mend this first, then run the check again." if named.rest else ""
    if len(messages) == 1:
        of = f"Looked at {named.results[0]} alone, this" if named.rest and named.results else "This"
        return "\n".join(filter(None, [f"{of} looks like: {messages[0]}", rest]))
    many = {2: "Two", 3: "Three", 4: "Four"}.get(len(messages), str(len(messages)))
    return "\n".join(filter(None, [f"{many} things at once:", *(f"{k}. {m}" for k, m in enumerate(messages, 1)), rest]))


def failing(problem: Problem) -> str:
    """The headline where an answer fails."""
    return "not written yet" if problem.kind == Kind.NOT_WRITTEN else f"{problem.place or 'the call'} fails"


# --- where it differs --------------------------------------------------------------------------------------------


def _what_ended_it(finding: Finding) -> Problem | None:
    """The problem that ended the answer, if all was right until the step in which it came."""
    problem, i, entries = finding.got.problem, finding.entry, finding.got.entries
    here = i is None or i >= len(entries) or (problem and entries[i].place == problem.place)
    return problem if here else None


def _problem(finding: Finding) -> Problem | None:
    """What is to be told as the reason: how the trace ended, if all was right until then, or a number of the wrong kind."""
    i, entries = finding.entry, finding.got.entries
    if problem := _what_ended_it(finding):
        return problem
    if i is None or i >= len(entries):
        return Problem(Kind.DIFFERENT, "It ends before all is there that should come.")
    if i >= len(finding.expected.entries) or entries[i].key != finding.expected.entries[i].key:
        return None
    got, right = entries[i].value, finding.expected.entries[i].value
    if got.shape != right.shape:
        name = entries[i].name
        what = {"result": "The result"}.get(name, f"The new {name}" if entries[i].step else name)
        text = f"{what} has the wrong shape: expected {tuple(right.shape)}, got {tuple(got.shape)}."
        return Problem(Kind.SHAPE, text)
    if got.is_floating_point() and torch.isfinite(right).all() and not torch.isfinite(got).all():
        text = "It contains nan or inf. Is something divided by zero, or is there the root of a negative number?"
        return Problem(Kind.NONFINITE, text)
    return None


def _headline(finding: Finding) -> str:
    i, entries = finding.entry, finding.got.entries
    if problem := _what_ended_it(finding):
        return failing(problem)
    if i is None or i >= len(entries):
        return "something is missing"
    first = entries[i]
    if not first.step:
        return f"{finding.agreeing} of {finding.total} cases agree"
    before = next((e.place for e in reversed(entries[:i]) if e.step < first.step), None)
    told = f"{before} agrees, {first.place} does not" if before else f"{first.place} differs"
    return told + _right_and_wrong(finding, first.place)


def _right_and_wrong(finding: Finding, place: str) -> str:
    """Which of the things that come back in a step are right: where only w is wrong, the averages need no look."""
    agrees: dict[str, bool] = {}
    pairs = zip(finding.got.entries, finding.expected.entries, tolerances(finding.expected, 1e-5), strict=False)
    for a, b, tolerance in pairs:
        if a.place == place:
            agrees[a.name] = agrees.get(a.name, True) and a.key == b.key and close(a.value, b.value, tolerance)
    right, wrong = ([what for what in agrees if agrees[what] is each] for each in (True, False))
    return f" ({_are(right)} right, {_are(wrong)} not)" if right and wrong else ""


def _are(names: list[str]) -> str:
    return f"{', '.join([*names[:-2], ' and '.join(names[-2:])])} {'are' if len(names) > 1 else 'is'}"


# --- the table ---------------------------------------------------------------------------------------------------


def _table(recorded: Recorded, finding: Finding) -> Table | None:
    """What goes in, what is expected and what came, of the step or the call that differs first."""
    i = finding.entry
    if i is None or i >= len(finding.expected.entries):
        return None
    first = finding.expected.entries[i]
    given = recorded.observer.goes_in(finding.case, finding.got, first)
    wanted = {e.name: e for e in finding.expected.entries if (e.place, e.tensor) == (first.place, first.tensor)}
    came = {e.name: e for e in finding.got.entries if (e.place, e.tensor) == (first.place, first.tensor)}
    others = [e for name, e in came.items() if name not in wanted]
    if len(wanted) > MOST_ROWS:
        wanted = {first.name: first}
    given_rows = [(name, shown(value)) for name, value in given.items()]
    below = tuple(f"{name} = {text}" for name, text in given_rows if len(text) > LONG)
    texts = {name: text for name, text in given_rows if len(text) <= LONG}
    names = dict.fromkeys([*(n for n in wanted if n in given), *(n for n in texts if n not in wanted), *wanted])
    rows = [_row(name, texts.get(name, ""), wanted.get(name), came.get(name), name == first.name) for name in names]
    rows += [Row(e.name, "", "–", shown(e.value)) for e in others]
    place = f"{first.place[0].upper()}{first.place[1:]}"
    several = len({e.tensor for e in finding.expected.entries})
    of = f", tensor {first.tensor + 1} of {several}" if several > 1 and first.step else ""
    where = "" if first.place == "the call" else f"{place}{of}. "
    return Table(f"{where}Case: {finding.case['text']}.", tuple(rows), below)


def _row(name: str, given: str, wanted: Entry | None, came: Entry | None, first: bool) -> Row:
    if wanted is None:
        return Row(name, given)
    if came is None:
        return Row(name, given, shown(wanted.value), "–")
    if not first or wanted.value.shape != came.value.shape:
        return Row(name, given, shown(wanted.value), shown(came.value))
    if wanted.value.dtype == torch.bool or came.value.dtype == torch.bool or not wanted.value.numel():
        yours = shown(came.value)
        return Row(name, given, shown(wanted.value), yours, (0, len(yours)))
    a, b = wanted.value.double().flatten(), came.value.double().flatten()
    worst = (b - a).abs().nan_to_num(nan=torch.inf)
    k = int((worst >= 1e-4 * worst.max()).nonzero()[0]) if worst.max() > 0 else 0
    digits = next((d for d in range(4, 13) if f"{a[k]:.{d}g}" != f"{b[k]:.{d}g}"), 4)
    yours, mark = _marked(came.value, digits, k)
    return Row(name, given, shown(wanted.value, digits), yours, mark)


def shown(value: Any, digits: int = 4) -> str:
    """A value of a case or of an answer as it reads in a table."""
    if isinstance(value, torch.Tensor):
        value = value.tolist()
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(shown(v, digits) for v in value)}]"
    return str(value)


def _marked(value: torch.Tensor, digits: int, k: int) -> tuple[str, tuple[int, int]]:
    """A tensor as text, and where its ``k``-th number stands in it."""
    texts = [shown(v, digits) for v in value.flatten().tolist()]
    whole = shown(value, digits)
    at = 0
    for number, text in enumerate(texts):
        at = whole.index(text, at)
        if number == k:
            return whole, (at, at + len(text))
        at += len(text)
    return whole, (0, len(whole))


def _pointed(row: Row) -> str:
    """Where colour is not to be had: the wrong number between arrows."""
    if not row.mark:
        return row.yours
    start, end = row.mark
    return f"{row.yours[:start]}→{row.yours[start:end]}←{row.yours[end:]}"
