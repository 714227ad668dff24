"""The instructor's side of the checks: rubrics in, recorded numbers out."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from random import Random
from typing import Any

from lecture_utils.checks.exercise import Exercise
from lecture_utils.checks.judge import FORMAT
from lecture_utils.checks.observers import observe
from lecture_utils.checks.traces import encode
from lecture_utils.environment import CourseError

PUBLIC_SEED = 12
RECORDING_LIMIT = 600.0  # seconds per function: a busy machine must not change what is recorded of our own rubrics


def load_rubrics(folder: Path) -> dict[str, Exercise]:
    """All exercises of the rubric files in ``folder``: each file defines a list ``EXERCISES``."""
    exercises: dict[str, Exercise] = {}
    for file in sorted(p for p in folder.glob("*.py") if not p.is_symlink()):  # what is run here is the course's own
        for exercise in runpy.run_path(str(file))["EXERCISES"]:
            if exercise.name in exercises:
                raise ValueError(f"{file}: the exercise {exercise.name} is defined twice")
            exercises[exercise.name] = exercise
    return exercises


def record(exercise: Exercise, seed: int | str = PUBLIC_SEED) -> dict[str, Any]:
    """What checks.json holds of an exercise: cases, and the numbers of the reference and of each wrong variant."""
    # Through JSON and back: the reference is observed on the very numbers that students get.
    cases = json.loads(json.dumps(exercise.cases(Random(seed))))

    def traces(function: Any) -> list[dict[str, Any]]:
        return [encode(t) for t in observe(function, exercise.observer, cases, exercise.settings, RECORDING_LIMIT)]

    question = getattr(exercise.reference, "recorded", None)  # of a question of the midterm practice
    if exercise.observer == "question":
        return {"notebook": exercise.notebook, "points": exercise.points, "observer": "question", "question": question}
    reference = observe(exercise.reference, exercise.observer, cases, exercise.settings, RECORDING_LIMIT)
    for case, trace in zip(cases, reference, strict=True):
        if trace.problem:  # else every answer that fails there would count as right
            raise CourseError(
                f"The rubric of {exercise.name} ({exercise.notebook}): its own reference fails. {trace.problem} "
                f"Case: {case['text']}."
            )
    return {
        "notebook": exercise.notebook,
        "points": exercise.points,
        "observer": exercise.observer,
        "settings": exercise.settings,
        "rtol": exercise.rtol,
        "cases": cases,
        "reference": [encode(trace) for trace in reference],
        "misconceptions": [
            {"name": m.name, "message": m.message, "credit": m.credit, "traces": traces(m.wrong)}
            for m in exercise.misconceptions
        ],
        **({"uses": exercise.uses} if exercise.uses else {}),
        **({"question": question} if question else {}),
    }


def without_answers(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of checks.json as it travels in an exam: what is asked, and not even a hash of what is right."""
    kept = {key: entry[key] for key in entry if key not in ("reference", "misconceptions", "rtol")}
    return kept | {"question": {key: value for key, value in entry["question"].items() if key != "sealed"}}


def checks_json(exercises: dict[str, Exercise], exam: bool = False) -> str:
    """The text of checks.json: one exercise per line, in the order of the notebooks, so that a diff shows which one changed."""
    entries = {name: record(exercise) for name, exercise in exercises.items()}
    if exam:
        entries = {name: without_answers(entry) for name, entry in entries.items()}
    lines = [
        f"{json.dumps(name)}: {json.dumps(entry, ensure_ascii=False, separators=(',', ':'))}"
        for name, entry in entries.items()
    ]
    return f'{{"format": {FORMAT}, "exercises": {{\n' + ",\n".join(lines) + "\n}}\n"
