"""Running a submission: check cells only write down what the student's code returns, in a kernel that is locked in."""

from __future__ import annotations

import ast
import base64
import json
import secrets
import sys
import time
from collections import Counter
from typing import Any, ClassVar

from jupyter_client.manager import AsyncKernelManager
from nbclient.client import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.preprocessors import Execute
from nbgrader.utils import is_grade, is_locked
from traitlets import Bool, Integer, Unicode

from lecture_utils.instructor.grading import sandbox, score
from lecture_utils.instructor.grading.emit import MIME
from lecture_utils.instructor.grading.kernels import GradingKernelManager, UnlockedKernelManager

RESTARTS = 5  # of the kernel per notebook
DEATHS = 2  # of the kernel in one cell, after which the cell is skipped: the first may have had another cause
RECORD_BYTES, OTHER_BYTES = 4_000_000, 200_000  # of output kept per cell
_OUTPUT = {"stream", "display_data", "execute_result", "error"}


class Observe(Execute):
    """In place of nbgrader's ``Execute``. Leaves ``resources["observed"]`` for ``Score``: {grade id: record or None}."""

    sandboxed = Bool(True, help="Run submissions locked in. Without it they can do whatever you can.").tag(config=True)
    submission_seconds = Integer(600, help="Time limit for all notebooks of one submission.").tag(config=True)
    skip_cells_with_tag = Unicode("demo").tag(config=True)

    _spent: ClassVar[dict[tuple[str, str], dict[str, float]]] = {}  # seconds by notebook, of the submission at work

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if sys.platform.startswith("linux"):
            self.kernel_manager_class = GradingKernelManager if self.sandboxed else UnlockedKernelManager
        else:
            self.kernel_manager_class = AsyncKernelManager

    @classmethod
    def seconds_before(cls, student: str, assignment: str, notebook: str) -> float:
        """Spent on the other notebooks of the submission at work; 0 when it is graded anew."""
        spent = cls._spent.get((student, assignment), {})
        return 0.0 if notebook in spent else sum(spent.values())

    @classmethod
    def spend(cls, student: str, assignment: str, notebook: str, seconds: float) -> None:
        spent = cls._spent.get((student, assignment), {})
        cls._spent = {(student, assignment): {notebook: seconds} | ({} if notebook in spent else spent)}

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        if self.sandboxed and (reason := sandbox.why_not()):
            raise sandbox.SandboxError(f"{reason} To grade code that you would run yourself, add --unsandboxed.")
        names = resources["nbgrader"]
        place = [names[key] for key in ("student", "assignment", "notebook")]
        self._deadline = time.monotonic() + self.submission_seconds - self.seconds_before(*place)
        self._notes: list[str] = []
        start, sources = time.monotonic(), [cell.source for cell in nb.cells]
        try:
            checks = check_cells(nb)
            jobs = {i: told for i, name in checks.items() if (told := score.job(name)) is not None}
            records = self._both_turns(nb, jobs, sources)
            if spoken := {
                i: score.job(checks[i], with_hidden=False) for i, r in records.items() if score.speaks(checks[i], r)
            }:
                told = self._both_turns(nb, spoken, sources, with_hidden=False)
                records |= {i: score.in_other_words(checks[i], records[i], told.get(i)) for i in spoken}
        finally:
            for cell, source in zip(nb.cells, sources, strict=True):
                cell.source = source
        _keep_only_plain_output(nb, first_check=min(checks, default=len(nb.cells)))
        seconds = time.monotonic() - start
        self.spend(*place, seconds)
        resources["observed"] = {name: records.get(i) for i, name in checks.items()}
        resources["run"] = {"seconds": round(seconds, 2), "notes": self._notes}
        return nb, resources

    def _both_turns(self, nb: NotebookNode, jobs: dict, sources: list[str], with_hidden: bool = True) -> dict[int, Any]:
        records = self._run(nb, jobs, sources)
        if again := score.second_turn(jobs, records, with_hidden):
            records |= self._run(nb, again, sources)
        return records

    def _run(self, nb: NotebookNode, jobs: dict[int, dict], sources: list[str]) -> dict[int, Any]:
        """One run of the notebook, with new kernels for those that die. What was recorded, by cell."""
        records: dict[int, Any] = {}
        deaths: Counter[int] = Counter()
        for _ in range(1 + RESTARTS):
            try:
                self._run_once(nb, jobs, sources, records, {i for i in deaths if deaths[i] >= DEATHS})
                return records
            except (DeadKernelError, CellTimeoutError) as error:
                froze = isinstance(error, CellTimeoutError)
                deaths[self._at] += DEATHS if froze else 1
                self._notes.append(f"cell {self._at + 1} {'froze' if froze else 'ended'} the kernel")
                if self._at in jobs and deaths[self._at] >= DEATHS:
                    what = ("timeout", "It could not be stopped") if froze else ("crashed", "It ended the kernel")
                    records[self._at] = {"kind": what[0], "failed": f"{what[1]}, so the check was skipped."}
        self._notes.append("the kernel ended again and again; the rest was not run")
        return records

    def _run_once(self, nb: NotebookNode, jobs: dict, sources: list[str], records: dict, deadly: set[int]) -> None:
        NotebookClient.__init__(self, nb, None)  # as nbconvert's own preprocess does: a new run
        self.reset_execution_trackers()
        self.timeout_func = lambda cell: max(1, min(self.timeout, self._deadline - time.monotonic()))
        checks = check_cells(nb)
        with self.setup_kernel():
            for i, cell in enumerate(nb.cells):
                if cell.cell_type != "code" or i in deadly or (i in checks and (i not in jobs or i in records)):
                    continue
                if time.monotonic() > self._deadline:
                    self._notes.append(
                        f"the time limit of {self.submission_seconds} s for the whole submission is over"
                    )
                    return
                self._at, self._bytes = i, 0
                if i in jobs:
                    nonce = secrets.token_hex(8)
                    cell.source = _emission(sources[i], jobs[i] | {"nonce": nonce})
                self.execute_cell(cell, i)
                if i in jobs:
                    records[i] = _record(cell, nonce)

    def process_message(self, msg: dict, cell: NotebookNode, cell_index: int) -> Any:
        """Keep only so much output, and no message that could change what is kept already."""
        content = _plain(msg["msg_type"], msg["content"])
        if content is None:
            return None
        if msg["msg_type"] in _OUTPUT:
            self._bytes += 100 + sum(len(str(v)) for v in (content.get("data") or content).values())
            if self._bytes > (RECORD_BYTES if is_grade(cell) else OTHER_BYTES):
                return None
        return super().process_message({**msg, "content": content}, cell, cell_index)


