"""The pages that a student gets back: an index, and a page per notebook. No script, nothing from a network.

Here is what they say; how they look is in ``feedback*.html.j2``.
"""

from __future__ import annotations

import html
import re
import shutil
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup
from nbconvert.exporters import Exporter
from nbgrader.api import Gradebook

from lecture_utils.checks.quiz import NOBODY, which_set
from lecture_utils.checks.traces import Kind
from lecture_utils.instructor.authoring.course import Course, course_in
from lecture_utils.instructor.grading.disarm import mark
from lecture_utils.instructor.grading.gradebook import open_gradebook
from lecture_utils.instructor.grading.results import DAMAGED, FAILED, METADATA, MISSING, sentences
from lecture_utils.instructor.grading.transplant import defined
from lecture_utils.instructor.reporting.markdown import as_written, heading, rendered
from lecture_utils.instructor.reporting.results import Marked, Submission, collect, read_notebook

SOURCE = 20_000  # characters of an answer that are shown
TEXT, PICTURES = 20_000, 150_000  # characters of output that a page shows: texts, and pictures as base64
OWN = 20  # cells of a student's own that a page shows
NOTES = 30
FOR_RELEASE = ("timestamp.txt", "submission_secret.txt")  # without them nbgrader cannot release feedback
_PNG = re.compile(r"iVBORw0KGgo[A-Za-z0-9+/=]+")
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")  # colours of a terminal
_HEADING = re.compile(r"^#+ +(.+)", re.MULTILINE)
_NUMBER = re.compile(r"\*\*Exercise (\d+\.\d+)")
_STUDENT = re.compile(r"""^student *= *(["'])(.{1,200}?)\1""", re.MULTILINE)
_LATE_KINDS = (Kind.TIMEOUT, Kind.NOT_RUN)


def write(course: Course, student: str, gradebook: Any = None, told: dict[str, Any] | None = None) -> list[Path]:
    """Write ``feedback/STUDENT/ASSIGNMENT``, each file in one piece; the pages, the index first. Raises ``CourseError``.

    ``told`` is what `grade` has to tell of the submission, if it is not in its records yet.
    """
    with nullcontext(gradebook) if gradebook else open_gradebook(course) as opened:
        submission = submission_of(course, opened, student, told)
    folder, graded = course.feedback(student), course.autograded(student)
    folder.mkdir(parents=True, exist_ok=True)
    notebooks = {name: read_notebook(graded / f"{name}.ipynb") for name in course.released}
    pages = {name: notebook_page(course, submission, name, nb) for name, nb in notebooks.items() if nb}
    for name in notebooks.keys() - pages.keys():  # of an earlier submission
        (folder / f"{name}.html").unlink(missing_ok=True)
    _remove_copies(folder, graded)
    for name in FOR_RELEASE:
        if (graded / name).is_file():
            shutil.copyfile(graded / name, folder / name)
    pages = {"index": index_page(course, submission, pages.keys())} | pages
    return [_replace(folder / f"{name}.html", text) for name, text in pages.items()]


def submission_of(course: Course, gradebook: Any, student: str, told: dict[str, Any] | None = None) -> Submission:
    found = collect(course, gradebook, student, told)
    return found[0] if found else Submission(student)


def _remove_copies(folder: Path, graded: Path) -> None:
    """nbgrader copies what lies beside the graded notebooks, checks.json for one. A student has that."""
    for path in graded.iterdir() if graded.is_dir() else ():
        if path.suffix != ".ipynb" and path.name not in FOR_RELEASE:
            (folder / path.name).unlink(missing_ok=True)


def _replace(path: Path, text: str) -> Path:
    new = path.with_name(f"{path.name}.new")
    new.write_text(text, encoding="utf-8")
    return new.replace(path)


