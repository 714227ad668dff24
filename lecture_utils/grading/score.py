"""Scoring: what was observed in a kernel is compared here, in a process that no student code ever enters.

Hidden cases are drawn from a secret that only this machine has; expected values stay in this process.
"""

from __future__ import annotations

import ast
import html
import os
import re
import secrets
from dataclasses import replace
from functools import cache
from random import Random
from typing import Any

import torch
from IPython.core.inputtransformer2 import TransformerManager
from nbconvert.preprocessors.sanitize import SanitizeHTML
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade, is_locked, is_solution
from traitlets import Bool

from lecture_utils import checks
from lecture_utils.checks.exercise import Exercise
from lecture_utils.checks.judge import Verdict, compare, load
from lecture_utils.checks.notebook import card
from lecture_utils.checks.observers import TIME_LIMIT, traced
from lecture_utils.checks.quiz import judge_question
from lecture_utils.checks.record import load_rubrics, record
from lecture_utils.checks.resume import compare as compare_runs
from lecture_utils.checks.traces import Problem, Trace, decode
from lecture_utils.environment import ROOT, CourseError

SOURCE = ROOT / "source" / "lecture12"
SECRET = ROOT / "grading_secret"
TEXT = 400  # characters of what student code says that a verdict may quote
_WORD = re.compile(r"[A-Za-z0-9_-]{1,64}")
METADATA = "lecture_utils"  # the key under which verdicts stand in autograded notebooks, for the report


class Score(NbGraderPreprocessor):
    """Writes verdict and score into each check cell, in the form in which nbgrader reads scores."""

    exam = Bool(False, help="Count answers to drawn questions only if their numbers are the student's own.").tag(
        config=True
    )

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        records = resources["observed"]
        examined = resources["nbgrader"]["student"] if self.exam else None
        for cell in nb.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if name not in records:
                continue
            verdict = _verdict(name, records[name], examined)
            if verdict.kind == "other_student":
                verdict = replace(verdict, kind="review")
            elif verdict.credit and (why := _not_their_own(nb, name)):
                verdict = Verdict(name, False, "review", 0.0, "for your instructor to look at", why)
            points = round(verdict.credit * cell.metadata.nbgrader.points, 4)
            shown = card(verdict)
            cell.outputs = [
                new_output("display_data", {"text/plain": shown.plain, "text/html": shown.rich}),
                new_output("execute_result", {"text/plain": repr(points)}, execution_count=cell.execution_count),
            ]
            cell.metadata[METADATA] = {
                "kind": verdict.kind, "misconception": verdict.misconception, "points": points, "message": verdict.message,
            }  # fmt: skip
        nb.metadata[METADATA] = resources["run"] | {"repairs": resources.get("repairs", [])}
        return nb, resources


