"""The commands: `python3 -m lecture_utils lab` for students, `test`, `build`, `grade` … for those who run the course."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from lecture_utils.environment import ROOT, CourseError, ensure, hand_over

INSIDE = "LECTURE_UTILS_INSIDE"  # set for the process that runs in the environment which set-up chose


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m lecture_utils", description="Improving Optimization: the course.")
    verbs = parser.add_subparsers(dest="verb", metavar="command", required=True)

    def verb(name: str, run, help: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=help, description=help)
        added.set_defaults(run=run)
        return added

    lab = verb("lab", _lab, "set up on first use, then open JupyterLab on the first notebook")
    lab.add_argument("--no-browser", action="store_true", help="only print the address")
    lab.add_argument("--port", type=int, default=8888, help="of the server (default 8888; the next free one is taken)")
    lab.add_argument("--instructor", action="store_true", help="show nbgrader's formgrader and Create Assignment, too")
    verb("test", _test, "set up, then run all tests; further arguments go to pytest")
    build = verb("build", _build, "make notebooks/, solutions/ and checks.json from source/")
    build.add_argument("only", nargs="*", metavar="NN", help="only notebooks whose names start so, for example 04")
    build.add_argument("--check", action="store_true", help="write nothing; fail with a diff if something is stale")
    build.add_argument(
        "--exam", metavar="DIR", help="only write the questions to DIR, without any answer, to be graded"
    )
    paper = verb("paper", _paper, "make the questions as a page to print, and a key with all explanations")
    paper.add_argument(
        "--student", default="paper", metavar="ID", help="whose numbers to take; any text gives a variant"
    )
    paper.add_argument("--out", default="paper", metavar="DIR", help="where to write (default: paper)")
    bundle = verb("bundle", _bundle, "make the zip file for students")
    bundle.add_argument("file", nargs="?", default="improving_optimization.zip")
    grade = verb("grade", _grade, "grade all submissions, write feedback, the class report and grades.csv")
    grade.add_argument("assignment", nargs="?", default="lecture12")
    grade.add_argument("--student", default="*", help="only these, for example 'a*' (default: all)")
    grade.add_argument("--force", action="store_true", help="grade again what is graded already")
    grade.add_argument("--workers", type=int, metavar="N", help="processes (default: one per core)")
    grade.add_argument("--db", metavar="URL", help="of the gradebook, for example postgresql+psycopg2://…")
    grade.add_argument("--cluster", metavar="ADDRESS", help="of a Dask scheduler whose workers see this folder")
    grade.add_argument("--unsandboxed", action="store_true", help="run submissions with all that you may do")
    grade.add_argument("--cell-seconds", type=int, default=60, metavar="N", help="time limit of a cell (default 60)")
    grade.add_argument("--submission-seconds", type=int, default=600, metavar="N", help="of a submission (default 600)")
    grade.add_argument("--no-feedback", action="store_true", help="write no feedback pages")
    report = verb("report", _report, "write the class report and the tables of what is graded: report/, grades.csv")
    report.add_argument("assignment", nargs="?", default="lecture12")
    report.add_argument("--db", metavar="URL", help="of the gradebook")
    demo = verb("demo", _demo, "make a throw-away class of honest and hostile students, grade it, open its report")
    demo.add_argument("--dir", metavar="DIR", help="an empty or new folder (default: a temporary one)")
    demo.add_argument("--no-browser", action="store_true", help="only print where the report is")

    options, rest = parser.parse_known_args(arguments)
    if rest and options.verb != "test":
        parser.error(f"unknown arguments: {' '.join(rest)}")
    needs_tests = options.verb == "test"
    try:
        if os.environ.pop(INSIDE, None) is None and (python := ensure(test=needs_tests)) != sys.executable:
            command = [python, "-m", "lecture_utils", *(arguments or sys.argv[1:])]
            return hand_over(command, {**os.environ, INSIDE: "1"})
        return options.run(options, rest)
    except CourseError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Nothing is lost: start the same command again.", file=sys.stderr)
        return 130


def _lab(options: argparse.Namespace, _rest: list[str]) -> int:
    from lecture_utils import lab

    return lab.start(options.port, browser=not options.no_browser, instructor=options.instructor)


def _test(_options: argparse.Namespace, rest: list[str]) -> int:
    os.chdir(ROOT)
    return hand_over([sys.executable, "-m", "pytest", *rest])


def _build(options: argparse.Namespace, _rest: list[str]) -> int:
    from lecture_utils import build

    if options.exam:
        build.exam(Path(options.exam))
        return 0
    if not options.check:
        build.build(options.only)
        return 0
    difference = build.check(options.only)
    print(difference + "Stale: run `python3 -m lecture_utils build`." if difference else "All is as build makes it.")
    return 1 if difference else 0


def _paper(options: argparse.Namespace, _rest: list[str]) -> int:
    from lecture_utils import paper

    return paper.write(options.student, Path(options.out))


def _bundle(options: argparse.Namespace, _rest: list[str]) -> int:
    from lecture_utils import bundle

    return bundle.write(options.file)


def _grade(options: argparse.Namespace, _rest: list[str]) -> int:
    from lecture_utils.grading import batch

    limits = {"cell_seconds": options.cell_seconds, "submission_seconds": options.submission_seconds}
    code = batch.grade(
        options.assignment, options.student, options.force, options.workers, options.db, options.cluster,
        sandboxed=not options.unsandboxed, feedback=not options.no_feedback, **limits,
    )  # fmt: skip
    _report(options, _rest)
    return code


def _report(options: argparse.Namespace, _rest: list[str]) -> int:
    from lecture_utils.grading.report import report

    print(f"report: {report(options.assignment, options.db)}")
    return 0


def _demo(options: argparse.Namespace, _rest: list[str]) -> int:
    from lecture_utils.grading import demo

    return demo.demo(options.dir, browser=not options.no_browser)


if __name__ == "__main__":
    sys.exit(main())
