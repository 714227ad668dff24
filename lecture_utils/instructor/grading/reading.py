"""Whose work is a right answer? Read from the code of the notebook, which is never run here.

A student who hands ``torch.optim``, the course's sources or the checks themselves to a check gets no automatic credit:
a person looks at it. Disguises that reading cannot see through are flagged for what they are.
"""

from __future__ import annotations

import ast
import re
import symtable
import sys
from functools import cache, cached_property
from importlib.util import find_spec

import torch
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode
from nbgrader.utils import is_grade, is_locked, is_solution

from lecture_utils import checks
from lecture_utils.checks.observers import LambdaRates, OptimizerClass, OptimizerRates, Resume, Steps
from lecture_utils.instructor.authoring.exercise import Exercise

_RULES = (Steps, OptimizerClass, OptimizerRates, LambdaRates)  # observers of what students write themselves
_BARE = set("eval exec compile globals locals vars setattr".split())  # only so, not model.eval() or re.compile()
_EVASIVE = set("""
    __import__ importlib import_module builtins __builtins__ __dict__ __globals__ __code__ __closure__ __defaults__ __doc__
    __subclasses__ __getattribute__ attrgetter methodcaller modules _getframe currentframe f_back f_globals f_locals f_builtins
    settrace setprofile ctypes gc inspect runpy get_ipython pickle cloudpickle marshal write_text write_bytes
    resolve_name locate timeit Timer get_type_hints ForwardRef get_field Formatter
    __setattr__ mock user_ns update_wrapper
""".split())  # fmt: skip
_EVASIVE |= {f"{name}()" for name in (*_BARE, "getattr")} | {"an unknown module"}
_OF_FILES = {"pickle", "cloudpickle", "write_text", "write_bytes"}  # a checkpoint may be written by any of them
_MAGICS = set("time timeit capture matplotlib config pwd who whos".split())  # that only run their code
_INSIDE = ("lecture_utils.checks", "lecture_utils.instructor.grading", "lecture_utils.instructor")


class Reading:
    """The code of a notebook, parsed once for all of its exercises."""

    def __init__(self, nb: NotebookNode) -> None:
        self.cells = [(cell, _parsed(cell.source)) for cell in nb.cells if cell.cell_type == "code"]

    def doubt(self, exercise: Exercise) -> str:
        """Why a right answer may not be the student's own rule; empty if nothing speaks for that.

        Looks at the code that the answer uses: the definitions of its names in all cells, and of the names in these.
        """
        reached, read, todo, found = set(), set(), [exercise.name, *self._answer_names(exercise.name)], set()
        while todo:
            if (one := todo.pop()) in reached:
                continue
            reached.add(one)
            for node in self.definitions.get(one, []):
                if id(node) in read:
                    continue
                read.add(id(node))
                names = _names(node)
                found |= names
                todo += (names - _local(node)) & self.definitions.keys()
        if found & {"rubrics", "source", "solutions"} & self.imported:
            return "The answer imports the course's sources."
        if self.reaches_into_checks:
            return "The notebook imports what its checks are made of."
        # Its digests are made beside the student's code.
        if isinstance(exercise.observer, Resume) and (used := self.everywhere & (_EVASIVE - _OF_FILES)):
            return f"The notebook uses {', '.join(sorted(used))}, so what the answer does cannot be told by reading it."
        if not isinstance(exercise.observer, _RULES) or exercise.notebook.startswith("07"):
            return ""
        ready = set(torch.optim.__all__) - {"Optimizer", "lr_scheduler", "swa_utils"}
        ready |= {n for n in found if n.startswith(("_single_tensor", "_multi_tensor", "_fused_"))}
        ready |= {n.lower() for n in ready} if "optim" in found else set()  # torch.optim.adam.adam
        ready |= {"lr_scheduler", "_functional", "stacked", "sweep", "RULES", "distributed", "weights_only"}
        if used := found & ready:
            return f"The answer uses {', '.join(sorted(used))}, where the rule itself was to be written."
        if used := self.everywhere & _EVASIVE:
            return f"The notebook uses {', '.join(sorted(used))}, so what the answer does cannot be told by reading it."
        return ""

    @cached_property
    def definitions(self) -> dict[str, list[ast.stmt]]:
        """Which top-level statements of the students' cells give each name its meaning; "": those that bind nothing."""
        found: dict[str, list[ast.stmt]] = {"": []}
        for cell, statements in self.cells:
            if is_locked(cell) or "demo" in cell.metadata.get("tags", []):
                continue
            for statement in statements:
                bound = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
                for n in ast.walk(statement):  # functions, classes, imports, and what `match` and `except` bind
                    if isinstance(name := getattr(n, "asname", None) or getattr(n, "name", None), str):
                        bound |= {name.split(".")[0]} - {"torch"}
                bound |= _changed(statement) - _local(statement) - {"torch"}
                for one in bound or {""}:
                    found.setdefault(one, []).append(statement)
        return found

    @cached_property
    def everywhere(self) -> set[str]:
        """All names in the students' cells."""
        return {n for s in self._own for n in _names(s)}

    @cached_property
    def _own(self) -> list[ast.stmt]:
        """Each statement of the students' cells once, however many names it binds."""
        return list({id(s): s for statements in self.definitions.values() for s in statements}.values())

    @cached_property
    def imported(self) -> set[str]:
        """Parts of the names of all that is imported anywhere."""
        return {part for _, s in self._imports for part in _names(s)}

    @cached_property
    def reaches_into_checks(self) -> bool:
        """Whether a student's cell imports more of the checks than a student needs, or reaches them by lecture_utils."""
        if any(
            isinstance(n, ast.Attribute) and n.attr in ("checks", "grading", "instructor")
            for s in self._own
            for n in ast.walk(s)
        ):
            return True
        for cell, statement in self._imports:
            names = {a.name for a in statement.names}
            if is_locked(cell):
                continue
            if isinstance(statement, ast.Import):
                if any(name.startswith(_INSIDE) for name in names):
                    return True
                continue
            module = statement.module or ""
            if module == "lecture_utils" and names & {"checks", "grading", "*"}:
                return True
            if module.startswith(tuple(f"{i}." for i in _INSIDE)):
                return True
            if module in _INSIDE and names - set(checks.__all__):
                return True
        return False

    @cached_property
    def _imports(self) -> list[tuple[NotebookNode, ast.Import | ast.ImportFrom]]:
        every = [(cell, n) for cell, statements in self.cells for s in statements for n in ast.walk(s)]
        return [(cell, n) for cell, n in every if isinstance(n, ast.Import | ast.ImportFrom)]

    def _answer_names(self, name: str) -> list[str]:
        """What the check cell of the exercise hands to ``check``."""
        for cell, statements in self.cells:
            if cell.metadata.get("nbgrader", {}).get("grade_id") == name and is_grade(cell) and not is_solution(cell):
                return [n.id for s in statements for n in ast.walk(s) if isinstance(n, ast.Name)]
        return []


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


