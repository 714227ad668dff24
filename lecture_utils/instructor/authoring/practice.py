"""The cells of notebook 8 that are made from records: questions with their checks, study guide, list of corrections."""

from __future__ import annotations

import re
import tomllib
from typing import Any
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
            made = {"questions": _question_cells, "guide": _guide_cells, "corrected": _corrected_cells}[what](
                course, argument
            )
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
    cells = []
    for q in asked_in(course.exercises):
        if q.section.split(".")[0] != topic:
            continue
        points = f"{q.points} point" + "s" * (q.points > 1)
        head = f"### {q.number} · {KINDS[q.kind]} · {points}\n\n*Belongs to {link(course, q.section)}.*"
        cells.append(new_markdown_cell(head if q.drawn else f"{head}\n\n{q.shown(0)}"))
        cells += [new_code_cell(f'ask("{q.id}", student)')] if q.drawn else []
        check = f'check_answer("{q.id}", {q.id}, student)'
        if q.kind == "derivation":
            check = f"check({q.id})"
            cells.append(new_code_cell(_stub(q), metadata=_graded(q, f"{q.id}-answer", solution=True)))
        else:
            cells.append(new_code_cell(_answer_source(q), metadata={"tags": ["raises-exception"]}))
        cells.append(new_code_cell(check, metadata=_graded(q, q.id)))
    return cells


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
    """The cell that holds a student's answer: None at first."""
    form = q.form()
    letters = f'"{form["letters"][0]}" to "{form["letters"][-1]}"' if "letters" in form else ""
    hint = {"truth": "True or False", "letter": letters, "number": "a number", "numbers": "a list of numbers"}
    if form["is"] != "pairs":
        return f"{q.id} = {_literal(answer)}  # {hint[form['is']]}"
    lines = [f'    "{key}": {_literal(answer and answer[key])},' for key in form["keys"]]
    return "\n".join([f"{q.id} = {{  # {letters}", *lines, "}"])


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
            numbers = ", ".join(str(q.number) for q in asked_in(course.exercises) if q.section in places)
            rows.append(f"| {what} | {links} | {numbers or '–'} |")
        cells.append(new_markdown_cell("\n".join(rows)))
    return cells


def _corrected_cells(course: Course, _: str) -> list[NotebookNode]:
    """All lines "Lecture notes ▸ corrected" of the notebooks, with their sections, in cells of up to 120 words."""
    line = r"^## (\d+\.\d+)  |^> Lecture notes ▸ corrected: (.*(?:\n> .+)*)"  # a section, or a correction in it
    texts, size = [""], 0
    for file in course.sources:
        section, text = "", re.sub(r"^# ?", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for match in re.finditer(line, text, re.MULTILINE):
            if match[1]:
                section = match[1]
                continue
            body = match[2].replace("\n> ", " ")
            words = len(body.split())
            if size and size + words > 115:
                texts, size = [*texts, ""], 0
            texts[-1] += f"- {link(course, section)} &nbsp; {body[0].upper()}{body[1:]}\n"
            size += words + 3
    return [new_markdown_cell(text.strip()) for text in texts]


def sections(course: Course) -> dict[str, tuple[str, str]]:
    """{"1.2": (its notebook, its heading)} of all notebooks."""
    found = {}
    for file in course.sources:
        for heading, number in re.findall(r"^# ## ((\d+\.\d+)  .+)$", file.read_text(encoding="utf-8"), re.MULTILINE):
            found[number] = (file.stem, re.sub("[`*]", "", heading))
    return found


def link(course: Course, section: str) -> str:
    """A section number as a link to its heading."""
    try:
        notebook, heading = sections(course)[section]
    except KeyError:
        raise CourseError(f"questions.toml: no notebook has a section {section}.") from None
    return f"[{section}]({notebook}.ipynb#{quote(heading.replace(' ', '-'))})"
