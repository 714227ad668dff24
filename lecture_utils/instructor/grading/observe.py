"""Running a submission in a kernel that is locked in, and writing down what its functions return. Nothing is judged here.

First the cells run, in their order, and each check keeps the function it is given and tries it on the visible cases. When
all have run, the hidden cases follow. What is finished in torch.optim is out of the kernel before the first cell runs.
"""

from __future__ import annotations

import base64
import json
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

from jupyter_client.manager import AsyncKernelManager
from nbclient.client import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_notebook
from nbgrader.preprocessors import Execute
from traitlets import Bool, Integer, Unicode

from lecture_utils.checks.traces import Kind
from lecture_utils.instructor.authoring.course import Course, course_in
from lecture_utils.instructor.grading import sandbox
from lecture_utils.instructor.grading.kernels import GradingKernelManager, UnlockedKernelManager
from lecture_utils.instructor.grading.results import METADATA, MIME
from lecture_utils.instructor.grading.steps import (
    Records,
    Step,
    check_cells,
    given_to,
    job_of,
    loading_job,
    steps_of,
    withheld_in,
)

EMIT = "lecture_utils.instructor.grading.emit"  # what runs in the kernel, and nowhere else
RESTARTS = 5  # of the kernel per notebook
DEATHS = 2  # of the kernel at one step, after which the step is left out: the first may have had another cause
RECORD_BYTES, CELL_BYTES, NOTEBOOK_BYTES = (
    4_000_000,
    200_000,
    2_000_000,
)  # of output kept: of a check, a cell, all cells
OWN_SHARE = 0.5  # of the time of a submission, for cells that a student has added
_OUTPUT = {"stream", "display_data", "execute_result", "error"}


@dataclass
class Observed:
    """What one function did, as raw records: {"traces": …}, {"value": …}, or {"failed": why}; None where it was not run."""

    public: dict[str, Any] | None = None
    hidden: dict[str, Any] | None = None


@dataclass
class Running:
    """One notebook at work: what was recorded so far, by step, and what to tell of it."""

    course: Course
    records: Records = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    deaths: Counter = field(default_factory=Counter)
    at: Step | None = None  # at work when the kernel ended