class FeedbackExporter(Exporter):
    """For nbgrader's own commands and the formgrader: the same pages, through its converter."""

    file_extension = ".html"
    output_mimetype = "text/html"

    def from_notebook_node(self, nb: Any, resources: Any = None, **kw: Any) -> tuple[str, Any]:
        names = resources["nbgrader"]
        course = course_in(self.config.CourseDirectory.root, names["db_url"], names["assignment"])
        with Gradebook(names["db_url"]) as gradebook:
            submission = submission_of(course, gradebook, names["student"])
        graded = course.autograded(names["student"])
        _remove_copies(course.feedback(names["student"]), graded)
        there = {path.stem for path in graded.glob("*.ipynb")}
        resources = self._init_resources(resources)
        # nbgrader's writer puts these beside the page.
        resources["outputs"] = {"index.html": index_page(course, submission, there).encode()}
        return notebook_page(course, submission, names["notebook"], nb), resources


# --- the index -----------------------------------------------------------------------------------------------------


def index_page(course: Course, submission: Submission, pages: Collection[str]) -> str:
    """All notebooks of the course, with a link to each that has a page."""
    rows = []
    for name in course.released:
        results = [r for r in submission.results if r.notebook == name]
        rows.append(
            {
                "title": _title(course, name), "page": f"{name}.html" if name in pages else "",
                "points": _total(results).partition(" points")[0] if name in pages else "–",
                "lines": _lines(name, results, submission, name in pages),
            }
        )  # fmt: skip
    return _page(
        "feedback_index.html.j2",
        title=f"Feedback for {submission.name or submission.student}",
        assignment=course.assignment if not submission.name else f"{course.assignment} · {submission.student}",
        total=_total(submission.results, submission.penalty),
        penalty=_number(submission.penalty) if submission.penalty else "",
        error=submission.error,
        rows=rows,
        notes=_cut([*submission.notes, *submission.moved]),
    )


def _lines(name: str, results: list[Marked], submission: Submission, page: bool) -> Iterator[tuple[str, str]]:
    """What there is to say about a notebook, each with its tone: what to do about it comes first."""
    if not page:
        if name in submission.problems:
            yield "bad", f"Could not be used: {submission.problems[name]}."
            yield "", f"Open it in JupyterLab, run it, save it, and hand in {name}.ipynb again."
        elif submission.error:
            yield "bad", "Not graded, see above."
        else:
            yield "bad", f"Was not handed in. If you have it, hand in {name}.ipynb."
        return
    kinds = Counter(r.kind for r in results)
    if late := kinds[Kind.TIMEOUT] + kinds[Kind.NOT_RUN]:
        which = ", ".join(r.exercise for r in results if r.kind in _LATE_KINDS)
        yield "bad", f"Too slow: the time was over in {late} {'check' if late == 1 else 'checks'} ({which})."
        yield "", "Look for a loop that never ends, and take long experiments out."
    right = sum(r.points >= r.of for r in results)
    waiting = sum(r.waiting for r in results)
    if right + waiting == len(results) and right:
        yield "good", "All right." if not waiting else "All right so far."
    elif results:
        yield "", f"{right} of {len(results)} with full points."
    if waiting:
        yield "", f"{waiting} not marked yet."
    if comments := sum(bool(r.comment) for r in results):
        yield "", f"{comments} {'comment' if comments == 1 else 'comments'}."


# --- a notebook ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """What a notebook asks for, as it was given out. ``section`` is the HTML of its heading."""

    exercise: str
    number: str
    label: str
    section: str
    anchor: str  # that its card links to
    is_text: bool


@cache
def tasks(course: Course, notebook: str) -> dict[str, Task]:
    """By exercise, in their order."""
    found, section, number = {}, "", ""
    asked: dict[str, tuple[int, str]] = {}  # place and heading of the cell that asks: its check may stand elsewhere
    for k, cell in enumerate(course.released[notebook].cells):
        about = cell.metadata.get("nbgrader", {})
        if cell.cell_type == "markdown" and not about:
            section = (_HEADING.findall(cell.source) or [section])[-1]
            number = (_NUMBER.findall(cell.source) or [number])[-1]
        asked |= dict.fromkeys(_questions_answered(course, cell), (k, section))
        if not (about.get("grade") or about.get("task")):
            continue
        name = about["grade_id"]
        data = course.recorded[name].data if name in course.recorded else {}
        link = data.get("link", "").removeprefix("#")
        anchor = link if all(link != task.anchor for _, task in found.values()) else ""
        shown, what = data.get("number") or (number if not about.get("locked") else ""), "Exercise"
        if not shown and data.get("question"):
            shown, what = str(data["question"]["number"]), "Question"
        label = f"{what} {shown}" if shown else ""
        place, above = asked.get(name, (k, section))
        found[name] = place, Task(name, shown, label, heading(above), anchor, cell.cell_type == "markdown")
    return {name: task for name, (_, task) in sorted(found.items(), key=lambda entry: entry[1][0])}


