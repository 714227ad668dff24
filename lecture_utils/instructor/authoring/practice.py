"""The cells of notebook 8 that are made from records: questions, their checks, study guide, what is said of the notes."""

from __future__ import annotations

import re
import tomllib
from typing import Any, NamedTuple
from urllib.parse import quote

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from lecture_utils.checks.quiz import NOBODY
from lecture_utils.environment import CourseError
from lecture_utils.instructor.authoring.course import Course
from lecture_utils.instructor.authoring.questions import KINDS, Question, asked_in


def expand(course: Course, notebook: NotebookNode) -> None:
    """Put the generated cells after each cell that asks for them by its metadata: generate="questions 1", "guide" …"""
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        what, _, argument = cell.metadata.get("generate", "").partition(" ")
        if what:
            made = MAKERS[what](course, argument)
            for new in made:
                new.metadata["generated"] = True
            cells += made
    notebook.cells = cells


def collapse(notebook: NotebookNode) -> None:
    """The inverse of ``expand``."""
    notebook.cells = [c for c in notebook.cells if not c.metadata.get("generated")]


def leave_out_notes(notebook: NotebookNode) -> None:
    """Take the study guide and the corrections out, with their headings."""
    keep, cells = True, []
    for cell in notebook.cells:
        if not cell.metadata.get("generated"):
            keep = cell.metadata.get("generate") not in ("guide", "corrected")
        cells += [cell] if keep else []
    notebook.cells = cells


def fill_in(course: Course, notebook: NotebookNode) -> None:
    """Write the right answers into the answer cells, as the solutions show them."""
    if not any(c.metadata.get("generated") for c in notebook.cells):
        return
    known = {_answer_source(q): q for q in asked_in(course.exercises) if q.kind != "derivation"}
    for cell in notebook.cells:
        if question := known.get(cell.source):
            answer = question.answer(question.numbers_of(NOBODY))
            cell.source = _answer_source(question, answer)


def _question_cells(course: Course, topic: str) -> list[NotebookNode]:
    """Of each question its heading and ONE cell, which asks and holds the answer; of a derivation its function and its check."""
    cells = []
    for q in asked_in(course.exercises):
        if q.section.split(".")[0] != topic:
            continue
        head = f"### {headline(q)}\n\n*Belongs to {_place(course, q.section)}.*"
        if q.kind != "derivation":
            cells.append(new_markdown_cell(head))
            cells.append(new_code_cell(_answer_source(q), metadata={"tags": ["raises-exception"]}))
            continue
        cells.append(new_markdown_cell(f"{head}\n\n{q.shown(0)}"))
        cells.append(new_code_cell(_stub(q), metadata=_graded(q, f"{q.id}-answer", solution=True)))
        cells.append(new_code_cell(f"check({q.id})", metadata=_graded(q, q.id)))
    return cells


def _place(course: Course, section: str) -> str:
    """ "section 1.8, Loss against seconds (Deeper)", with a link."""
    about = sections(course).get(section)
    linked = link(course, section, "section ")
    return f"{linked}, {about.heading.partition('  ')[2].rstrip('?.')}{' (Deeper)' * about.deeper}"


def headline(q: Question) -> str:
    """ "12 · Multiple choice · 1 point"; a part of a question says so."""
    if q.part:
        return f"{q.number} ({q.part}) · {KINDS[q.kind]} in three parts · {q.points} of 3 points"
    return f"{q.number} · {KINDS[q.kind]} · {q.points} point{'s' * (q.points > 1)}"


def _grading_cells(course: Course, _: str) -> list[NotebookNode]:
    """The checks of all questions whose cells do not hold one."""
    asked = [q for q in asked_in(course.exercises) if q.kind != "derivation"]
    return [new_code_cell(f'check_answer("{q.id}", {q.id}, student)', metadata=_graded(q, q.id)) for q in asked]


def _graded(q: Question, name: str, solution: bool = False) -> dict[str, Any]:
    about = {"grade": not solution, "grade_id": name, "locked": not solution, "schema_version": 3, "task": False}
    about |= {"solution": True} if solution else {"solution": False, "points": q.points}
    return {"nbgrader": about, "tags": ["raises-exception"]}  # Run All goes on, whatever stands in an answer


