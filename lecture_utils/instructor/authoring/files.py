"""checks.json and checks.npz: what of the records travels to students."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import multiprocessing
import os
import re
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import torch

from lecture_utils.checks.observers import to_json
from lecture_utils.checks.recorded import FORMAT, PARTS, Recorded, load
from lecture_utils.checks.sketch import Tables
from lecture_utils.checks.traces import encode
from lecture_utils.instructor.authoring.course import Course
from lecture_utils.instructor.authoring.exercise import Exercise
from lecture_utils.instructor.authoring.questions import asked_in
from lecture_utils.instructor.authoring.record import Record, cases_of, constants_of, record

MACHINERY = ("checks/traces.py", "checks/calling.py", "checks/sketch.py", "checks/withhold.py", "checks/observers/*.py",
             "instructor/authoring/slips/*.py", *(f"instructor/authoring/{n}.py" for n in ("cases", "exercise", "record", "trees")))  # fmt: skip
RECORDED = ("made_from", "observer", "rtol", "cases", "reference", "slips")  # what takes its time


@dataclass(frozen=True)
class Files:
    """Both files: ``text`` of checks.json, ``arrays`` of checks.npz."""

    text: str
    arrays: dict[str, np.ndarray]

    def archive(self) -> bytes:
        """The bytes of checks.npz: NumPy writes no time into it, so that they are the same from build to build."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **self.arrays)
        return buffer.getvalue()


def files(course: Course) -> Files:
    """What is recorded of all exercises; what has not changed since is taken from the course's checks.json and npz."""
    kept = _kept(course)
    functions = {n: e for n, e in course.exercises.items() if e.draw is not None}
    made = _record_all({name: functions[name] for name in stale(course)})
    entries: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    for name, exercise in course.exercises.items():
        entries[name] = _about(course, exercise)
        if name in functions:
            recorded = {key: kept[name].data[key] for key in RECORDED} if name not in made else made[name][0]
            tables = kept[name].tables if name not in made else made[name][1]
            entries[name] |= recorded
            arrays |= {f"{name}.{part}": getattr(tables, part) for part in PARTS}
    return Files(_text(entries), arrays)


def stale(course: Course) -> list[str]:
    """The exercises that are not in the course's checks.json as they are now."""
    kept = _kept(course)
    functions = [e for e in course.exercises.values() if e.draw is not None]
    return [e.name for e in functions if e.name not in kept or kept[e.name].data["made_from"] != fingerprint(e)]


def exam_text(course: Course) -> str:
    """A checks.json of the questions in which nothing tells right from wrong: how a derivation is called, and not even a
    hash of what is right."""
    entries = {}
    for question in asked_in(course.exercises):
        exercise = course.exercises[question.id]
        about = _about(course, exercise)
        about["question"] = {key: value for key, value in about["question"].items() if key != "sealed"}
        if exercise.draw is not None:
            about |= {"observer": to_json(exercise.observer), "cases": cases_of(exercise)}
        entries[question.id] = about
    return _text(entries)


def _text(entries: dict[str, Any]) -> str:
    """One exercise per line, in the order of the notebooks, so that a diff shows which one changed."""
    lines = [f"{json.dumps(n)}: {json.dumps(e, ensure_ascii=False, separators=(',', ':'))}" for n, e in entries.items()]
    return f'{{"format": {FORMAT}, "exercises": {{\n' + ",\n".join(lines) + "\n}}\n"


def _record_all(exercises: dict[str, Exercise]) -> dict[str, tuple[dict[str, Any], Tables]]:
    """An entry and its tables of each, on all cores; the largest references first, which take longest."""
    global _at_work
    _at_work = exercises
    names = sorted(exercises, key=lambda name: -len(ast.dump(exercises[name].tree)))
    if not names or not hasattr(os, "fork"):
        return {name: _record_one(name) for name in names}
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("fork")) as pool:
        return dict(zip(names, pool.map(_record_one, names), strict=True))


_at_work: dict[str, Exercise] = {}  # what forked processes find: an exercise cannot be sent


def _record_one(name: str) -> tuple[dict[str, Any], Tables]:
    torch.set_num_threads(1)
    made = record(_at_work[name])
    return _entry(made, fingerprint(made.exercise)), made.tables


def fingerprint(exercise: Exercise) -> str:
    """Of everything that an exercise's record is made from: where it is the same, the record need not be made again."""
    rubric = exercise.folder / exercise.file
    text = (rubric.read_bytes() if rubric.is_file() else b"") + (
        rubric.with_name("questions.toml").read_bytes() if exercise.question else b""
    )
    numbers = str(sorted(constants_of(exercise).items())).encode()
    return hashlib.sha256(b"\0".join([machinery(), text, numbers, exercise.name.encode()])).hexdigest()[:12]


@cache
def machinery() -> bytes:
    """The code that records, without what changes nothing: comments, docstrings, where things are imported from."""
    package = Path(__file__).parents[2]
    files = [file for pattern in MACHINERY for file in sorted(package.glob(pattern))]
    return hashlib.sha256("\0".join(_bare(file.read_text(encoding="utf-8")) for file in files).encode()).digest()


def _bare(code: str) -> str:
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list):
            node.body = [s for s in body if not isinstance(s, ast.Import | ast.ImportFrom) and not _is_text(s)]
    return ast.dump(tree)


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _kept(course: Course) -> dict[str, Recorded]:
    try:
        found = load(course.source / "checks.json")
        return {name: e for name, e in found.items() if "made_from" in e.data and e.tables is not None}
    except (OSError, ValueError):
        return {}  # of an older format, or damaged: all is made again


def _entry(made: Record, mark: str) -> dict[str, Any]:
    exercise = made.exercise
    return {
        "made_from": mark,
        "observer": to_json(exercise.observer),
        "rtol": exercise.rtol,
        "cases": made.cases,
        "reference": [encode(trace) for trace in made.reference],
        "slips": [[s.name, s.message, s.credit] for s in made.slips],
    }


def _about(course: Course, exercise: Exercise) -> dict[str, Any]:
    """What is no number: where the exercise is, and what it counts."""
    about: dict[str, Any] = {"notebook": exercise.notebook, "points": exercise.points}
    about |= _place(course.source / f"{exercise.notebook}.py").get(exercise.name, {})
    about |= {"uses": list(exercise.uses)} if exercise.uses else {}
    about |= {"question": exercise.question.recorded} if exercise.question is not None else {}
    return about


@cache
def _place(source: Path) -> dict[str, dict[str, str]]:
    """{exercise: its number, and a link to its section in the same notebook}."""
    found: dict[str, dict[str, str]] = {}
    number, link = "", ""
    for line in source.read_text(encoding="utf-8").splitlines() if source.exists() else []:
        if heading := re.match(r"# ##+ (.+)$", line):
            link = f"#{quote(re.sub('[`*]', '', heading[1]).replace(' ', '-'))}"
        if exercise := re.match(r"# \*\*Exercise (\d+\.\d+)", line):
            number = exercise[1]
        if graded := re.search(r'"grade": true, "grade_id": "(\w+)"', line):
            found[graded[1]] = {"number": number, "link": link} if number else {}
    return found