def _names(node: ast.AST) -> set[str]:
    """All names in a statement: of variables, attributes, keywords, patterns, imports, and words in texts that are code."""
    names: set[str] = set()
    called = {id(n.func) for n in ast.walk(node) if isinstance(n, ast.Call)}
    for n in ast.walk(node):
        if isinstance(n, ast.Constant):
            names |= _words(n.value)
            continue
        for _, value in ast.iter_fields(n):
            for text in value if isinstance(value, list) else [value]:
                if isinstance(text, str):
                    names |= set(text.split("."))
        if isinstance(n, ast.Name) and (n.id in _BARE or (n.id == "getattr" and id(n) not in called)):
            names.add(f"{n.id}()")
        is_getattr = isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "getattr"
        if is_getattr and (len(n.args) < 2 or not isinstance(n.args[1], ast.Constant)):
            names.add("getattr()")  # getattr(torch, "op" + "tim")
        if isinstance(n, ast.Import) and not all(_is_known(a.name.split(".")[0]) for a in n.names):
            names.add("an unknown module")
        if isinstance(n, ast.ImportFrom) and (n.level or not _is_known(str(n.module).split(".")[0])):
            names.add("an unknown module")
    return names


@cache
def _is_known(module: str) -> bool:
    """Whether a module is installed: another one can only have been written by the notebook itself."""
    return module in sys.modules or find_spec(module) is not None


def _words(text: object) -> set[str]:
    """The names in a text that may be evaluated: a dotted name, a format, or code. Not those in a sentence."""
    if not isinstance(text, str):
        return set()
    if not re.search(r"\s", text):
        return set(re.findall(r"\w+", text))
    try:
        code = ast.parse(text.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    is_code = any(isinstance(n, ast.Attribute | ast.Call | ast.Import | ast.ImportFrom) for n in ast.walk(code))
    return _names(code) if is_code else set()


def _local(statement: ast.stmt) -> set[str]:
    """Parameters and variables of functions: a name of the notebook's that is equal means something else there."""
    try:
        tables = [symtable.symtable(ast.unparse(statement), "cell", "exec")]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    own, outer = set(), set()
    while tables:
        tables += (table := tables.pop()).get_children()
        for symbol in table.get_symbols():
            inside = table.get_type() == "function" and not symbol.is_global()
            (own if inside else outer).add(symbol.get_name())
    return own - outer


def _parsed(source: str) -> list[ast.stmt]:
    """The statements of a cell. What stands behind an IPython magic counts as code, too."""
    try:
        try:
            body = ast.parse(source).body
        except SyntaxError:
            body = ast.parse(TransformerManager().transform_cell(source)).body
    except (SyntaxError, ValueError):
        return []
    except (RecursionError, MemoryError):  # a kernel with a higher limit may run it
        return ast.parse("runpy").body
    found = []
    for statement in body:
        code = _run_by_ipython(statement)
        inner = [] if code is None else _parsed(code)
        found += [statement] if code is None or (code.strip() and not inner) else inner
    return found


def _run_by_ipython(statement: ast.stmt) -> str | None:
    """The code in ``get_ipython().run_cell_magic("time", "", code)``; None if it is something else than a plain magic."""
    match statement:
        case ast.Expr(ast.Call(ast.Attribute(ast.Call(ast.Name("get_ipython")), method), given)):
            texts = [str(a.value) for a in given if isinstance(a, ast.Constant)]
            if method in ("system", "getoutput"):
                return ""  # a new process: there is none in the sandbox
            if method.startswith("run_") and len(texts) == len(given) > 0 and texts[0] in _MAGICS:
                return re.sub(r"^(\s*-\w( ?\d+)?\s)+", "", texts[-1])
    return None