def notebook_page(course: Course, submission: Submission, name: str, nb: Mapping[str, Any]) -> str:
    """What a student wrote in one graded notebook, with what was found."""
    results = {r.exercise: r for r in submission.results if r.notebook == name}
    given = {
        c.metadata["nbgrader"]["grade_id"]: c.source for c in course.released[name].cells if "nbgrader" in c.metadata
    }
    for cell in course.released[name].cells:
        given |= {f"{question}-answer": cell.source for question in _questions_answered(course, cell)}
    student = _id_in(nb)
    written, budget = _written(nb), _Budget()
    rows = [
        _row(task, results[exercise], given, written, budget, _question(course, exercise, student))
        for exercise, task in tasks(course, name).items()
        if exercise in results
    ]
    own = [c for c in nb["cells"] if c["metadata"].get(METADATA, {}).get("own") and _source(c).strip()]
    return _page(
        "feedback.html.j2",
        title=_title(course, name),
        student=submission.name or submission.student,
        total=_total(results.values()),
        notes=_cut(sentences(nb["metadata"], "moved", "notes")),
        tasks=rows,
        own=[{"source": _shortened(_source(c)), "outputs": budget.shown(c)} for c in own[:OWN]],
    )


def _questions_answered(course: Course, cell: Mapping[str, Any]) -> set[str]:
    """The questions that a plain cell of code gives an answer to."""
    if cell["cell_type"] != "code" or cell["metadata"].get("nbgrader"):
        return set()
    return {n for n in defined(_source(cell)) if n in course.recorded and not course.recorded[n].is_function}