class Review(NbGraderPreprocessor):
    """After the scores are saved: marks in the gradebook what a person should look at, and disarms students' Markdown."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        names = resources["nbgrader"]
        flagged = [c for c in nb.cells if c.metadata.get(METADATA, {}).get("kind") == "review"]
        if flagged:
            with Gradebook(names["db_url"]) as gradebook:
                for cell in flagged:
                    place = (cell.metadata.nbgrader.grade_id, names["notebook"], names["assignment"], names["student"])
                    gradebook.find_grade(*place).needs_manual_grade = True
                gradebook.db.commit()
        nb.metadata = {k: nb.metadata[k] for k in ("kernelspec", METADATA) if k in nb.metadata}
        for cell in nb.cells:
            if "tags" in cell.metadata:
                cell.metadata.tags = [t for t in cell.metadata.tags if isinstance(t, str) and _WORD.fullmatch(t)]
            if "id" in cell and not _WORD.fullmatch(str(cell.id)):
                cell.id = secrets.token_hex(4)
            if cell.cell_type != "code" and not is_locked(cell):
                cell.source = _without_script_links(cell.source)
                SanitizeHTML().preprocess_cell(cell, resources, 0)
                cell.pop("attachments", None)
        return nb, resources


_SCRIPT_LINK = (
    re.compile(  # as a browser reads it: blanks and control characters do not count; a backslash is Markdown's
        "(?:"
        + "|".join(
            r"[\x00-\x20\\]*".join(scheme)
            for scheme in ("javascript:", "vbscript:", "data:text", "data:app", "data:image/svg", "attachment:")
        )
        + ")",
        re.IGNORECASE,
    )
)


def _without_script_links(source: str) -> str:
    """Markdown whose links run nothing: [a](javascript:…) is no HTML before it is rendered, so that nothing else sees it."""
    while (plain := html.unescape(source)) != source:
        source = plain
    return _SCRIPT_LINK.sub("unsafe-link-", source)


# --- exercises ---------------------------------------------------------------------------------------------------


@cache
def exercises() -> dict[str, Exercise]:
    """All exercises, from the rubrics."""
    return load_rubrics(SOURCE / "rubrics")


@cache
def secret() -> str:
    """What hidden cases are drawn from: made at first use, kept beside nbgrader_config.py, never given out."""
    try:
        with open(os.open(SECRET, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_hex(32) + "\n")
    except FileExistsError:
        pass
    if len(text := SECRET.read_text().strip()) < 32:
        raise ValueError(f"{SECRET} is damaged. Restore it, or delete it and grade everything again with --force.")
    return text


@cache
def public(name: str) -> dict[str, Any]:
    """The recorded exercise as students have it. Raises ``CourseError`` if the rubric has changed since."""
    found = _recorded().get(name, {})
    if [m["name"] for m in found.get("misconceptions", [])] != [m.name for m in exercises()[name].misconceptions]:
        raise CourseError(f"The rubric of {name} has changed since checks.json was made: run `build` first.")
    return found


@cache
def _recorded() -> dict[str, Any]:
    return load(SOURCE / "checks.json")


@cache
def spec(name: str) -> dict[str, Any]:
    """The recorded exercise with its hidden cases after the public ones."""
    exercise, seen = exercises()[name], public(name)
    random = Random(f"{secret()} {name}")
    if exercise.observer == "resume":  # the same cases from other seeds: what is recorded of them holds for any
        cases = [c | {k: random.randrange(2**31) for k in ("seed", "fresh", "then")} for c in seen["cases"]]
        return seen | {"cases": cases}
    if exercise.observer in ("answer", "question"):  # has no cases to hide
        return seen
    hidden = record(exercise, seed=f"{secret()} {name}")
    both = {key: seen[key] + hidden[key] for key in ("cases", "reference")}
    pairs = zip(seen["misconceptions"], hidden["misconceptions"], strict=True)
    return seen | both | {"misconceptions": [a | {"traces": a["traces"] + b["traces"]} for a, b in pairs]}


def job(name: str, hidden: bool = True) -> dict[str, Any] | None:
    """What the kernel is told: how to observe and on which inputs. None for a cell that is no exercise of the course."""
    if name not in exercises():
        return None
    if exercises()[name].observer == "question":
        return {"observer": "question"}
    told = {key: (spec if hidden else public)(name)[key] for key in ("observer", "cases", "settings")}
    if told["observer"] == "resume":  # what comes after the stop is told to the second kernel only
        told |= {"turn": "save", "cases": [{k: v for k, v in c.items() if k != "then"} for c in told["cases"]]}
    return told


def second_turn(jobs: dict[int, dict], records: dict[int, Any], hidden: bool = True) -> dict[int, dict]:
    """Jobs for another kernel, which gets the checkpoints that the first one wrote, and nothing else of it."""
    again = {}
    for i, told in jobs.items():
        files = (records.get(i) or {}).get("results")
        if told["observer"] == "resume" and isinstance(files, list) and all(isinstance(f, str) for f in files):
            whole = next(
                (spec if hidden else public)(n)["cases"] for n, e in exercises().items() if e.observer == "resume"
            )
            cases = [{k: v for k, v in case.items() if k != "seed"} for case in whole]
            again[i] = told | {"turn": "load", "checkpoints": files, "cases": cases}
    return again


def speaks(name: str, record: Any) -> bool:
    """Whether a record holds words of the student's code that its verdict might quote: they could tell hidden cases."""
    if not isinstance(record, dict) or not record.get("sent") or exercises()[name].observer == "question":
        return False
    try:
        if "failed" in record:
            return True
        if "results" in record:
            return any(not isinstance(r, str) and "problem" in r for r in record["results"])
        labels = {label for trace in spec(name)["reference"] for label, _ in trace["entries"]}
        places = {label.partition(": ")[0] for label in labels} | {""}
        for trace in map(decode, record["traces"]):
            if any(label not in labels for label, _ in trace.entries):
                return True
            if (p := trace.problem) and (
                p.kind not in _OUR_WORDS or str(p) not in _OUR_WORDS[p.kind] or p.place not in places
            ):
                return True
        return False
    except Exception:
        return False  # malformed: is not quoted