def _plain(kind: str, content: dict[str, Any]) -> dict[str, Any] | None:
    """What is used of a message, each part of its right type; None for kinds that nothing is used of.

    Without ``transient``: a display with the id of an earlier one would change that, after the first check.
    """
    count, data = content.get("execution_count"), content.get("data")
    counted = {"execution_count": count} if type(count) is int and count >= 0 else {}
    if kind == "status":
        return {"execution_state": str(content.get("execution_state"))}
    if kind == "execute_input":
        return counted
    if kind == "stream":
        return {"name": "stderr" if content.get("name") == "stderr" else "stdout", "text": _text(content.get("text"))}
    if kind == "error":
        lines = content.get("traceback")
        told = {key: _text(content.get(key)) for key in ("ename", "evalue")}
        return told | {"traceback": [_text(line) for line in lines] if isinstance(lines, list) else []}
    if kind in _OUTPUT:
        data = {key: _text(value) for key, value in data.items()} if isinstance(data, dict) else {}
        return {"data": data, "metadata": {}} | (
            {"execution_count": None, **counted} if kind == "execute_result" else {}
        )
    return None


def _text(value: Any) -> str:
    """A text that can be written as UTF-8."""
    return str(value).encode("utf-8", "replace").decode()


def check_cells(nb: NotebookNode) -> dict[int, str]:
    """The locked, automatically graded cells: grade ids by position."""
    cells = enumerate(nb.cells)
    return {i: c.metadata.nbgrader.grade_id for i, c in cells if c.cell_type == "code" and is_grade(c) and is_locked(c)}


def _emission(source: str, job: dict[str, Any]) -> str:
    """The code that runs in place of ``check(a, b)`` or ``check_answer("name", a, b)``."""
    call = next(
        n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call) and ast.unparse(n.func).startswith("check")
    )
    given = [ast.unparse(a) for a in call.args if not isinstance(a, ast.Constant)]
    return f"from lecture_utils.instructor.grading.emit import emit\nemit(lambda: ({', '.join(given)},), {json.dumps(job)!r})"


def _record(cell: NotebookNode, nonce: str) -> Any:
    """The one record that the cell displayed, or {"failed": why}. What a kernel sends is data, of any shape."""
    texts = [o.data[MIME] for o in cell.outputs if o.output_type == "display_data" and MIME in o.get("data", {})]
    if len(texts) != 1:
        error = next((o.ename for o in cell.outputs if o.output_type == "error"), None)
        why = "more than one result was recorded" if texts else "nothing was recorded"
        if error in ("CellTimeoutError", "KeyboardInterrupt"):
            return {"kind": "timeout", "failed": "It was stopped at the time limit."}
        return {"failed": f"When the check ran, {why}."}
    try:
        record = json.loads(texts[0])
        if record["nonce"] == nonce:
            return {**record, "sent": True}  # unlike our own words below
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    return {"failed": "What was recorded is malformed."}


def _keep_only_plain_output(nb: NotebookNode, first_check: int) -> None:
    """Text and pictures; no HTML or script of a student. After a check nothing: it might show hidden cases."""
    for i, cell in enumerate(nb.cells):
        if cell.cell_type != "code" or not cell.outputs:
            continue
        if i > first_check:
            cell.outputs = [new_output("stream", text="(Output after the first check is not kept.)\n")]
            continue
        for output in cell.outputs:
            if "data" in output:
                output.data = {k: v for k, v in output.data.items() if k == "text/plain" or _is_picture(k, v)}


def _is_picture(mime: str, data: str) -> bool:
    try:
        return mime == "image/png" and base64.b64decode("".join(data.split()), validate=True).startswith(b"\x89PNG")
    except ValueError:
        return False
