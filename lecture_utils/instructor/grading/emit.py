"""What a check cell does while it is graded: write down what the student's code returns, and judge nothing.

The grading process puts ``emit(lambda: (adam_step,), job)`` in place of ``check(adam_step)``. Nothing here is trusted:
it runs beside student code. Expected values never come near it.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from IPython.display import display

from lecture_utils.checks.observers import TIME_LIMIT, from_json, perform
from lecture_utils.checks.observers.resume import load_run, save_run
from lecture_utils.checks.traces import Problem, encode

MIME = "application/vnd.lecture-utils.observed+json"


def emit(answer: Callable[[], tuple], job: str) -> None:
    """Display what is observed as one JSON text. ``job`` is JSON, too: nonce, observer and cases; of a question the nonce alone."""
    job = json.loads(job)
    try:
        record = (_raw if "observer" in job else _value)(answer(), job)
    except NameError as error:
        why = "Its cell ended with an error above, or it is spelled in another way there."
        record = {"failed": f"There is no {error.name or 'such name'} in the notebook. {why}"}
    except Exception as error:
        record = {"failed": f"{type(error).__name__}: {error}"[:300]}
    display({MIME: json.dumps({"nonce": job["nonce"], **record})}, raw=True)


def _raw(functions: tuple, job: dict) -> dict[str, Any]:
    if "turn" in job:
        return _checkpoints(functions, job)
    value = functions[0] if len(functions) == 1 else functions
    if not all(map(callable, functions)):
        return {"failed": f"A function is wanted, this is a {type(value).__name__}."}
    traces = perform(value, from_json(job["observer"]), job["cases"], TIME_LIMIT)
    return {"traces": [encode(trace, text=True) for trace in traces]}


def _value(values: tuple, _job: dict) -> dict[str, Any]:
    return {"value": values}


def _checkpoints(functions: tuple, job: dict) -> dict[str, Any]:
    """Two turns, in two kernels that share nothing: ``save`` gives the files, ``load`` goes on from them."""
    if len(functions) != 2:
        return {"failed": "Two functions are wanted: check(save_checkpoint, load_checkpoint)."}
    results = []
    with tempfile.TemporaryDirectory(dir=".") as folder:
        for k, case in enumerate(job["cases"]):
            path = Path(folder) / f"checkpoint{k}.pt"
            if job["turn"] == "load":
                path.write_bytes(base64.b64decode(job["checkpoints"][k]))
                results.append(load_run(functions[1], str(path), case))
                continue
            try:
                save_run(functions[0], str(path), case)
                results.append(base64.b64encode(path.read_bytes()).decode())
            except Problem as problem:
                results.append({"problem": [*problem.end(), str(problem)]})
    return {"results": results}