def in_other_words(name: str, record: dict[str, Any], told: Any) -> dict[str, Any]:
    """The record with the words of ``told``, which comes from a kernel that knew the public cases only."""
    told = told if isinstance(told, dict) else {"failed": "It fails, but not on the public cases alone."}
    if "failed" in record or "failed" in told:
        return {
            "kind": told.get("kind"),
            "failed": told.get("failed", "It fails in the hidden cases, not in the visible ones."),
        }
    if "results" in record:
        words = told.get("results")
        return {"results": words if isinstance(words, list) and all("problem" in r for r in words) else ["malformed"]}
    seen = len(public(name)["cases"])
    return {**record, "traces": told["traces"][:seen] + record["traces"][seen:]}


_OUR_WORDS = {  # sentences of the observers that quote nothing
    "not_written": {
        "Put your own lines where it says # YOUR CODE HERE, and take out the line that raises.",
        "Replace the None of this part.",
    },
    "timeout": {f"Still running after {TIME_LIMIT:g} seconds, so it was stopped. Is there a loop that never ends?"},
}


# --- verdicts ----------------------------------------------------------------------------------------------------


def _verdict(name: str, observed: Any, examined: str | None) -> Verdict:
    """The verdict on what a kernel sent, whatever that is. ``examined`` is the student's id in an exam."""
    if name not in exercises():
        return Verdict(name, False, "unknown", 0.0, "not scored", "The course has no rubric for this cell.")
    if observed is None:
        return Verdict(name, False, "not_run", 0.0, "not run", "The notebook did not get as far as this check.")
    try:
        if "failed" in observed:
            kind = "timeout" if observed.get("kind") == "timeout" else "crashed"
            return Verdict(name, False, kind, 0.0, "the check fails", _short(observed["failed"]))
        if exercises()[name].observer == "question":
            return judge_question(exercises()[name], *observed["value"], exam=examined)
        traces = [_shortened(t) for t in _traces(name, observed)]
        return compare(name, spec(name), traces, public=len(public(name)["cases"]))
    except Exception as error:  # hostile data may be of any shape: no credit, and the next cell
        return Verdict(
            name, False, "malformed", 0.0, "not scored", f"What was recorded is malformed ({type(error).__name__})."
        )


def _traces(name: str, observed: dict[str, Any]) -> list[Trace]:
    cases = spec(name)["cases"]
    if exercises()[name].observer != "resume":
        return [decode(t) for t in observed["traces"]]
    results = observed["results"]
    if len(results) != len(cases):
        raise ValueError("another number of results than of cases")
    torch.set_num_threads(1)
    return [_resumed(result, case) for result, case in zip(results, cases, strict=True)]


def _resumed(result: dict[str, Any], case: dict[str, Any]) -> Trace:
    if "problem" in result and len(result["problem"]) == 3:  # of saving
        kind, text, place = map(str, result["problem"])
        return Trace(problem=Problem(kind, text, place))
    return traced(compare_runs(result, case))


