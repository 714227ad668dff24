"""The commands: `python3 -m lecture_utils lab` and `test`; those who run the course have more (instructor/commands.py)."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from lecture_utils.environment import ROOT, CourseError, ensure, hand_over

INSIDE = "LECTURE_UTILS_INSIDE"  # set for the process that runs in the environment which set-up chose
NOT_FOR_STUDENTS = ("test", "build", "paper", "bundle", "grade", "report", "demo")


def main(arguments: list[str] | None = None) -> int:
    words = sys.argv[1:] if arguments is None else arguments
    try:
        options = _parsed(words)
        run, needs = options.pop("run"), options.pop("needs")
        if os.environ.pop(INSIDE, None) is None and (python := ensure(needs(options))) != sys.executable:
            return hand_over([python, "-m", "lecture_utils", *words], {**os.environ, INSIDE: "1"})
        module, name = run.split(":")
        return getattr(import_module(f"lecture_utils.{module}"), name)(**options)
    except CourseError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Nothing is lost: start the same command again.", file=sys.stderr)
        return 130


def _parsed(words: list[str]) -> dict:
    """What to run, what it needs, and its options. Raises ``CourseError`` for a command that is not in this copy."""
    parser = argparse.ArgumentParser(prog="python3 -m lecture_utils", description="Improving Optimization: the course.")
    verbs = parser.add_subparsers(dest="verb", metavar="command", required=True)

    def verb(name: str, run: str, help: str, needs: Callable[[dict], tuple[str, ...]] = lambda options: ()):
        """``run`` is "module:function", imported once set-up is done; it takes the options by name.

        ``needs`` tells from the options which extras of pyproject.toml are to be there.
        """
        added = verbs.add_parser(name, help=help, description=help)
        added.set_defaults(run=run, needs=needs)
        return added

    lab = verb("lab", "lab:start", "set up on first use, then open JupyterLab on the first notebook")
    lab.add_argument("--no-browser", action="store_false", dest="browser", help="only print the address")
    lab.add_argument("--port", type=int, default=8888, help="of the server (default 8888; the next free one is taken)")
    if (ROOT / "tests").is_dir():
        told = "set up, then run all tests; further arguments go to pytest"
        verb("test", "__main__:run_tests", told, lambda options: ("test",))
    if (Path(__file__).parent / "instructor").is_dir():
        from lecture_utils.instructor import commands

        commands.add(verb, lab)
    if words[:1] and words[0] in NOT_FOR_STUDENTS and words[0] not in verbs.choices:
        raise CourseError(
            f"`{words[0]}` is for those who run the course: this copy of it, a student's, does not have it."
        )
    known, rest = parser.parse_known_args(words)
    options = vars(known)
    if options.pop("verb") == "test":
        options["arguments"] = rest  # pytest's
    elif rest:
        parser.error(f"unknown arguments: {' '.join(rest)}")
    return options


def run_tests(arguments: list[str]) -> int:
    os.chdir(ROOT)
    return hand_over([sys.executable, "-m", "pytest", *arguments])


if __name__ == "__main__":
    sys.exit(main())
