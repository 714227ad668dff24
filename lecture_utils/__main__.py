"""The commands: `python3 -m lecture_utils lab` for students, `test`, `build`, `grade` … for those who run the course."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from lecture_utils.environment import ASSIGNMENT, ROOT, CourseError, ensure, hand_over

INSIDE = "LECTURE_UTILS_INSIDE"  # set for the process that runs in the environment which set-up chose


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m lecture_utils", description="Improving Optimization: the course.")
    verbs = parser.add_subparsers(dest="verb", metavar="command", required=True)

    def verb(name: str, run: str | Callable[..., int], help: str) -> argparse.ArgumentParser:
        """``run`` takes the options by name; as "module:function" it is imported once set-up is done."""
        added = verbs.add_parser(name, help=help, description=help)
        added.set_defaults(run=run)
        return added

    lab = verb("lab", "lab:start", "set up on first use, then open JupyterLab on the first notebook")
    lab.add_argument("--no-browser", action="store_false", dest="browser", help="only print the address")
    lab.add_argument("--port", type=int, default=8888, help="of the server (default 8888; the next free one is taken)")
    lab.add_argument("--instructor", action="store_true", help="show nbgrader's formgrader and Create Assignment, too")
    verb("test", _test, "set up, then run all tests; further arguments go to pytest")
    build = verb("build", _build, "make notebooks/, solutions/ and checks.json from source/")
    build.add_argument("only", nargs="*", metavar="NN", help="only notebooks whose names start so, for example 04")
    build.add_argument("--check", action="store_true", help="write none of them; fail with a diff if one is stale")
    build.add_argument(
        "--exam", metavar="DIR", help="only write the questions to DIR, without any answer, to be graded"
    )
    paper = verb("paper", "instructor.authoring.paper:write", "make the questions as a page to print, and a key with all explanations")
    paper.add_argument("--student", default="paper", metavar="ID", help="whose numbers; any text gives a variant")
    paper.add_argument("--out", dest="folder", type=Path, default="paper", metavar="DIR", help="where (default: paper)")
    bundle = verb("bundle", "instructor.authoring.bundle:write", "make the zip file for students")
    bundle.add_argument("target", nargs="?", default="improving_optimization.zip", metavar="file")
    grade = verb("grade", _grade, "grade all submissions, write feedback, the class report and grades.csv")
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
    report = verb("report", _report, "write the class report and the tables of what is graded: report/, grades.csv")
    report.add_argument("assignment", nargs="?", default=ASSIGNMENT)
    report.add_argument("--db", metavar="URL", help="of the gradebook")
    demo = verb("demo", "instructor.reporting.demo:demo", "make a class of honest and hostile students, grade it, open its report")
    demo.add_argument(
        "--dir", dest="directory", metavar="DIR", help="an empty or new folder (default: a temporary one)"
    )
    demo.add_argument("--no-browser", action="store_false", dest="browser", help="only print where the report is")

    known, rest = parser.parse_known_args(arguments)
    options = vars(known)
    run = options.pop("run")
    if options.pop("verb") == "test":
        options["arguments"] = rest
    elif rest:
        parser.error(f"unknown arguments: {' '.join(rest)}")
    try:
        if os.environ.pop(INSIDE, None) is None and (python := ensure(test=run is _test)) != sys.executable:
            command = [python, "-m", "lecture_utils", *(arguments or sys.argv[1:])]
            return hand_over(command, {**os.environ, INSIDE: "1"})
        if isinstance(run, str):
            module, name = run.split(":")
            run = getattr(import_module(f"lecture_utils.{module}"), name)
        return run(**options)
    except CourseError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Nothing is lost: start the same command again.", file=sys.stderr)
        return 130


def _test(arguments: list[str]) -> int:
    os.chdir(ROOT)
    return hand_over([sys.executable, "-m", "pytest", *arguments])


def _build(only: list[str], check: bool, exam: str | None) -> int:
    from lecture_utils.instructor.authoring import build

    if exam:
        build.exam(Path(exam))
        return 0
    if not check:
        build.build(only)
        return 0
    difference = build.check(only)
    print(difference + "Stale: run `python3 -m lecture_utils build`." if difference else "All is as build makes it.")
    return 1 if difference else 0


def _grade(**options: Any) -> int:
    from lecture_utils.instructor.grading import batch

    code = batch.grade(**options)
    _report(options["assignment"], options["db"])
    return code


def _report(assignment: str, db: str | None) -> int:
    from lecture_utils.instructor.reporting.report import report

    print(f"report: {report(assignment, db)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
