"""checks.json and checks.npz: what of the records travels to students."""

from __future__ import annotations

import hashlib
import io
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from lecture_utils.checks.observers import to_json
from lecture_utils.checks.recorded import FORMAT, load
from lecture_utils.checks.traces import encode
from lecture_utils.environment import SOURCE
from lecture_utils.instructor.authoring.exercise import Exercise
from lecture_utils.instructor.authoring.record import Record, constants_of, record

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


def files(exercises: dict[str, Exercise], old: Path | None = None, exam: bool = False) -> Files:
    """What is recorded of all exercises; what has not changed since is taken from ``old``, a checks.json with its npz.

    In an exam nothing goes in that tells right from wrong.
    """
    entries: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    kept = _kept(old)
    for name, exercise in exercises.items():
        about = _about(exercise)
        if exercise.question is not None and exercise.draw is None:
            entries[name] = about | {"question": exercise.question.recorded}
            continue
        if exam:
            entries[name] = _without_answers(about, exercise, record(exercise, pairs=False))
            continue
        mark = fingerprint(exercise)
        if name in kept and kept[name].data["made_from"] == mark:
            tables = kept[name].tables
            entries[name] = about | {key: kept[name].data[key] for key in RECORDED}
        else:
            made = record(exercise)
            entries[name], tables = about | _entry(made, mark), made.tables
        arrays |= {f"{name}.{part}": getattr(tables, part) for part in ("singles", "parts", "pairs", "which")}
    if exam:
        entries = {n: _unsealed(e) for n, e in entries.items()}
    lines = [f"{json.dumps(n)}: {json.dumps(e, ensure_ascii=False, separators=(',', ':'))}" for n, e in entries.items()]
    return Files(f'{{"format": {FORMAT}, "exercises": {{\n' + ",\n".join(lines) + "\n}}\n", arrays)


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


def _without_answers(about: dict[str, Any], exercise: Exercise, made: Record) -> dict[str, Any]:
    """A derivation in an exam: how it is called, and not even a hash of what is right."""
    return about | {"observer": to_json(exercise.observer), "cases": made.cases}


def _unsealed(entry: dict[str, Any]) -> dict[str, Any]:
    return entry | {"question": {k: v for k, v in entry["question"].items() if k != "sealed"}}
