"""`paper`: the questions as a page to print, and a key with every explanation. No code to run, no internet needed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from latex2mathml.converter import convert
from markupsafe import Markup
from nbconvert.filters import markdown2html

from lecture_utils.instructor.authoring.course import Course
from lecture_utils.instructor.authoring.practice import headline
from lecture_utils.instructor.authoring.questions import Question, asked_in, fill

TITLE = "Improving Optimization · midterm practice"


@dataclass(frozen=True)
class Explained:
    """An answer to a question, in the key. ``right`` is None for a letter of a matching question, which is neither."""

    answer: str
    right: bool | None
    because: str

    @property
    def sign(self) -> str:
        return {True: "✔", False: "✘", None: "·"}[self.right]


def write(course: Course, student: str, folder: Path) -> None:
    """Write midterm.html and midterm_key.html for the numbers of ``student``."""
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"formatted": formatted, "explained": explained, "short": short, "headline": headline}
    environment.filters |= {
        "picture": lambda q: Markup('<img alt="{}" src="{}">').format(*q.picture(q.numbers_of(student)))
    }
    template = environment.get_template("paper.html.j2")
    about = {"questions": asked_in(course.exercises), "student": student}
    folder.mkdir(parents=True, exist_ok=True)
    for name, title, key in (("midterm.html", TITLE, False), ("midterm_key.html", f"{TITLE}: key", True)):
        (folder / name).write_text(template.render(title=title, key=key, **about), encoding="utf-8")
        print(f"wrote    {folder / name}")


def explained(q: Question, student: str) -> list[Explained]:
    """The right answer, and what there is to say about every other one."""
    if q.kind == "derivation":
        slips = [Explained(slip["formula"], False, f"Looks like {slip['because']}") for slip in q.wrong]
        return [Explained(q.formula, True, q.because), *slips]
    answers = [Explained(a.replace("=", ": "), *about) for a, about in q.answers(q.numbers_of(student)).items()]
    if q.kind == "matching":  # the right pairs, then what each letter describes
        which = q.numbers_of(student)
        letters = [Explained(k, None, fill(p["because"], q.numbers[which])) for k, p in q.lettered(which).items()]
        return [a for a in answers if a.right] + letters
    first = next(a for a in answers if a.right)  # a right number has several spellings
    return [a for a in answers if not a.right or a is first]


def short(q: Question, student: str) -> str:
    """The right answer in a line of the grid."""
    if q.kind == "derivation":
        return q.formula
    answer = q.answer(q.numbers_of(student))
    if isinstance(answer, dict):
        return ", ".join(f"{name} {letter}" for name, letter in answer.items())
    return f"{answer:.6g}" if isinstance(answer, float) else str(answer)


def formatted(markdown: str) -> Markup:
    """Markdown with formulas as MathML, which browsers draw and print without help from the internet."""
    formulas: list[str] = []

    def keep(match: re.Match) -> str:
        formulas.append(convert(match[1]))
        return f"@@{len(formulas) - 1}@@"

    page = markdown2html(re.sub(r"\$([^$\n]+)\$", keep, markdown))
    return Markup(re.sub(r"@@(\d+)@@", lambda m: formulas[int(m[1])], page))
