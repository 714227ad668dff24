"""What grading runs in a kernel beside student code: it calls functions, and writes down what comes back.

Nothing here is trusted, and nothing here judges. Expected values never come near it. Inputs come as JSON, results leave
as JSON under a mime type of their own, with the nonce of the question that they answer.
"""

from __future__ import annotations

import ast
import base64
import ctypes
import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from IPython import get_ipython
from IPython.core.inputtransformer2 import TransformerManager
from IPython.display import display

from lecture_utils.checks.observers import from_json, perform
from lecture_utils.checks.traces import Problem, encode
from lecture_utils.checks.withhold import withhold
from lecture_utils.instructor.grading.results import MIME
from lecture_utils.instructor.grading.shell import make_harmless

_pinned: dict[str, tuple] = {}  # what each check was given, by check


def begin(finished: list[str]) -> None:
    """Before any code of a student: what is finished is taken out of this process for good, and the shell is made harmless."""
    kept, operators = withhold(*finished)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(operators))  # held for ever, by nothing that can be found
    kept.clear()
    make_harmless(get_ipython())


def emit(answer: Callable[[], tuple], job: str) -> None:
    """Keep what a check is given, and display what it does in the visible cases."""
    told = json.loads(job)
    try:
        _pinned[told["check"]] = values = answer()
    except NameError as error:
        _send(told, {"failed": _no_such_name(error)})
    except Exception as error:
        _send(told, {"failed": _in_short(error)})
    else:
        _send(told, _observed(values, told))


def emit_values(answers: dict[str, Callable[[], tuple]], job: str) -> None:
    """Display what stands in the variables that checks of questions are given."""
    values = {}
    for check, answer in answers.items():
        try:
            values[check] = {"value": json.loads(json.dumps(answer()))}
        except NameError as error:
            values[check] = {"failed": _no_such_name(error)}
        except Exception as error:
            values[check] = {"failed": _in_short(error)}
    _send(json.loads(job), {"values": values})


def emit_again(job: str) -> None:
    """Display what the function that a check was given does in other cases."""
    told = json.loads(job)
    _send(told, _observed(_pinned[told["check"]], told))


def load(job: str) -> None:
    """Display what comes of the files that another process saved. Nothing of that process is here."""
    told = json.loads(job)
    observer = from_json(told["observer"])
    packed, files = base64.b64decode(told["packed"]), iter(told["files"])

    def from_file(_: Any, case: dict) -> Any:
        with tempfile.TemporaryDirectory(dir=".") as folder:
            path = Path(folder) / "saved.pt"
            path.write_bytes(base64.b64decode(next(files)))
            yield from observer.load(packed, case, str(path))

    _send(told, _traces(None, told, from_file))


def define(source: str) -> None:
    """Functions, classes and imports of a cell that could not be run, or not to its end."""
    names = get_ipython().user_ns
    for node in ast.parse(TransformerManager().transform_cell(source)).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
            with suppress(Exception):
                exec(compile(ast.Module([node], []), "<cell>", "exec"), names)


def _observed(values: tuple, told: dict) -> dict[str, Any]:
    observer = from_json(told["observer"])
    if not all(map(callable, values)):
        return {"failed": f"A function is wanted, this is a {type(values[0]).__name__}."}
    answer = values[0] if len(values) == 1 else values
    if not observer.halves:
        return _traces(answer, told, observer.perform)
    files: list[str] = []

    def to_file(answer: Any, case: dict) -> Any:
        files.append("")
        with tempfile.TemporaryDirectory(dir=".") as folder:
            path = Path(folder) / "saved.pt"
            yield from observer.save(answer, case, str(path))
            files[-1] = base64.b64encode(path.read_bytes()).decode()

    try:  # packed before anything is saved
        packed = base64.b64encode(observer.pack(answer)).decode()
    except Problem as problem:
        return {"failed": str(problem)}
    return _traces(answer, told, to_file) | {"files": files, "packed": packed}


def _traces(answer: Any, told: dict, how: Callable) -> dict[str, Any]:
    traces = perform(answer, from_json(told["observer"]), told["cases"], how=how)
    return {"traces": [encode(trace, whole=True) for trace in traces]}


def _no_such_name(error: NameError) -> str:
    why = "Its cell ended with an error above, or it is spelled in another way there."
    return f"There is no {error.name or 'such name'} in the notebook. {why}"


def _in_short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def _send(told: dict, record: dict[str, Any]) -> None:
    display({MIME: json.dumps({"nonce": told["nonce"], **record})}, raw=True)
