"""`paper`: the questions as a page to print, and a key with every explanation. No code to run, no internet needed."""

from __future__ import annotations

import html
import re
from pathlib import Path

from latex2mathml.converter import convert
from nbconvert.filters import markdown2html

from lecture_utils.instructor.authoring.questions import KINDS, Question, load

TITLE = "Improving Optimization · midterm practice"
STYLE = """
@page { size: A4; margin: 18mm 16mm; }
body { font: 11pt/1.4 Georgia, "DejaVu Serif", serif; max-width: 178mm; margin: 0 auto; color: #000; }
h1 { font-size: 17pt; margin: 0 0 2mm; } h2 { font-size: 11pt; margin: 0 0 1mm; }
section { break-inside: avoid; border-top: .3mm solid #999; padding: 2.5mm 0 3.5mm; }
p { margin: 1mm 0; } ul { list-style: none; padding-left: 2mm; margin: 1mm 0; } li { margin: .8mm 0; }
pre { background: #f3f3f3; padding: 2mm 3mm; margin: 1.5mm 0; font: 9.5pt/1.35 "DejaVu Sans Mono", monospace; white-space: pre-wrap; }
code { font: .88em "DejaVu Sans Mono", monospace; } pre code { font-size: 1em; }
.line { border-bottom: .3mm solid #000; display: inline-block; width: 60mm; height: 6mm; }
.box { border: .3mm solid #999; height: 36mm; margin-top: 2mm; }
.slot { border-bottom: .3mm solid #000; display: inline-block; width: 9mm; margin-right: 6mm; }
.pair { white-space: nowrap; }
.right code { font-weight: bold; border: .3mm solid #000; padding: 0 1mm; } .small { color: #444; font-size: 9.5pt; }
"""


def write(student: str, folder: Path) -> int:
    """Write midterm.html and midterm_key.html for the numbers of ``student``."""
    folder.mkdir(parents=True, exist_ok=True)
    points = sum(q.points for q in load())
    head = f"<p>Name <span class='line'></span> &emsp; {points} points &emsp; numbers of: {html.escape(student)}</p>"
    head += "<p class='small'>Open-note, no electronics. Three significant digits are enough.</p>"
    pages = {
        "midterm.html": (TITLE, head, _asked),
        "midterm_key.html": (f"{TITLE}: key", f"<p>Numbers of: {html.escape(student)}</p>", _answered),
    }
    for name, (title, intro, show) in pages.items():
        body = "".join(f"<section>{_head(q)}{show(q, q.numbers_of(student))}</section>\n" for q in load())
        text = (
            f"<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><title>{title}</title><style>{STYLE}</style>"
        )
        (folder / name).write_text(
            f"{text}</head><body><h1>{title}</h1>{intro}{body}</body></html>\n", encoding="utf-8"
        )
        print(f"wrote    {folder / name}")
    return 0


def _head(q: Question) -> str:
    return f"<h2>{q.number} · {KINDS[q.kind]} · {q.points} point{'s' * (q.points > 1)}</h2>"


def _asked(q: Question, which: int) -> str:
    """The question, and room for its answer."""
    if q.kind == "derivation":
        names = "; ".join(f"<code>{name}</code> = {html.escape(what)}" for name, (what, *_) in q.arguments.items())
        return f"{_html(q.shown(which))}<p class='small'>{names}</p><div class='box'></div>"
    if q.kind == "true_false":
        room = "☐ true &emsp; ☐ false"
    elif q.kind == "matching":
        room = " ".join(
            f"<span class='pair'>{html.escape(i['name'])} <span class='slot'></span></span>" for i in q.items
        )
    else:
        room = "Answer <span class='line'></span>"
    return f"{_html(q.shown(which))}<p>{room}</p>"


def _answered(q: Question, which: int) -> str:
    """The right answer, and what there is to say about every other one."""
    text = f"<p class='small'>Section {q.section}</p>"
    if q.kind == "derivation":
        rows = [(q.formula, True, q.because)] + [(w["formula"], False, f"Looks like {w['because']}") for w in q.wrong]
    else:
        rows = [(a.replace("=", ": "), right, because) for a, (right, because) in q.answers(which).items()]
        if q.kind == "matching":  # the right pairs, then what each letter describes
            about = {p["because"]: (f"{p['because'][0]}", False, p["because"]) for p in q.properties}
            rows = [row for row in rows if row[1]] + list(about.values())
        first = [k for k, row in enumerate(rows) if row[1]]
        if q.kind == "code":  # a right number has several spellings
            rows = [row for k, row in enumerate(rows) if not row[1] or k == first[0]]
    items = [
        f"<li class='{'right' if right else ''}'>{'✔' if right else '✘'} <code>{html.escape(answer)}</code> &nbsp; {html.escape(why)}</li>"
        for answer, right, why in rows
    ]
    return f"{text}{_html(q.shown(which))}<ul>{''.join(items)}</ul>"


def _html(markdown: str) -> str:
    """Markdown with formulas as MathML, which browsers draw and print without help from the internet."""
    formulas: list[str] = []

    def keep(match: re.Match) -> str:
        formulas.append(convert(match[1]))
        return f"@@{len(formulas) - 1}@@"

    page = markdown2html(re.sub(r"\$([^$\n]+)\$", keep, markdown))
    return re.sub(r"@@(\d+)@@", lambda m: formulas[int(m[1])], page)