def _stub(q: Question) -> str:
    about = "\n".join(f"    {name}: {what}" for name, (what, *_) in q.arguments.items())
    body = f"    ### BEGIN SOLUTION\n    return {q.formula}\n    ### END SOLUTION"
    head = f'def {q.id}({", ".join(q.arguments)}):\n    """{q.returns[0].upper()}{q.returns[1:]}, a float.'
    return f'{head}\n\n{about}\n    """\n{body}'


def _answer_source(q: Question, answer: Any = None) -> str:
    """The cell that asks a question and holds a student's answer: None at first."""
    form = q.form()
    letters = f'"{form["letters"][0]}" to "{form["letters"][-1]}"' if "letters" in form else ""
    hint = {"truth": "True or False", "letter": letters, "number": "a number", "numbers": "a list of numbers"}
    if form["is"] != "pairs":
        return f'{q.id} = ask("{q.id}", student, {_literal(answer)})  # {hint[form["is"]]}'
    lines = [f'    "{key}": {_literal(answer and answer[key])},' for key in form["keys"]]
    return "\n".join([f'{q.id} = ask("{q.id}", student, {{  # {letters}', *lines, "})"])


def _literal(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _guide_cells(course: Course, _: str) -> list[NotebookNode]:
    """What the lecture notes treat → section → question numbers: one table for each part of the notes."""
    cells = []
    records = (course.rubrics / "questions.toml").read_text(encoding="utf-8")
    for topic in tomllib.loads(records)["topic"]:
        rows = [f"**{topic['part']}**\n\n| in the lecture notes | section | questions |\n|:--|:--|:--|"]
        for what, where in topic["rows"]:
            places = where.split(", ")
            links = ", ".join(link(course, place) for place in places)
            asked = (str(q.number) for q in asked_in(course.exercises) if q.section in places)
            numbers = ", ".join(dict.fromkeys(asked))  # parts of one question have one number
            rows.append(f"| {what} | {links} | {numbers or '–'} |")
        cells.append(new_markdown_cell("\n".join(rows)))
    return cells


LABELS = ("corrected", "sharpened", "caveat")
_REMARK = re.compile(
    rf"^## (\d+\.\d+)  |^> Lecture notes ▸ ({'|'.join(LABELS)}): (.*(?:\n> .+)*)", re.MULTILINE
)  # a section, or a remark in it


def _corrected_cells(course: Course, _: str) -> list[NotebookNode]:
    """All lines "Lecture notes ▸ …" of the notebooks as one table: section, label, what."""
    rows = ["| section | label | what |\n|:--|:--|:--|"]
    for file in course.sources:
        section, text = "", re.sub(r"^# ?", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for match in _REMARK.finditer(text):
            if match[1]:
                section = match[1]
                continue
            body = match[3].replace("\n> ", " ").strip()
            if len(body.split()) > 120:
                raise CourseError(f"{file.name}, {section}: a remark on the lecture notes has more than 120 words.")
            rows.append(f"| {link(course, section)} | {match[2]} | {body[0].upper()}{_in_table(body[1:])} |")
    return [new_markdown_cell("\n".join(rows))]


def _in_table(text: str) -> str:
    """Markdown in which no | ends a cell of a table."""
    text = re.sub(r"\$[^$]*\$", lambda m: m[0].replace("\\|", r"\Vert ").replace("|", r"\vert "), text)
    return text.replace("|", r"\|")


class Section(NamedTuple):
    notebook: str
    heading: str
    deeper: bool  # beyond what a notebook asks of everybody


def sections(course: Course) -> dict[str, Section]:
    """The numbered sections of all notebooks, by number."""
    found = {}
    for file in course.sources:
        text, deeper = file.read_text(encoding="utf-8"), False
        for heading, number in re.findall(r"^# ## (Deeper$|(\d+\.\d+)  .+$)", text, re.MULTILINE):
            deeper |= not number
            if number:
                found[number] = Section(file.stem, re.sub("[`*]", "", heading), deeper)
    return found


def link(course: Course, section: str, before: str = "") -> str:
    """A section number as a link to its heading. JupyterLab looks for the heading with a hyphen for each blank, unescaped."""
    try:
        notebook, heading, _ = sections(course)[section]
    except KeyError:
        raise CourseError(f"questions.toml: no notebook has a section {section}.") from None
    return f"[{before}{section}]({notebook}.ipynb#{quote(heading.replace(' ', '-'), safe=',:;!?&=+$@/~')})"


MAKERS = {
    "questions": _question_cells,
    "guide": _guide_cells,
    "corrected": _corrected_cells,
    "grading": _grading_cells,
}  # by what a cell's metadata says
