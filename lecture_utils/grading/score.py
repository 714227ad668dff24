"""Scoring: what was observed in a kernel is compared here, in a process that no student code ever enters.

Hidden cases are drawn from a secret that only this machine has; expected values stay in this process.
"""

from __future__ import annotations

import ast
import os
import secrets
from dataclasses import replace
from functools import cache
from random import Random
from typing import Any

import torch
from nbconvert.preprocessors.sanitize import SanitizeHTML
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade, is_locked, is_solution
from traitlets import Bool

from lecture_utils.checks.exercise import Exercise
from lecture_utils.checks.judge import Verdict, compare, load
from lecture_utils.checks.notebook import card
from lecture_utils.checks.observers import traced
from lecture_utils.checks.quiz import judge_question
from lecture_utils.checks.record import load_rubrics, record
from lecture_utils.checks.resume import compare as compare_runs
from lecture_utils.checks.traces import Problem, Trace, decode
from lecture_utils.environment import ROOT

SOURCE = ROOT / "source" / "lecture12"
SECRET = ROOT / "grading_secret"
TEXT = 400  # characters of what student code says that a verdict may quote
METADATA = "lecture_utils"  # the key under which verdicts stand in autograded notebooks, for the report


class Score(NbGraderPreprocessor):
    """Writes verdict and score into each check cell, in the form in which nbgrader reads scores."""

    exam = Bool(False, help="Count answers to drawn questions only if their numbers are the student's own.").tag(config=True)

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
        for cell in nb.cells:
            if cell.cell_type != "code" and not is_locked(cell):
                SanitizeHTML().preprocess_cell(cell, resources, 0)
                cell.pop("attachments", None)
        return nb, resources


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
    """The recorded exercise as students have it."""
    return load(SOURCE / "checks.json")[name]


@cache
def spec(name: str) -> dict[str, Any]:
    """The recorded exercise with its hidden cases after the public ones."""
    exercise, seen = exercises()[name], public(name)
    random = Random(f"{secret()} {name}")
    if exercise.observer == "resume":  # the same cases from other seeds: what is recorded of them holds for any
        cases = [c | {k: random.randrange(2**31) for k in ("seed", "fresh", "then")} for c in seen["cases"]]
        return seen | {"cases": cases}
    if exercise.observer == "answer":  # has no cases to hide
        return seen
    hidden = record(exercise, seed=f"{secret()} {name}")
    both = {key: seen[key] + hidden[key] for key in ("cases", "reference")}
    pairs = zip(seen["misconceptions"], hidden["misconceptions"], strict=True)
    return seen | both | {"misconceptions": [a | {"traces": a["traces"] + b["traces"]} for a, b in pairs]}


def job(name: str) -> dict[str, Any] | None:
    """What the kernel is told: how to observe and on which inputs. None for a cell that is no exercise of the course."""
    if name not in exercises():
        return None
    if exercises()[name].observer == "question":
        return {"observer": "question"}
    told = {key: spec(name)[key] for key in ("observer", "cases", "settings")}
    if told["observer"] == "resume":  # what comes after the stop is told to the second kernel only
        told |= {"turn": "save", "cases": [{k: v for k, v in c.items() if k != "then"} for c in told["cases"]]}
    return told


def second_turn(jobs: dict[int, dict], records: dict[int, Any]) -> dict[int, dict]:
    """Jobs for another kernel, which gets the checkpoints that the first one wrote, and nothing else of it."""
    again = {}
    for i, told in jobs.items():
        files = (records.get(i) or {}).get("results")
        if told["observer"] == "resume" and isinstance(files, list) and all(isinstance(f, str) for f in files):
            whole = next(spec(n)["cases"] for n, e in exercises().items() if e.observer == "resume")
            cases = [{k: v for k, v in case.items() if k != "seed"} for case in whole]
            again[i] = told | {"turn": "load", "checkpoints": files, "cases": cases}
    return again


# --- verdicts ----------------------------------------------------------------------------------------------------


def _verdict(name: str, observed: Any, examined: str | None) -> Verdict:
    """The verdict on what a kernel sent, whatever that is. ``examined`` is the student's id in an exam."""
    if name not in exercises():
        return Verdict(name, False, "unknown", 0.0, "not scored", "The course has no rubric for this cell.")
    if observed is None:
        return Verdict(name, False, "not_run", 0.0, "not run", "The notebook did not get as far as this check.")
    try:
        if "failed" in observed:
            return Verdict(name, False, "crashed", 0.0, "the check fails", _short(observed["failed"]))
        if exercises()[name].observer == "question":
            return judge_question(exercises()[name], *observed["value"], exam=examined)
        traces = [_shortened(t) for t in _traces(name, observed)]
        return compare(name, spec(name), traces, public=len(public(name)["cases"]))
    except Exception as error:  # hostile data may be of any shape: no credit, and the next cell
        return Verdict(name, False, "malformed", 0.0, "not scored", f"What was recorded is malformed ({type(error).__name__}).")


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
    if trace.problem:
        problem = trace.problem
        trace.problem = Problem(_short(problem.kind), _short(str(problem)), _short(problem.place))
    return trace


def _short(text: Any) -> str:
    text = "".join(c if c.isprintable() or c == "\n" else "�" for c in str(text))
    return text if len(text) <= TEXT else text[:TEXT] + " …"


# --- whose work is it? -------------------------------------------------------------------------------------------

_RULES = {"steps", "optimizer_class", "optimizer_rates", "lambda_rates"}  # observers of what students write themselves
_EVASIVE = {"eval", "exec", "compile", "__import__", "importlib", "globals", "vars", "ctypes", "gc", "inspect", "runpy", "get_ipython"}


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
    if exercises()[name].observer not in _RULES or exercises()[name].notebook.startswith("07"):
        return ""
    ready = set(torch.optim.__all__) - {"Optimizer", "lr_scheduler", "swa_utils"}
    ready |= {n for n in found if n.startswith(("_single_tensor", "_multi_tensor", "_fused_"))}
    ready |= {"lr_scheduler", "_functional", "stacked", "sweep", "RULES"}
    if used := found & ready:
        return f"The answer uses {', '.join(sorted(used))}, where the rule itself was to be written."
    everywhere = {n for statements in definitions.values() for s in statements for n in _names(s)}
    if used := (everywhere | _names(ast.Module(definitions[""], []))) & _EVASIVE:
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
            for one in bound or {""}:
                found.setdefault(one, []).append(statement)
    return found


def _answer_names(nb: NotebookNode, name: str) -> list[str]:
    check = next(c for c in nb.cells if c.metadata.get("nbgrader", {}).get("grade_id") == name and is_grade(c) and not is_solution(c))
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
        elif isinstance(n, ast.Import | ast.ImportFrom):
            names |= {part for a in n.names for part in a.name.split(".")} | set((getattr(n, "module", "") or "").split("."))
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
    lines = [line for line in source.splitlines() if not line.lstrip().startswith(("%", "!"))]
    try:
        return ast.parse("\n".join(lines)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
