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
from lecture_utils.checks.recorded import FORMAT, PARTS, load
from lecture_utils.checks.sketch import Tables
from lecture_utils.checks.traces import encode
from lecture_utils.environment import SOURCE
from lecture_utils.instructor.authoring.exercise import Exercise
from lecture_utils.instructor.authoring.record import Record, cases_of, constants_of, record

WORDS = {"notebook.py", "card.py", "quiz.py", "explain.py", "judge.py"}  # files that nothing recorded depends on
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


def files(exercises: dict[str, Exercise], old: Path | None = None) -> Files:
    """What is recorded of all exercises; what has not changed since is taken from ``old``, a checks.json with its npz."""
    kept, functions = _kept(old), {n: e for n, e in exercises.items() if e.draw is not None}
    new = {n: e for n, e in functions.items() if n not in kept or kept[n].data["made_from"] != fingerprint(e)}
    made = _record_all(new)
    entries: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    for name, exercise in exercises.items():
        entries[name] = _about(exercise)
        if name in functions:
            recorded = {key: kept[name].data[key] for key in RECORDED} if name not in made else made[name][0]
            tables = kept[name].tables if name not in made else made[name][1]
            entries[name] |= recorded
            arrays |= {f"{name}.{part}": getattr(tables, part) for part in PARTS}
    return Files(_text(entries), arrays)


def exam_text(questions: dict[str, Exercise]) -> str:
    """A checks.json in which nothing tells right from wrong: how a derivation is called, and not even a hash of what is right."""
    entries = {name: _about(question) for name, question in questions.items()}
    for name, question in questions.items():
        asked = entries[name]["question"]
        entries[name]["question"] = {key: value for key, value in asked.items() if key != "sealed"}
        if question.draw is not None:
            entries[name] |= {"observer": to_json(question.observer), "cases": cases_of(question)}
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


def stale(exercises: dict[str, Exercise], file: Path) -> list[str]:
    """The exercises that are not in ``file`` as they are now."""
    kept = _kept(file)
    functions = [e for e in exercises.values() if e.draw is not None]
    return [e.name for e in functions if e.name not in kept or kept[e.name].data["made_from"] != fingerprint(e)]


def fingerprint(exercise: Exercise) -> str:
    """Of everything that an exercise's record is made from: where it is the same, the record need not be made again."""
    rubric = SOURCE / "rubrics" / exercise.file
    text = (rubric.read_bytes() if rubric.is_file() else b"") + (
        rubric.with_name("questions.toml").read_bytes() if exercise.question else b""
    )
    numbers = str(sorted(constants_of(exercise).items())).encode()
    return hashlib.sha256(b"\0".join([_machinery(), text, numbers, exercise.name.encode()])).hexdigest()[:12]


@cache
def _machinery() -> bytes:
    """The code that records. Words that are put around what is recorded are not in it."""
    here = Path(__file__).parent
    found = [*sorted(here.glob("*.py")), *sorted((here.parents[1] / "checks").rglob("*.py"))]
    return hashlib.sha256(b"\0".join(f.read_bytes() for f in found if f.name not in WORDS)).digest()


def _kept(old: Path | None) -> dict[str, Any]:
    try:
        found = load(old) if old else {}
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


def _about(exercise: Exercise) -> dict[str, Any]:
    """What is no number: where the exercise is, and what it counts."""
    about: dict[str, Any] = {"notebook": exercise.notebook, "points": exercise.points}
    about |= _place(exercise.notebook).get(exercise.name, {})
    about |= {"uses": list(exercise.uses)} if exercise.uses else {}
    about |= {"question": exercise.question.recorded} if exercise.question is not None else {}
    return about


@cache
def _place(notebook: str) -> dict[str, dict[str, str]]:
    """{exercise: its number, and a link to its section in the same notebook}."""
    source = SOURCE / f"{notebook}.py"
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
