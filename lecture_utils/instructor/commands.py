"""The commands of those who run the course: what each takes, what has to be installed for it, and what it starts.

Read before anything is installed: the verbs import what they need when they run.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path

from lecture_utils.environment import ASSIGNMENT, ROOT

HERE = "instructor.commands"


def add(verb: Callable[..., ArgumentParser], lab: ArgumentParser) -> None:
    """Add them to the parser by ``verb`` (name, "module:function", help, which extras the options need)."""
    lab.add_argument("--instructor", action="store_true", help="show nbgrader's formgrader and Create Assignment, too")
    lab.set_defaults(needs=lambda options: ("grading",) if options["instructor"] else ())
    build = verb("build", f"{HERE}:build", "make notebooks/, solutions/ and checks.json from source/", _authoring)
    build.add_argument("only", nargs="*", metavar="NN", help="only notebooks whose names start so, for example 04")
    build.add_argument("--check", action="store_true", help="write none of them; fail with a diff if one is stale")
    told = "only write the questions to DIR, without any answer, to be graded"
    build.add_argument("--exam", type=Path, metavar="DIR", help=told)
    told = "make the questions as a page to print, and a key with all explanations"
    paper = verb("paper", f"{HERE}:paper", told, _authoring)
    paper.add_argument("--student", default="paper", metavar="ID", help="whose numbers; any text gives a variant")
    paper.add_argument("--out", dest="folder", type=Path, default="paper", metavar="DIR", help="where (default: paper)")
    bundle = verb("bundle", f"{HERE}:bundle", "make the zip file for students")
    bundle.add_argument("target", nargs="?", type=Path, default="improving_optimization.zip", metavar="file")
    _add_grade(verb)
    told = "write the class report and the tables of what is graded: report/, grades.csv"
    report = verb("report", f"{HERE}:report", told, _grading)
    report.add_argument("assignment", nargs="?", default=ASSIGNMENT)
    report.add_argument("--db", metavar="URL", help="of the gradebook")
    told = "make a class of honest and hostile students, grade it, open its report"
    demo = verb("demo", "instructor.reporting.demo:demo", told, _grading)
    told = "an empty or new folder (default: a temporary one)"
    demo.add_argument("--dir", dest="directory", metavar="DIR", help=told)
    demo.add_argument("--no-browser", action="store_false", dest="browser", help="only print where the report is")


def _add_grade(verb: Callable[..., ArgumentParser]) -> None:
    told = "grade all submissions, write feedback, the class report and grades.csv"
    grade = verb("grade", f"{HERE}:grade", told, _grading)
    grade.add_argument("assignment", nargs="?", default=ASSIGNMENT)
    grade.add_argument("--student", default="*", help="only these, for example 'a*' (default: all)")
    grade.add_argument("--force", action="store_true", help="grade again what is graded already")
    grade.add_argument("--workers", type=int, metavar="N", help="processes (default: one per core)")
    grade.add_argument("--db", metavar="URL", help="of the gradebook, for example postgresql+psycopg2://…")
    grade.add_argument("--cluster", metavar="ADDRESS", help="of a Dask scheduler whose workers see this folder")
    grade.add_argument("--unsandboxed", action="store_false", dest="sandboxed", help="run submissions with your rights")
    grade.add_argument("--cell-seconds", type=int, default=60, metavar="N", help="time limit of a cell (default 60)")
    grade.add_argument("--submission-seconds", type=int, default=600, metavar="N", help="of a submission (default 600)")
    grade.add_argument("--no-feedback", action="store_false", dest="feedback", help="write no feedback pages")


def _authoring(options: dict) -> tuple[str, ...]:
    return ("authoring",)


def _grading(options: dict) -> tuple[str, ...]:
    elsewhere = options.get("cluster") or options.get("db")
    return ("grading", "cluster") if elsewhere else ("grading",)


# --- what they start ---------------------------------------------------------------------------------------------


def build(only: list[str], check: bool, exam: Path | None) -> int:
    from lecture_utils.instructor.authoring import build
    from lecture_utils.instructor.authoring.course import Course

    if exam:
        build.exam(Course(), exam)
        return 0
    if not check:
        build.build(Course(), only)
        return 0
    difference = build.check(Course(), only)
    print(difference + "Stale: run `python3 -m lecture_utils build`." if difference else "All is as build makes it.")
    return 1 if difference else 0


def paper(student: str, folder: Path) -> int:
    from lecture_utils.instructor.authoring import paper
    from lecture_utils.instructor.authoring.course import Course

    paper.write(Course(), student, folder)
    return 0


def bundle(target: Path) -> int:
    from lecture_utils.instructor.authoring import bundle
    from lecture_utils.instructor.authoring.course import Course

    bundle.write(Course(), target)
    return 0


def grade(assignment: str, db: str | None, feedback: bool, **options: object) -> int:
    from lecture_utils.instructor.authoring.course import Course
    from lecture_utils.instructor.grading import batch

    code = batch.grade(Course(ROOT, db, assignment), feedback=batch.FEEDBACK if feedback else "", **options)
    report(assignment, db)
    return code


def report(assignment: str, db: str | None) -> int:
    from lecture_utils.instructor.authoring.course import Course
    from lecture_utils.instructor.reporting.report import report

    print(f"report: {report(Course(ROOT, db, assignment))}")
    return 0
