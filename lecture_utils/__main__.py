"""The commands: `python3 -m lecture_utils lab` for students, `test`, `build`, `grade` … for those who run the course."""

from __future__ import annotations

import argparse
import os
import sys

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
    bundle = verb("bundle", _bundle, "make the zip file for students")
    bundle.add_argument("file", nargs="?", default="improving_optimization.zip")
    grade = verb("grade", _grade, "autograde all submissions, write feedback and grades.csv")
    grade.add_argument("assignment", nargs="?", default="lecture12")
    grade.add_argument("--student", default="*", help="only these, for example 'a*' (default: all)")
    grade.add_argument("--force", action="store_true", help="grade again what is graded already")
    verb("benchmark", _benchmark, "measure the course's speed, side by side in one run")

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

    if not options.check:
        build.build(options.only)
        return 0
    difference = build.check(options.only)
    print(difference + "Stale: run `python3 -m lecture_utils build`." if difference else "All is as build makes it.")
    return 1 if difference else 0


def _bundle(options: argparse.Namespace, _rest: list[str]) -> int:
    from lecture_utils import bundle

    return bundle.write(options.file)


def _grade(options: argparse.Namespace, _rest: list[str]) -> int:
    from lecture_utils.grading import batch

    return batch.grade(options.assignment, options.student, options.force)


def _benchmark(_options: argparse.Namespace, _rest: list[str]) -> int:
    from lecture_utils import benchmark

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    return benchmark.main() or 0


if __name__ == "__main__":
    sys.exit(main())