class Observe(Execute):
    """In place of nbgrader's ``Execute``. Leaves ``resources["observed"]`` for ``Score``: {exercise: [Observed, …]}."""

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
        names = resources["nbgrader"]
        course = course_in(self.config.CourseDirectory.root, names["db_url"], names["assignment"])
        if self.sandboxed and (reason := sandbox.why_not(course.root)):
            raise sandbox.SandboxError(f"{reason} To grade code that you would run yourself, add --unsandboxed.")
        place = [names[key] for key in ("student", "assignment", "notebook")]
        start = time.monotonic()
        self._deadline = start + self.submission_seconds - self.seconds_before(*place)
        self._own_seconds = OWN_SHARE * (self._deadline - start)
        self._left = NOTEBOOK_BYTES
        running = Running(course)
        steps = steps_of(nb, running.course)
        self._run(nb, steps, running)
        self._load_all(steps, running)
        _keep_only_plain_output(nb)
        seconds = time.monotonic() - start
        self.spend(*place, seconds)
        resources["observed"] = _observed(running.records)
        resources["run"] = {"seconds": round(seconds, 2), "notes": running.notes}
        return nb, resources

    # --- the kernel --------------------------------------------------------------------------------------------

    def _run(self, nb: NotebookNode, steps: list[Step], running: Running) -> None:
        """All steps, with new kernels for those that die."""
        for _ in range(1 + RESTARTS):
            try:
                self._run_once(nb, steps, running)
                return
            except (DeadKernelError, CellTimeoutError) as error:
                froze = isinstance(error, CellTimeoutError)
                running.deaths[running.at] += DEATHS if froze else 1
                running.notes.append(f"cell {running.at.cell + 1} {'froze' if froze else 'ended'} the kernel")
                if running.at.check and running.deaths[running.at] >= DEATHS:
                    what = "It could not be stopped" if froze else "It ended the kernel"
                    kind = Kind.TIMEOUT if froze else Kind.CRASHED
                    running.records[running.at] = {"kind": kind, "failed": f"{what}, so the check was skipped."}
        running.notes.append("the kernel ended again and again; the rest was not run")

    def _run_once(self, nb: NotebookNode, steps: list[Step], running: Running) -> None:
        with self._kernel(nb, withheld_in(steps, running.course)):
            for step in steps:
                if time.monotonic() > self._deadline:
                    running.notes.append(
                        f"the time limit of {self.submission_seconds} s for the whole submission is over"
                    )
                    return
                running.at = step
                if running.deaths[step] >= DEATHS:
                    continue
                if step.what == "cell":
                    self._run_cell(nb.cells[step.cell], step.cell, running)
                elif step.what == "values":
                    self._ask_questions(nb, step, running)
                else:
                    self._try(nb.cells[step.cell].source, step, running)

    @contextmanager
    def _kernel(self, nb: NotebookNode, finished: list[str]) -> Iterator[None]:
        """A new kernel for ``nb``, without what is ``finished``."""
        NotebookClient.__init__(self, nb, None)  # as nbconvert's own preprocess does: a new run
        self.reset_execution_trackers()
        self.timeout_func = lambda cell: max(1, min(self.timeout, self._deadline - time.monotonic()))
        with self.setup_kernel():
            self._ask("begin", repr(finished))
            yield

    def create_kernel_manager(self) -> Any:
        manager = super().create_kernel_manager()
        manager.course = self.config.CourseDirectory.root
        return manager

    def _run_cell(self, cell: NotebookNode, index: int, running: Running) -> None:
        """A cell of the notebook. What it defines after a line that fails is defined all the same."""
        start, own = time.monotonic(), cell.metadata.get(METADATA, {}).get("own")
        if own and self._own_seconds <= 0:
            self._ask("define", repr(cell.source))
            running.notes.append(
                f"cell {index + 1} was not run: the student's own cells have used their share of the time"
            )
            return
        self._limit = min(CELL_BYTES, self._left)
        self.execute_cell(cell, index)
        self._left -= min(CELL_BYTES, self._left) - max(0, self._limit)
        if any(output.output_type == "error" for output in cell.outputs):
            self._ask("define", repr(cell.source))
        if own:
            self._own_seconds -= time.monotonic() - start

    def _try(self, check: str, step: Step, running: Running) -> None:
        """Have the function of a check tried. After the kernel has ended, what was recorded is not tried again."""
        if step.what == "hidden":
            seen = running.records.get(Step("public", step.cell, step.check), {})
            if step not in running.records and "traces" in seen:
                running.records[step] = self._ask("emit_again", job=job_of(running.course, step))
            return
        again = step in running.records
        job = job_of(running.course, step)
        record = self._ask("emit", f"lambda: ({given_to(check)},)", job={**job, "cases": []} if again else job)
        if not again:
            running.records[step] = record

    def _ask_questions(self, nb: NotebookNode, step: Step, running: Running) -> None:
        """What was answered to all questions of the notebook, in one go."""
        recorded = running.course.recorded
        asked = {i: name for i, name in check_cells(nb).items() if name in recorded and not recorded[name].is_function}
        answers = ", ".join(f"{name!r}: lambda: ({given_to(nb.cells[i].source)},)" for i, name in asked.items())
        sent = self._ask("emit_values", f"{{{answers}}}", job={})
        values = sent.get("values")
        for i, name in asked.items():
            record = values.get(name) if isinstance(values, dict) else sent
            running.records[Step("public", i, name)] = record if isinstance(record, dict) else sent

    def _load_all(self, steps: list[Step], running: Running) -> None:
        """The second half of what saves and loads, in a kernel that knows nothing of the first."""
        saved = [s for s in steps if isinstance(running.records.get(s, {}).get("files"), list)]
        jobs = {step: loading_job(running.course, running.records, step) for step in saved}
        for step in saved:
            running.records[step]["loaded"] = {"failed": "The process that loads was ended, or could not be stopped."}
        if not any(jobs.values()):
            return
        with (
            suppress(DeadKernelError, CellTimeoutError),
            self._kernel(new_notebook(), withheld_in(steps, running.course)),
        ):
            for step, job in jobs.items():
                if job:
                    running.records[step]["loaded"] = self._ask("load", job=job)

    def _ask(self, function: str, *arguments: str, job: dict[str, Any] | None = None) -> dict[str, Any]:
        """Call a function of emit.py in the kernel, in a cell that is no part of the notebook; what it displayed."""
        nonce = secrets.token_hex(8)
        given = [*arguments, repr(json.dumps({**job, "nonce": nonce}))] if job is not None else arguments
        source = f"from {EMIT} import {function}\n{function}({', '.join(given)})"
        cell = NotebookNode(cell_type="code", source=source, outputs=[], metadata=NotebookNode(), execution_count=None)
        self._limit = RECORD_BYTES
        self.nb.cells.append(cell)
        try:
            self.execute_cell(cell, len(self.nb.cells) - 1)
        finally:
            self.nb.cells.pop()
        return _displayed(cell, nonce)

    def process_message(self, msg: dict, cell: NotebookNode, cell_index: int) -> Any:
        """Keep only so much output, and no message that could change what is kept already."""
        content = _plain(msg["msg_type"], msg["content"])
        if content is None:
            return None
        if msg["msg_type"] in _OUTPUT:
            self._limit -= 100 + sum(len(str(v)) for v in (content.get("data") or content).values())
            if self._limit < 0:
                return None
        return super().process_message({**msg, "content": content}, cell, cell_index)


