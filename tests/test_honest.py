"""Honest code is never suspected: all right answers of honest.py get all their points."""

import __future__

import ast
import json
import os
import warnings
from collections import defaultdict
from unittest.mock import patch

import pytest
from conftest import EXERCISES, needs
from course import copy_course, grade, points, submit
from honest import HONEST, SETUP
from IPython.core.inputtransformer2 import TransformerManager

from lecture_utils.checks.judge import judge
from lecture_utils.environment import ROOT


class Notebook:
    """Runs cells as a student's notebook does, but that magics and the shell do nothing, and what fails stops nothing."""

    def __init__(self):
        self.names = {"__name__": "__main__", "get_ipython": lambda: self, "input": lambda *_: ""}

    def run(self, cell):
        flags = 0
        for statement in ast.parse(TransformerManager().transform_cell(cell)).body:
            try:
                code = compile(ast.Module([statement], []), "<cell>", "exec", flags)
                exec(code, self.names)
                flags |= code.co_flags & __future__.annotations.compiler_flag
            except Exception as error:
                print(f"{type(error).__name__}: {error}")

    def run_cell_magic(self, name, line, body):
        if name == "time":
            self.run(body)

    def run_line_magic(self, *_, **__): ...

    system = getoutput = run_line_magic


def given(number):
    """The solution's answers in a notebook, by grade id: what the other cells of a student hold."""
    (path,) = (ROOT / "solutions" / "lecture12").glob(f"{number}_*.ipynb")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    written = [c for c in cells if c["cell_type"] == "code" and c["metadata"].get("nbgrader", {}).get("solution")]
    return {c["metadata"]["nbgrader"]["grade_id"]: "".join(c["source"]) for c in written}


def test_there_are_many_ways_to_be_right():
    assert len(HONEST) >= 45
    assert len({row.name for row in HONEST}) == len(HONEST)


@pytest.mark.parametrize("row", HONEST, ids=lambda row: row.name)
def test_the_own_check_is_green(row, checks_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    notebook = Notebook()
    with patch.dict(os.environ), warnings.catch_warnings():
        for text in (SETUP, *given(row.notebook).values(), *row.answers.values()):
            notebook.run(text)
    functions = tuple(notebook.names[name] for name in row.answers)
    verdict = judge(functions if len(functions) > 1 else functions[0], row.exercise, checks_file)
    assert verdict.passed, str(verdict)


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """The points of all rows, in as few submissions as there are answers to one exercise."""
    needs("libseccomp", "sandbox")
    students = defaultdict(dict)  # the rows of each, by exercise
    for row in HONEST:
        name = next(f"honest-{k}" for k in range(len(HONEST)) if row.exercise not in students[f"honest-{k}"])
        students[name][row.exercise] = row
    course = copy_course(tmp_path_factory.mktemp("honest") / "course")
    for name, rows in students.items():
        answers = {f"{n}-answer": text for row in rows.values() for n, text in row.answers.items()}
        around = {part: {f"{row.exercise}-answer": [getattr(row, part)] for row in rows.values() if getattr(row, part)}
                  for part in ("before", "after")}  # fmt: skip
        submit(course, name, answers, only={row.notebook for row in rows.values()}, **around)
    assert grade(course, cell_seconds=5) == 0
    found = points(course)
    return {row.name: found[name][exercise] for name, rows in students.items() for exercise, row in rows.items()}


@pytest.mark.parametrize("row", HONEST, ids=lambda row: row.name)
def test_grading_gives_all_points(row, graded):
    assert graded[row.name] == EXERCISES[row.exercise].points
