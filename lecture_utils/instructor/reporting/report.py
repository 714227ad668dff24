"""`report`: the class report as a page (``page.py``) and the tables beside it (``tables.py``)."""

from __future__ import annotations

import csv
from pathlib import Path

from lecture_utils.instructor.authoring.course import Course
from lecture_utils.instructor.grading.folder import alike
from lecture_utils.instructor.grading.gradebook import open_gradebook
from lecture_utils.instructor.reporting.page import page
from lecture_utils.instructor.reporting.results import collect
from lecture_utils.instructor.reporting.tables import canvas_rows, exercise_rows, write_csv


def report(course: Course) -> Path:
    """Write ``report/index.html``, the tables beside it, and ``grades.csv``; the page's path. Raises ``CourseError``."""
    from nbgrader.plugins import CsvExportPlugin  # half a second

    grades = course.root / "grades.csv"
    with open_gradebook(course) as gradebook:
        submissions = collect(course, gradebook)
        CsvExportPlugin(to=str(grades)).export(gradebook)
    with grades.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.reader(file))
    write_csv(grades, rows)  # as nbgrader wrote it, without formulas
    folder = course.root / "report"
    folder.mkdir(exist_ok=True)
    write_csv(folder / "exercises.csv", exercise_rows(submissions))
    write_csv(folder / "canvas.csv", canvas_rows(submissions, course.assignment))
    pages = {s.student for s in submissions if (course.feedback(s.student) / "index.html").exists()}
    text = page(submissions, course.assignment, alike([s.student for s in submissions]), pages)
    new = folder / "index.html.new"
    new.write_text(text, encoding="utf-8", errors="replace")
    new.replace(folder / "index.html")
    return folder / "index.html"