def _shortened(trace: Trace) -> Trace:
    trace.entries = [(_short(label), value) for label, value in trace.entries]
    if trace.problem:
        problem = trace.problem
        trace.problem = Problem(_short(problem.kind), _short(str(problem)), _short(problem.place))
    return trace


def _short(text: Any) -> str:
    text = "".join(c if c.isprintable() or c == "\n" else "�" for c in str(text))
    return text if len(text) <= TEXT else text[:TEXT] + " …"


# --- whose work is it? -------------------------------------------------------------------------------------------

_RULES = {"steps", "optimizer_class", "optimizer_rates", "lambda_rates"}  # observers of what students write themselves
_EVASIVE = set("""
    eval exec compile __import__ importlib import_module globals locals vars setattr builtins __builtins__ __dict__ __globals__
    __subclasses__ __getattribute__ attrgetter methodcaller modules _getframe currentframe f_back f_globals f_locals f_builtins
    settrace setprofile ctypes gc inspect runpy get_ipython pickle cloudpickle marshal open write_text write_bytes
""".split())  # fmt: skip
_OF_FILES = {"pickle", "cloudpickle", "open", "write_text", "write_bytes"}  # a checkpoint may be written by any of them


def _not_their_own(nb: NotebookNode, name: str) -> str:
    """Why a right answer may not be the student's own rule; empty if nothing speaks for that.

    Looks at the code that the answer uses: the definitions of its names in all cells, and of the names in these.
    """
    definitions = _definitions(nb)
    reached, todo, found = set(), [name, *_answer_names(nb, name)], set()
    while todo:
        if (one := todo.pop()) in reached:
            continue
        reached.add(one)
        for node in definitions.get(one, []):
            names = _names(node)
            found |= names
            todo += (names - _local(node)) & definitions.keys()
    if found & {"rubrics", "source", "solutions"} & _imported(nb):
        return "The answer imports the course's sources."
    if _reaches_into_checks(nb):
        return "The notebook imports what its checks are made of."
    everywhere = {n for statements in definitions.values() for s in statements for n in _names(s)}
    everywhere |= _names(ast.Module(definitions[""], []))
    if exercises()[name].observer == "resume" and (used := everywhere & (_EVASIVE - _OF_FILES)):
        return f"The notebook uses {', '.join(sorted(used))}, so what the answer does cannot be told by reading it."
    if exercises()[name].observer not in _RULES or exercises()[name].notebook.startswith("07"):
        return ""
    ready = set(torch.optim.__all__) - {"Optimizer", "lr_scheduler", "swa_utils"}
    ready |= {n for n in found if n.startswith(("_single_tensor", "_multi_tensor", "_fused_"))}
    ready |= {n.lower() for n in ready} if "optim" in found else set()  # torch.optim.adam.adam
    ready |= {"lr_scheduler", "_functional", "stacked", "sweep", "RULES"}
    if used := found & ready:
        return f"The answer uses {', '.join(sorted(used))}, where the rule itself was to be written."
    if used := everywhere & _EVASIVE:
        return f"The notebook uses {', '.join(sorted(used))}, so what the answer does cannot be told by reading it."
    return ""


def _definitions(nb: NotebookNode) -> dict[str, list[ast.AST]]:
    """Which top-level statements of the students' cells give each name its meaning."""
    found: dict[str, list[ast.AST]] = {"": []}  # "": statements that bind nothing
    for cell in nb.cells:
        if cell.cell_type != "code" or is_locked(cell) or "demo" in cell.metadata.get("tags", []):
            continue
        for statement in _parsed(cell.source):
            bound = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            bound |= {n.name for n in ast.walk(statement) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
            if isinstance(statement, ast.Import | ast.ImportFrom):
                bound |= {(a.asname or a.name).split(".")[0] for a in statement.names} - {"torch"}
            bound |= _changed(statement) - _local(statement) - {"torch"}
            for one in bound or {""}:
                found.setdefault(one, []).append(statement)
    return found


def _changed(statement: ast.stmt) -> set[str]:
    """Names of objects that a statement may put something into, and of attributes that it sets."""
    changed: set[str] = set()
    for n in ast.walk(statement):
        if isinstance(n, ast.Attribute | ast.Subscript) and isinstance(n.ctx, ast.Store):
            changed |= {_root(n)} | ({n.attr} if isinstance(n, ast.Attribute) else set())
        elif isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute):
            changed.add(_root(n.func))
    if (
        isinstance(statement, ast.Expr)
        and isinstance(call := statement.value, ast.Call)
        and isinstance(call.func, ast.Name)
    ):
        changed |= {call.func.id, *(a.id for a in call.args if isinstance(a, ast.Name))}
    return changed - {""}