def _written(nb: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The cell in which each exercise was answered: by the name of the exercise."""
    named, giving = {}, {}
    for cell in nb["cells"]:
        about = cell["metadata"].get("nbgrader", {})
        if about.get("solution") or about.get("task"):
            named[about.get("grade_id", "").removesuffix("-answer")] = cell
        elif cell["cell_type"] == "code" and not about.get("locked"):  # a question is answered in a plain cell
            giving |= dict.fromkeys(defined(_source(cell)), cell)
    return giving | named


def _id_in(nb: Mapping[str, Any]) -> str:
    """The id for which a student's questions were drawn, where it stands in the notebook as a text."""
    texts = (_source(cell) for cell in nb["cells"] if cell["cell_type"] == "code")
    found = [match[2] for text in texts for match in _STUDENT.finditer(text)]
    return found[-1] if found else NOBODY


def _question(course: Course, exercise: str, student: str) -> str:
    """HTML of a question as that student got it; nothing for other exercises."""
    about = course.recorded[exercise].question if exercise in course.recorded else None
    if not about or not about.get("texts"):
        return ""
    which = which_set(exercise, student, len(about["texts"]))
    text, pictures = rendered(about["texts"][which])[0], about.get("pictures")
    return (f"<p>[Figure: {html.escape(pictures[which][0])}]</p>" if pictures else "") + text


def _row(
    task: Task, result: Marked, given: dict[str, str], written: dict[str, Any], budget: _Budget, question: str
) -> dict[str, Any]:
    """A task as the template shows it."""
    cell = written.get(task.exercise) or {}
    text = result.answer or _source(cell)
    stub = {given.get(f"{task.exercise}-answer", "").strip(), given.get(task.exercise, "").strip()}
    answer, words = "", ""
    if text.strip() and text.strip() not in stub:
        answer, words = rendered(_shortened(text)) if task.is_text else (as_written(_shortened(text)), "")
        answer = f'<div class="text">{answer}</div>' if task.is_text and not words else answer
    if question:  # what its cell displays is the question
        cell = {**cell, "outputs": [o for o in cell.get("outputs", []) if o.get("output_type") in ("stream", "error")]}
    sign, tone, points = _state(result)
    return {
        "exercise": task.exercise, "number": task.number, "label": task.label, "section": Markup(task.section), "anchor": task.anchor,
        "question": Markup(question), "answer": Markup(answer), "words": words or ("" if result.card else result.message),
        "outputs": budget.shown(cell), "card": Markup(result.card), "comment": result.comment,
        "sign": sign, "tone": tone, "points": points,
    }  # fmt: skip


def _state(result: Marked) -> tuple[str, str, str]:
    """Sign, tone and words for the points."""
    of = f"{_number(result.points)} of {_number(result.of)}"
    if result.waiting:
        return "○", "soft", f"not marked yet, of {_number(result.of)}"
    if result.points >= result.of:
        return "✔", "good", of
    if result.kind in (Kind.NOT_WRITTEN, MISSING, DAMAGED, FAILED):
        return "–", "soft", f"{of}, not written" if result.kind == Kind.NOT_WRITTEN else of
    return ("◐" if result.points else "✘"), "bad", of


class _Budget:
    """How much output a page may still show: a notebook can print without end."""

    def __init__(self) -> None:
        self.text, self.pictures = TEXT, PICTURES

    def shown(self, cell: Mapping[str, Any]) -> list[dict[str, str]]:
        """The output of a cell: texts, and pictures in PNG."""
        found = []
        for output in cell.get("outputs", []) if cell.get("cell_type") == "code" else []:
            data = output.get("data", {})
            picture = re.sub(r"\s", "", _joined(data.get("image/png", "")))
            if picture and len(picture) <= self.pictures and _PNG.fullmatch(picture):
                self.pictures -= len(picture)
                found.append({"picture": picture})
                continue
            text = _joined(output.get("text") or data.get("text/plain") or "")
            if output.get("output_type") == "error":
                text = f"{output.get('ename')}: {output.get('evalue')}"
            if text.strip() and self.text > 0:
                more = " …\n(The rest is not shown.)" if len(text) > self.text else ""
                found.append({"text": _ESCAPES.sub("", text[: self.text]).rstrip() + more, "picture": ""})
                self.text -= len(text)
        return found


def _source(cell: Mapping[str, Any]) -> str:
    return _joined(cell.get("source", ""))


def _joined(text: Any) -> str:
    """A text that a notebook may hold as lines."""
    return "".join(map(str, text)) if isinstance(text, list) else str(text)


def _shortened(text: str) -> str:
    if len(text) <= SOURCE:
        return text
    return f"{text[:SOURCE]} …\n(The rest is not shown: {len(text) - SOURCE} more characters.)"


# --- both ----------------------------------------------------------------------------------------------------------


def _page(template: str, **values: Any) -> str:
    """The page, with all characters marked that nobody would see."""
    return mark(_template(template).render(values))


@cache
def _template(name: str) -> Template:
    loader = FileSystemLoader(Path(__file__).parent)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True).get_template(name)


@cache
def _title(course: Course, name: str) -> str:
    found = _HEADING.search(course.released[name].cells[0].source)
    return Markup(heading(found[1])) if found else name


def _total(results: Collection[Marked], penalty: float = 0.0) -> str:
    """The points that are settled, and how many are not."""
    if not results:
        return "No points yet."
    unmarked = [r.of for r in results if r.waiting]
    points = max(0.0, sum(r.points for r in results if not r.waiting) - penalty)
    text = f"{_number(points)} of {_number(sum(r.of for r in results) - sum(unmarked))} points"
    return f"{text}, and {_number(sum(unmarked))} not marked yet" if unmarked else text


def _number(points: float) -> str:
    return f"{round(points, 2):g}"


def _cut(notes: list[str]) -> list[str]:
    rest = len(notes) - NOTES
    return [note[:1000] for note in notes[:NOTES]] + ([f"and {rest} more."] if rest > 0 else [])
