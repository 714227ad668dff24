"""The class report as one HTML page: what to look at, what to teach again, whom to help. No script, nothing from a network.

Here is what it says; how it looks is in ``page.html.j2``.
"""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from lecture_utils.instructor.grading.disarm import mark
from lecture_utils.instructor.grading.results import BY_HAND, Result
from lecture_utils.instructor.reporting.results import Marked, Submission

TEXT_LIMIT = 400  # characters of anything that a submission had a say in
PASS, BINS = 0.5, 10  # who has less of the points needs help; bars of the histogram
# What became of an exercise: name, sign and colours in bars, and the kinds of verdict that mean it.
OUTCOMES = (
    ("right", "✔", "#56B4E9", "#000", {"passed"}),
    ("named mistake", "M", "#D55E00", "#000", {"misconception"}),
    ("other mistake", "≠", "#E69F00", "#000", set()),  # of all kinds that are nowhere else
    ("not written", "–", "#DDDDDD", "#000", {"not_written"}),
    ("crashed", "!", "#882255", "#FFF", {"crashed"}),
    ("finished rule", "F", "#6B4F2A", "#FFF", {"withheld"}),
    ("timed out", "T", "#332288", "#FFF", {"timeout"}),
    ("not run", "N", "#555555", "#FFF", {"not_run"}),
    ("for review", "?", "#F0E442", "#000", {"review"}),
    ("by hand", "H", "#009E73", "#000", {"by_hand"}),
    ("not handed in", "∅", "#FFFFFF", "#000", {"missing"}),
    ("damaged", "D", "#CC79A7", "#000", {"damaged"}),
    ("not graded", "×", "#000000", "#FFF", {"failed"}),
)
_OUTCOME = {kind: name for name, *_, kinds in OUTCOMES for kind in kinds}


def page(
    submissions: list[Submission], assignment: str, alike: Iterable[Collection[str]] = (), pages: Collection[str] = ()
) -> str:
    """The whole page. Made to be read from the top: first what only a person can do, then the class, then single students.

    ``alike`` are student ids that look the same, ``pages`` those of students who have feedback to link to.
    """
    graded = [s for s in submissions if s.counts]
    return _template().render(
        assignment=assignment,
        submissions=submissions,
        settled=[r for s in graded for r in s.settled],
        facts=_facts(submissions, graded),
        failed=[s for s in submissions if s.error],
        mended=[(s.student, lines) for s in submissions if (lines := _mended(s))],
        alike=list(alike),
        link={s: f"../feedback/{quote(s, safe='', errors='replace')}/{quote(assignment)}/index.html" for s in pages},
        flagged=_flagged(submissions),
        by_hand=_by_hand(submissions),
        mistakes=_mistakes(graded),
        bins=_bins(graded),
        notebooks=_notebooks(graded),
        exercises=_exercises(graded),
        low=_low(graded),
        late=sorted((s for s in graded if s.late > 0), key=lambda s: -s.late),
        slow=sorted((s for s in submissions if s.seconds), key=lambda s: -s.seconds)[:5],
        outcomes=OUTCOMES,
        count=_count,
        duration=lambda seconds: timedelta(seconds=int(seconds)),
    )


@cache
def _template() -> Template:
    # Student ids, messages and file names come from outside: each is cleaned and escaped on its way into the page.
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, finalize=_clean, undefined=StrictUndefined
    )
    return environment.get_template("page.html.j2")


def _clean(value: Any) -> Any:
    """Cut, with characters marked that could turn a line around. Jinja escapes what comes out."""
    if hasattr(value, "__html__"):  # made by the template itself
        return value
    text = mark(str(value)[: TEXT_LIMIT + 1])
    return text if len(text) <= TEXT_LIMIT else text[:TEXT_LIMIT] + " …"


# --- what the sections say ---------------------------------------------------------------------------------------


def _facts(submissions: list[Submission], graded: list[Submission]) -> list[tuple[Any, str]]:
    points = [s.points for s in graded] or [0.0]
    most = max((s.of for s in graded), default=0)
    return [
        (len(submissions), "handed in"),
        (len(graded), "graded"),
        (sum(bool(s.error) or any(r.waiting for r in s.results) for s in submissions), "wait for you"),
        (f"{statistics.median(points):.4g}", f"median of the points, of {most:g}"),
        (f"{statistics.mean(points):.4g}", "points on average"),
    ]


def _mended(s: Submission) -> list[str]:
    """What happened to a submission on its way, the worst first."""
    return [*(f"{notebook}: {why}" for notebook, why in s.problems.items()), *s.moved, *s.notes]


def _flagged(submissions: list[Submission]) -> list[dict]:
    """Right answers that may not be the student's own: one entry per student, notebook and reason."""
    found: dict[tuple, list[str]] = defaultdict(list)
    for s in submissions:
        for r in s.results:
            if r.waiting and r.kind == "review":
                found[s.student, r.notebook, r.message].append(r.exercise)
    return [{"student": s, "notebook": n, "exercises": e, "why": why} for (s, n, why), e in found.items()]


