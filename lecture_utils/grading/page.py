"""The class report as one HTML page: what to look at, what to teach again, whom to help. No script, nothing from a network.

Student ids, messages and file names come from outside: ``_text`` is their only way into the page.
"""

from __future__ import annotations

import html
import statistics
from collections import Counter, defaultdict
from datetime import timedelta
from typing import Any

from lecture_utils.grading.report import Result, Submission

SHOWN, NAMES = 10, 6  # rows of a table and names in a row; more are folded
TEXT_LIMIT = 400  # characters of anything that a submission had a say in
PASS, BINS = 0.5, 10  # who has less of the points needs help; bars of the histogram
# What became of an exercise: name, sign and colours in bars, and the kinds of verdict that mean it.
OUTCOMES = (
    ("right", "✔", "#56B4E9", "#000", {"passed"}),
    ("named mistake", "M", "#D55E00", "#000", {"misconception"}),
    ("other mistake", "O", "#E69F00", "#000", set()),  # of all kinds that are nowhere else
    ("not written", "–", "#DDDDDD", "#000", {"not_written"}),
    ("crashed", "!", "#882255", "#FFF", {"crashed"}),
    ("timed out", "T", "#332288", "#FFF", {"timeout"}),
    ("not run", "N", "#555555", "#FFF", {"not_run"}),
    ("for review", "?", "#F0E442", "#000", {"review"}),
    ("by hand", "H", "#009E73", "#000", {"by_hand"}),
    ("not handed in", "0", "#FFFFFF", "#000", {"missing"}),
    ("not graded", "×", "#000000", "#FFF", {"failed"}),
)
_OUTCOME = {kind: name for name, *_, kinds in OUTCOMES for kind in kinds}
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 80rem; margin: 0 auto; padding: 1rem 1.5rem 4rem }
h1 { margin: 0 0 .2rem } h2 { margin: 2.6rem 0 .4rem; border-bottom: 2px solid #0072B2 } p { max-width: 46rem; margin: .4rem 0 }
table { border-collapse: collapse; margin: .8rem 0 } caption { text-align: left; font-weight: 600; padding: .2rem 0 }
th, td { text-align: left; vertical-align: top; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid #ccc } thead th { color: #444; font-size: .9rem }
td, tbody th { overflow-wrap: anywhere } th { font-weight: 600 } tbody th { min-width: 9rem } [aria-labelledby=exercises] tbody th { min-width: 15rem } [aria-labelledby=exercises] thead th:nth-child(n+4):not(:last-child) { text-align: right } tbody th small { display: block } summary { min-width: 4rem } .n { text-align: right; white-space: nowrap; overflow-wrap: normal }
code { font-size: .95em } small { color: #555; font-weight: 400; font-size: .85em } summary { cursor: pointer; color: #00558b }
section { overflow-x: auto } details { margin: .1rem 0 } nav a, a { color: #00558b } nav { margin: .8rem 0 } nav a { margin-right: 1.2rem } svg { display: block } figure svg { max-width: 100%; height: auto }
.facts { display: flex; flex-wrap: wrap; gap: .6rem 2.4rem; margin: 1rem 0; padding: 0; list-style: none } .facts b { display: block; font-size: 1.7rem; line-height: 1.2 }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; list-style: none; font-size: .9rem } .key svg { display: inline; vertical-align: -3px; margin-right: .3rem }
"""


def page(submissions: list[Submission], assignment: str) -> str:
    """The whole page. Made to be read from the top: first what only a person can do, then the class, then single students."""
    graded = [s for s in submissions if s.counts]
    sections = (
        ("look", "To look at", _to_look_at(submissions)),
        ("teach", "To teach again", _to_teach(graded)),
        ("scores", "Scores", _scores(graded)),
        ("exercises", "Exercises", _exercises(graded)),
        ("help", "Who needs help", _who_needs_help(graded)),
        ("late", "Late, and slow to grade", _late(graded) + _slow(submissions)),
        ("all", "Everybody", _everybody(submissions)),
    )
    waiting = sum(bool(s.error) or any(r.waiting for r in s.results) for s in submissions)
    points = [s.points for s in graded] or [0.0]
    facts = [(len(submissions), "handed in"), (len(graded), "graded"), (waiting, "wait for you"),
             (f"{statistics.median(points):.4g}", f"points in the middle, of {max((s.of for s in graded), default=0):g}"),
             (f"{statistics.mean(points):.4g}", "points on average")]  # fmt: skip
    shown = "".join(f"<li><b>{value}</b>{what}</li>" for value, what in facts)
    links = "".join(f'<a href="#{name}">{title}</a>' for name, title, _ in sections)
    body = "".join(
        f'<section aria-labelledby="{n}"><h2 id="{n}">{title}</h2>{text}</section>\n' for n, title, text in sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{_text(assignment)}: class report</title><style>{_STYLE}</style></head>\n<body>"
        f'<h1>{_text(assignment)}: class report</h1><ul class="facts">{shown}</ul><nav aria-label="Sections">{links}</nav>\n'
        f"<main>{body}</main></body></html>\n"
    )


# --- sections ----------------------------------------------------------------------------------------------------


def _to_look_at(submissions: list[Submission]) -> str:
    failed = [(_th(s.student), _text(s.error)) for s in submissions if s.error]
    waiting = [(s, r) for s in submissions for r in s.results if r.waiting]
    reasons: dict[tuple, list[str]] = defaultdict(list)
    for s, r in waiting:
        if r.kind == "review":
            reasons[s.student, r.notebook, r.message].append(r.exercise)
    flagged = [(_th(s), _text(n), _names(exercises), _text(why)) for (s, n, why), exercises in reasons.items()]
    by_hand: dict[tuple, list[str]] = defaultdict(list)
    for s, r in waiting:
        if r.kind != "review":
            by_hand[r.notebook, r.exercise].append(s.student)
    hand = [
        (f'<th scope="row">{_text(e)} <small>{_text(n)}</small></th>', _names(names))
        for (n, e), names in sorted(by_hand.items())
    ]
    mended = [(_th(s.student), _list(s.notes)) for s in submissions if s.notes]
    parts = [
        _table("Could not be graded", ["student", "why"], failed),
        _table("No automatic credit: is it their own work?", ["student", "notebook", "exercises", "why"], flagged),
        _table("Cells to grade by hand", ["cell", "students"], hand),
    ]
    if flagged or hand:
        parts.append(
            "<p>Give points in <code>lab --instructor</code>, menu <i>Nbgrader → Formgrader → Manual Grading</i>.</p>"
        )
    parts.append(_table("Mended or interrupted, then graded", ["student", "what happened"], mended))
    return "".join(parts) or "<p>Nothing: every submission was graded, and none waits for you.</p>"


def _to_teach(graded: list[Submission]) -> str:
    made: dict[tuple, list[tuple[str, str]]] = defaultdict(list)
    for s, r in _pairs(graded):
        if r.kind == "misconception":
            made[r.notebook, r.exercise, r.misconception].append((s.student, r.message))
    rows = [
        (
            f'<th scope="row">{_text(name.replace("_", " "))}<small>{_text(exercise)}, {_text(notebook)}</small></th>',
            _text(Counter(m for _, m in found).most_common(1)[0][0].removeprefix("This looks like: ")),
            _n(f"{len(found)} <small>{len(found) / len(graded):.0%}</small>"),
            _names([student for student, _ in found]),
        )
        for (notebook, exercise, name), found in sorted(made.items(), key=lambda kv: (-len(kv[1]), kv[0]))
    ]
    return _table("Mistakes that the checks could name, most frequent first", ["mistake", "what their check told them", "students", "who"],
                  rows) or "<p>The checks named no mistake.</p>"  # fmt: skip


def _scores(graded: list[Submission]) -> str:
    counts = Counter(min(int(s.share * BINS), BINS - 1) for s in graded)
    bins = [(f"{100 * k // BINS} to {100 * (k + 1) // BINS} %", counts[k]) for k in range(BINS)]
    width, height, top = 64, 150, max([*counts.values(), 1])
    bars = "".join(
        f'<rect x="{k * width + 5}" y="{20 + height * (1 - n / top):.1f}" width="{width - 8}" height="{height * n / top:.1f}" fill="#0072B2"/>'
        f'<text x="{(k + 0.5) * width}" y="{15 + height * (1 - n / top):.1f}" text-anchor="middle">{n or ""}</text>'
        for k, (_, n) in enumerate(bins)
    )
    bars += "".join(
        f'<text x="{k * width}" y="{height + 38}" text-anchor="middle">{100 * k // BINS}</text>'
        for k in range(BINS + 1)
    )
    bars += f'<text x="{BINS * width / 2}" y="{height + 58}" text-anchor="middle">% of the points, and number of students above each bar</text>'
    bars += f'<path d="M0 {height + 20.5}H{BINS * width}" stroke="#444"/>'
    told = f"How many students have which share of the points. {'; '.join(f'{n} have {b}' for b, n in bins if n)}."
    chart = f'<svg role="img" aria-label="{told}" viewBox="-12 0 {BINS * width + 30} {height + 64}" width="{BINS * width + 30}" font-size="13">{bars}</svg>'
    table = _table(
        "Students by share of the points",
        ["share", "students"],
        [(f'<th scope="row">{b}</th>', _n(n)) for b, n in bins],
    )
    results = defaultdict(list)
    for _, r in _pairs(graded):
        results[r.notebook].append(r)
    notebooks = [
        (f'<th scope="row">{_text(name)}</th>', _n(f"{sum(r.points for r in rs) / len(graded):.3g} of {sum(r.of for r in rs) / len(graded):.3g}"),
         _n(f"{_mean(rs):.0%}"), _bar(rs))
        for name, rs in sorted(results.items())
    ]  # fmt: skip
    return (
        f"<figure style='margin:0'>{chart}</figure><details><summary>The same as a table</summary>{table}</details>"
        + _table(
            "Notebooks", ["notebook", "points on average", "share", "outcomes of its exercises"], notebooks, SHOWN * 2
        )
        + _key([r for rs in results.values() for r in rs])
    )


def _exercises(graded: list[Submission]) -> str:
    found: dict[tuple, list[tuple[Submission, Result]]] = defaultdict(list)
    for s, r in _pairs(graded):
        found[r.notebook, r.exercise].append((s, r))
    pending = {(r.notebook, r.exercise) for s in graded for r in s.results if r not in s.settled}  # says nothing yet
    order = sorted(found.keys() - pending, key=lambda key: (_mean([r for _, r in found[key]]), key))
    here = [name for name, *_ in OUTCOMES if any(_outcome(r) == name for _, r in _pairs(graded))]
    rows = []
    for key in order:
        results, who = [r for _, r in found[key]], defaultdict(list)
        for s, r in found[key]:
            who[f"{_outcome(r)}: {r.misconception.replace('_', ' ')}" if r.misconception else _outcome(r)].append(
                s.student
            )
        who = {what: students for what, students in who.items() if what != "right"}
        names = "".join(
            f"<div>{_text(what)}: {_names(w)}</div>" for what, w in sorted(who.items(), key=lambda kv: -len(kv[1]))
        )
        counts = Counter(map(_outcome, results))
        rows.append((f'<th scope="row">{_text(key[1])} <small>{_text(key[0])}</small></th>', _n(f"{_mean(results):.0%}"),
                     f"<td>{_bar(results, 160)}</td>", *(_n(counts[name] or "·") for name in here),
                     _fold("who", names) if names else ""))  # fmt: skip
    caption = "The share of the points reached, lowest first, and how many students had which outcome"
    return _key([r for _, r in _pairs(graded)]) + _table(
        caption, ["exercise", "points", "outcomes", *here, "names"], rows, 2 * SHOWN
    )


def _who_needs_help(graded: list[Submission]) -> str:
    low = sorted((s for s in graded if s.share < PASS), key=lambda s: (s.share, s.student))
    rows = []
    for s in low:
        missed, lost = defaultdict(list), Counter()
        for r in (r for r in s.settled if r.points < r.of):
            missed[_outcome(r)].append(
                f"{r.exercise} ({r.misconception.replace('_', ' ')})" if r.misconception else r.exercise
            )
            lost[r.notebook] += r.of - r.points
        kinds = [name for name, *_ in OUTCOMES if missed[name]]
        lists = "".join(f"<div><b>{name}</b>: {', '.join(map(_text, missed[name]))}</div>" for name in kinds)
        most = ", ".join(f"{_text(notebook)} −{points:g}" for notebook, points in lost.most_common(3))
        what = f"{most}{_fold(', '.join(f'{name} {len(missed[name])}' for name in kinds), lists)}"
        rows.append((_th(s.student), _n(f"{s.points:g} of {s.of:g}"), what))
    none = f"<p>Everybody has at least {PASS:.0%} of the points.</p>"
    return (
        _table(
            f"Less than {PASS:.0%} of the points, lowest first",
            ["student", "points", "where most is missing, and what"],
            rows,
        )
        or none
    )


def _late(graded: list[Submission]) -> str:
    late = sorted((s for s in graded if s.late > 0), key=lambda s: -s.late)
    rows = [(_th(s.student), _n(str(timedelta(seconds=int(s.late)))), _n(f"{s.penalty:g}")) for s in late]
    return _table("Handed in late", ["student", "days, h:min:s", "points taken off"], rows) or "<p>Nobody was late.</p>"


def _slow(submissions: list[Submission]) -> str:
    slow = sorted((s for s in submissions if s.seconds), key=lambda s: -s.seconds)[:5]
    return _table("Slowest to grade", ["student", "seconds"], [(_th(s.student), _n(f"{s.seconds:.1f}")) for s in slow])


def _everybody(submissions: list[Submission]) -> str:
    rows = [(_th(s.student), _text(s.name), _n(f"{s.points:g}" if s.counts else "not graded"), _n(f"{s.share:.0%}" if s.counts else ""))
            for s in submissions]  # fmt: skip
    files = 'Also <a href="exercises.csv">exercises.csv</a> (a row per student and exercise), <a href="canvas.csv">canvas.csv</a> '
    files += '(for Canvas: <i>Grades → Import</i>), and <a href="../grades.csv">grades.csv</a> (nbgrader\'s own).'
    return _table("Points, with late penalties", ["student", "name", "points", "share"], rows) + f"<p>{files}</p>"


# --- pieces ------------------------------------------------------------------------------------------------------


def _text(value: Any) -> str:
    """Any text, harmless: escaped, cut, and without the invisible characters that could turn a line around."""
    text = "".join(c if c.isprintable() else " " if c in "\n\t" else "�" for c in str(value)[: TEXT_LIMIT + 1])
    return html.escape(text if len(text) <= TEXT_LIMIT else text[:TEXT_LIMIT] + " …")


def _table(caption: str, heads: list[str], rows: list[tuple[str, ...]], shown: int = SHOWN) -> str:
    """A table of ready cells, or of texts for plain ones; what is beyond the first rows is folded. Empty without rows."""
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{h}</th>' for h in heads)
    lines = [
        "<tr>" + "".join(c if c.startswith(("<td", "<th")) else f"<td>{c}</td>" for c in row) + "</tr>" for row in rows
    ]

    def one(caption: str, part: list[str]) -> str:
        return (
            f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{''.join(part)}</tbody></table>"
        )

    rest = lines[shown:]
    more = f"<details><summary>{len(rest)} more</summary>{one(f'{caption}, continued', rest)}</details>" if rest else ""
    return one(caption, lines[:shown]) + more


def _th(text: str) -> str:
    return f'<th scope="row">{_text(text)}</th>'


def _n(number: Any) -> str:
    return f'<td class="n">{number}</td>'


def _list(texts: tuple[str, ...]) -> str:
    return (
        f"<td>{'<br>'.join(map(_text, texts[:3]))}"
        + (_fold(f"{len(texts) - 3} more", "<br>".join(map(_text, texts[3:])))) * (len(texts) > 3)
        + "</td>"
    )


def _names(names: list[str]) -> str:
    shown = ", ".join(map(_text, names))
    return shown if len(names) <= NAMES else _fold(f"{len(names)} students", shown)


def _fold(summary: str, inside: str) -> str:
    return f"<details><summary>{summary}</summary>{inside}</details>"


def _outcome(r: Result) -> str:
    return _OUTCOME.get(r.kind, "other mistake")


def _bar(results: list[Result], width: int = 240) -> str:
    """Outcomes as a bar: told apart by colour and sign, and told in words."""
    counts, x, parts, told = Counter(map(_outcome, results)), 0.0, "", []
    for name, sign, fill, ink, _ in OUTCOMES:
        if n := counts[name]:
            wide = width * n / len(results)
            parts += f'<rect x="{x:.1f}" y=".5" width="{wide:.1f}" height="17" fill="{fill}" stroke="#666" stroke-width=".6"/>'
            if wide > 14:
                parts += f'<text x="{x + wide / 2:.1f}" y="13.5" text-anchor="middle" fill="{ink}">{sign}</text>'
            x, told = x + wide, [*told, f"{n} {name}"]
    return f'<svg role="img" aria-label="{", ".join(told)}" width="{width + 1}" height="18" viewBox="0 0 {width + 1} 18" font-size="12">{parts}</svg>'


def _key(results: list[Result]) -> str:
    here = set(map(_outcome, results))
    signs = "".join(
        f'<li><svg aria-hidden="true" width="18" height="18" font-size="12"><rect x=".5" y=".5" width="17" height="17" fill="{fill}" stroke="#666"/>'
        f'<text x="9" y="13.5" text-anchor="middle" fill="{ink}">{sign}</text></svg>{name}</li>'
        for name, sign, fill, ink, _ in OUTCOMES if name in here
    )  # fmt: skip
    return f'<ul class="key" aria-label="Signs in the bars">{signs}</ul>'


def _mean(results: list[Result]) -> float:
    return sum(r.points for r in results) / (sum(r.of for r in results) or 1)


def _pairs(submissions: list[Submission]) -> list[tuple[Submission, Result]]:
    return [(s, r) for s in submissions for r in s.settled]