def _root(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _reaches_into_checks(nb: NotebookNode) -> bool:
    inside = ("lecture_utils.checks", "lecture_utils.grading")
    for statement in (
        s
        for c in nb.cells
        if c.cell_type == "code" and not is_locked(c)
        for t in _parsed(c.source)
        for s in ast.walk(t)
    ):
        if isinstance(statement, ast.Import) and any(a.name.split(".")[0] == "lecture_utils" for a in statement.names):
            return True
        if isinstance(statement, ast.ImportFrom):
            module, names = statement.module or "", {a.name for a in statement.names}
            if (module == "lecture_utils" and names & {"checks", "grading", "*"}) or module.startswith(
                tuple(f"{i}." for i in inside)
            ):
                return True
            if module in inside and names - set(checks.__all__):
                return True
    return False


def _answer_names(nb: NotebookNode, name: str) -> list[str]:
    check = next(
        c
        for c in nb.cells
        if c.metadata.get("nbgrader", {}).get("grade_id") == name and is_grade(c) and not is_solution(c)
    )
    return [n.id for s in _parsed(check.source) for n in ast.walk(s) if isinstance(n, ast.Name)]


def _names(node: ast.AST) -> set[str]:
    """Names, attributes, imported names, and strings that are one word: getattr(torch, "optim")."""
    names: set[str] = set()
    for n in ast.walk(node):
        if isinstance(n, ast.Name):
            names.add(n.id)
        elif isinstance(n, ast.Attribute):
            names.add(n.attr)
        elif isinstance(n, ast.Constant) and isinstance(n.value, str) and n.value.isidentifier():
            names.add(n.value)
        elif isinstance(n, ast.FunctionDef | ast.ClassDef):
            names.add(n.name)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id in ("getattr", "hasattr"):
            if not all(isinstance(a, ast.Constant) for a in n.args[1:2]):
                names.add("vars")  # getattr(torch, "op" + "tim")
        elif isinstance(n, ast.Import | ast.ImportFrom):
            names |= {part for a in n.names for part in a.name.split(".")} | set(
                (getattr(n, "module", "") or "").split(".")
            )
    return names


def _local(node: ast.AST) -> set[str]:
    """Parameters and variables of a function or class: a name of the notebook's that is equal means something else."""
    if not isinstance(node, ast.FunctionDef | ast.ClassDef):
        return set()
    stored = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return stored | {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)}


def _imported(nb: NotebookNode) -> set[str]:
    imports = [s for c in nb.cells if c.cell_type == "code" for t in _parsed(c.source) for s in ast.walk(t)]
    return {part for s in imports if isinstance(s, ast.Import | ast.ImportFrom) for part in _names(s)}


def _parsed(source: str) -> list[ast.stmt]:
    """The statements of a cell. What stands behind an IPython magic counts as code, too."""
    try:
        try:
            body = ast.parse(source).body
        except SyntaxError:
            body = ast.parse(TransformerManager().transform_cell(source)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found = []
    for statement in body:
        call = statement.value if isinstance(statement, ast.Expr) else None
        if isinstance(call, ast.Call) and ast.unparse(call.func).startswith(
            ("get_ipython().run_", "get_ipython().system")
        ):
            texts = [a.value for a in call.args if isinstance(a, ast.Constant)]
            if texts and len(texts) == len(call.args):
                found += _parsed(str(texts[-1]))
                continue
        found.append(statement)
    return found