def _by_hand(submissions: list[Submission]) -> list[dict]:
    found: dict[tuple, list[str]] = defaultdict(list)
    for s in submissions:
        for r in s.results:
            if r.waiting and r.kind != "review":
                found[r.notebook, r.exercise].append(s.student)
    return [{"notebook": n, "exercise": e, "students": who} for (n, e), who in sorted(found.items())]


def _mistakes(graded: list[Submission]) -> list[dict]:
    """What the checks could name, the most frequent first."""
    made: dict[tuple, dict[str, str]] = defaultdict(dict)
    for s, r in _pairs(graded):
        if r.kind == "misconception":
            made[r.notebook, r.exercise, r.misconception][s.student] = r.message
    return [
        {
            "name": name.replace("_", " "),
            "exercise": exercise,
            "notebook": notebook,
            "message": Counter(told.values()).most_common(1)[0][0].removeprefix("This looks like: "),
            "share": f"{len(told) / len(graded):.0%}",
            "students": list(told),
        }
        for (notebook, exercise, name), told in sorted(made.items(), key=lambda kv: (-len(kv[1]), kv[0]))
    ]


def _bins(graded: list[Submission]) -> dict[str, int]:
    counts = Counter(min(int(s.share * BINS), BINS - 1) for s in graded)
    return {f"{100 * k // BINS} to {100 * (k + 1) // BINS} %": counts[k] for k in range(BINS)}


def _notebooks(graded: list[Submission]) -> list[dict]:
    found: dict[str, list[Result]] = defaultdict(list)
    for _, r in _pairs(graded):
        found[r.notebook].append(r)
    return [
        {
            "notebook": notebook,
            "points": f"{sum(r.points for r in results) / len(graded):.3g}",
            "of": f"{sum(r.of for r in results) / len(graded):.3g}",
            "mean": f"{_mean(results):.0%}",
            "results": results,
        }
        for notebook, results in sorted(found.items())
    ]


def _exercises(graded: list[Submission]) -> list[dict]:
    """The lowest mean first. What waits to be graded by hand says nothing yet."""
    waiting = {(r.notebook, r.exercise) for s in graded for r in s.results if r.waiting and r.kind == BY_HAND}
    found: dict[tuple, list[tuple[str, Marked]]] = defaultdict(list)
    for s, r in _pairs(graded):
        if (r.notebook, r.exercise) not in waiting:
            found[r.notebook, r.exercise].append((s.student, r))
    rows = []
    for (notebook, exercise), pairs in found.items():
        results = [r for _, r in pairs]
        row = {"notebook": notebook, "exercise": exercise, "results": results, "who": _who(pairs)}
        rows.append((_mean(results), notebook, exercise, row | {"mean": f"{_mean(results):.0%}"}))
    return [row for *_, row in sorted(rows, key=lambda r: r[:3])]


def _who(pairs: list[tuple[str, Marked]]) -> list[tuple[str, list[str]]]:
    """The students of each outcome but right, the most frequent first."""
    who: dict[str, list[str]] = defaultdict(list)
    for student, r in pairs:
        named = f": {r.misconception.replace('_', ' ')}" if r.misconception else ""
        who[f"{_outcome(r)}{named}"].append(student)
    who.pop("right", None)
    return sorted(who.items(), key=lambda kv: -len(kv[1]))


def _low(graded: list[Submission]) -> list[dict]:
    """Who has less than half of the points, and where they went."""
    rows = []
    for s in sorted((s for s in graded if s.share < PASS), key=lambda s: (s.share, s.student)):
        missed, lost = defaultdict(list), Counter()
        for r in (r for r in s.settled if r.points < r.of):
            named = f" ({r.misconception.replace('_', ' ')})" if r.misconception else ""
            missed[_outcome(r)].append(f"{r.exercise}{named}")
            lost[r.notebook] += r.of - r.points
        kinds = [(name, missed[name]) for name, *_ in OUTCOMES if name in missed]
        rows.append(
            {
                "student": s.student,
                "points": f"{s.points:g}",
                "of": f"{s.of:g}",
                "lost": [f"{notebook} −{points:g}" for notebook, points in lost.most_common(3)],
                "summary": ", ".join(f"{name} {len(what)}" for name, what in kinds),
                "missed": kinds,
            }
        )
    return rows


def _outcome(r: Result) -> str:
    return _OUTCOME.get(r.kind, "other mistake")


def _count(results: Iterable[Result]) -> Counter[str]:
    """How many had each outcome, in the order of ``OUTCOMES``; without those that nobody had."""
    found = Counter(map(_outcome, results))
    return Counter({name: found[name] for name, *_ in OUTCOMES if found[name]})


def _mean(results: list[Result]) -> float:
    return sum(r.points for r in results) / (sum(r.of for r in results) or 1)


def _pairs(submissions: list[Submission]) -> list[tuple[Submission, Marked]]:
    return [(s, r) for s in submissions for r in s.settled]