# --- what came of it --------------------------------------------------------------------------------------------


def _observed(records: Records) -> dict[str, list[Observed]]:
    found: dict[str, list[Observed]] = {}
    for step, record in records.items():
        if step.what == "public":
            found.setdefault(step.name, []).append(Observed(record, records.get(Step("hidden", step.cell, step.check))))
    return found


def _displayed(cell: NotebookNode, nonce: str) -> dict[str, Any]:
    """The one record that a cell displayed, or {"failed": why}. What a kernel sends is data, of any shape."""
    texts = [o.data[MIME] for o in cell.outputs if o.output_type == "display_data" and MIME in o.get("data", {})]
    if len(texts) != 1:
        error = next((o.ename for o in cell.outputs if o.output_type == "error"), None)
        why = "more than one result was recorded" if texts else "nothing was recorded"
        if error in ("CellTimeoutError", "KeyboardInterrupt"):
            return {"kind": Kind.TIMEOUT, "failed": "It was stopped at the time limit."}
        return {"failed": f"When the check ran, {why}."}
    try:
        record = json.loads(texts[0])
        if record.pop("nonce") == nonce:
            return record
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    return {"failed": "What was recorded is malformed."}


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
    if kind not in _OUTPUT:
        return None
    data = {key: _text(value) for key, value in data.items()} if isinstance(data, dict) else {}
    return {"data": data, "metadata": {}} | ({"execution_count": None, **counted} if kind == "execute_result" else {})


def _text(value: Any) -> str:
    """A text that can be written as UTF-8."""
    return str(value).encode("utf-8", "replace").decode()


def _keep_only_plain_output(nb: NotebookNode) -> None:
    """Text and pictures; no HTML or script of a student. All of it was there before any hidden case."""
    for output in (o for cell in nb.cells if cell.cell_type == "code" for o in cell.outputs):
        if "data" in output:
            output.data = {k: v for k, v in output.data.items() if k == "text/plain" or _is_picture(k, v)}


def _is_picture(mime: str, data: str) -> bool:
    try:
        return mime == "image/png" and base64.b64decode("".join(data.split()), validate=True).startswith(b"\x89PNG")
    except ValueError:
        return False
