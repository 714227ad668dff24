"""What an author writes: a reference, what people change in it, and the cases on which it is tried.

@exercise("04_momentum_nesterov", points=3, returns="w delta")
def momentum_step(w, grad, delta, lr, alpha):
    delta = alpha * delta + lr * grad
    w = w - delta
    return w, delta

momentum_step.slip("uphill", "w - delta", "w + delta", "w moves up the hill.")

@momentum_step.mistake(credit=0.5)
def torch_form(w, grad, delta, lr, alpha):
    \"\"\"the form of torch.optim: the learning rate stands outside the velocity.\"\"\"
    ...

@momentum_step.cases
def _(random):
    return [steps(random, …), …]
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from lecture_utils.checks.observers import Observer, Steps, Values
from lecture_utils.environment import CourseError
from lecture_utils.instructor.authoring.trees import Edit, edit_of, made

Cases = list[dict[str, Any]]


@dataclass(frozen=True)
class Slip:
    """One thing that people do wrong, and what to tell who did it.

    ``message`` goes on after "This looks like:"; it explains the idea and does not spell out the line. ``credit`` is the
    share of the points, 0 to 1. What is done is an ``edit`` of the reference, or a ``function`` of its own.
    """

    name: str
    message: str
    credit: float = 0.0
    edit: Edit | None = None
    function: Callable | None = None
    tree: ast.Module | None = None  # of ``function``: other slips may be made in it

    def __post_init__(self) -> None:
        if not 0 <= self.credit < 1:
            raise CourseError(f"{self.name}: credit must be in [0, 1), got {self.credit}")


@dataclass
class Exercise:
    """One graded function, class, or tuple of functions; ``exercise`` makes it.

    ``rtol`` is relative to the largest number of a step. ``uses`` names exercises that an answer may call, ``off`` the
    generic slips that are not told, by the beginnings of their phrases; ``words`` rewords them; ``equivalents`` are those
    that change nothing, with the reason.
    """

    name: str
    notebook: str
    points: int
    observer: Observer
    reference: Any
    rtol: float = 1e-6
    uses: tuple[str, ...] = ()
    slips: list[Slip] = field(default_factory=list)
    draw: Callable[[Random], Cases] | None = None
    off: set[str] = field(default_factory=set)
    words: dict[str, str] = field(default_factory=dict)
    equivalents: dict[str, str] = field(default_factory=dict)
    question: Any = None  # the record behind it, of a question of the midterm practice
    file: str = ""
    folder: Path = Path()  # of the rubrics
    source: str = ""  # of a reference that is made from text
    namespace: dict[str, Any] = field(default_factory=dict, repr=False)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.reference(*args, **kwargs)

    def slip(self, name: str, before: str, after: str, message: str, *, credit: float = 0.0, also: dict | None = None):
        """People write ``after`` where the reference has ``before``: an expression, or whole lines ("" drops them).

        ``also`` are further changes of the same slip, {before: after}. Raises ``CourseError`` unless each fits just once.
        """
        edit: Edit = {}
        for old, new in {before: after, **(also or {})}.items():
            try:
                edit |= edit_of(self.tree, old, new)
            except ValueError as error:
                raise CourseError(f"{self.file}: the slip {name} of {self.name}: {error}") from None
        self._add(Slip(name, message, credit, edit=edit))

    def mistake(self, answer: Any = None, *, name: str = "", credit: float = 0.0, message: str = "") -> Any:
        """Decorates a whole wrong answer. Its name is the mistake's, its docstring the message, if none is given.

        Called with an answer, it also takes a lambda, a class, or a tuple of functions.
        """
        if answer is None:
            return lambda f: self.mistake(f, name=name, credit=credit, message=message)
        functions = answer if isinstance(answer, tuple) else (answer,)
        name = name or functions[-1].__name__
        text = message or " ".join((functions[-1].__doc__ or "").split())
        if not text:
            raise CourseError(f"{self.file}: the mistake {name} of {self.name} needs a docstring or a message.")
        self._add(Slip(name, text, credit, function=answer, tree=_tree_of(functions, self.file)))
        return answer

    def cases(self, draw: Callable[[Random], Cases]) -> Callable:
        """Decorates the function that draws cases: public ones from a fixed seed, hidden ones from a secret."""
        self.draw = draw
        return draw

    def switch_off(self, *beginnings: str) -> None:
        """Generic slips whose phrases begin so are not told."""
        self.off |= set(beginnings)

    def reword(self, phrase: str, message: str) -> None:
        """Tell a generic slip in other words."""
        self.words[phrase] = message

    def equivalent(self, phrase: str, why: str) -> None:
        """A generic slip that changes nothing, whatever the cases. The build stops at any other that no case tells."""
        self.equivalents[phrase] = why

    @cached_property
    def functions(self) -> tuple:
        return self.reference if isinstance(self.reference, tuple) else (self.reference,)

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree of the reference; comments at the ends of its lines name what they make."""
        tree = ast.parse(self.source) if self.source else _tree_of(self.functions, self.file)
        if tree is None:
            raise CourseError(f"{self.file}: {self.name} has no reference in the form of a function to be changed.")
        return tree

    def changed(self, edit: Edit, tree: ast.Module | None = None) -> Any:
        """The reference, or another tree, with a change made in it: an answer to be observed."""
        return made(tree or self.tree, edit, self.namespace, [f.__name__ for f in self.functions])

    def answer(self, slip: Slip) -> Any:
        """Who makes this slip writes this."""
        return slip.function if slip.edit is None else self.changed(slip.edit)

    def _add(self, slip: Slip) -> None:
        if slip.name in {s.name for s in self.slips}:
            raise CourseError(f"{self.file}: {self.name} has two slips called {slip.name}.")
        self.slips.append(slip)


def exercise(
    notebook: str,
    points: int,
    *,
    returns: str | None = None,
    observer: Observer | None = None,
    together_with: Sequence[Callable] = (),
    rtol: float | None = None,
    uses: str = "",
) -> Callable[[Any], Exercise]:
    """Decorates the reference. Its name is the exercise's, its parameters are what students get.

    ``returns`` names the results of an update rule; any other function has an ``observer``, which is ``Values()`` if none
    is given. ``together_with`` are further functions of the same answer. ``rtol`` is 1e-5 for update rules, else 1e-6.
    """

    def decorate(reference: Any) -> Exercise:
        frame = sys._getframe(1)
        chosen = observer or (Steps(returns=tuple(returns.split())) if returns else Values())
        if not isinstance(reference, type) and not together_with:
            chosen = replace(chosen, arguments=tuple(inspect.signature(reference).parameters))
        return Exercise(
            reference.__name__,
            notebook,
            points,
            chosen,
            (reference, *together_with) if together_with else reference,
            rtol or (1e-5 if returns else 1e-6),
            tuple(uses.split()),
            file=Path(frame.f_code.co_filename).name,
            namespace=frame.f_globals,
        )

    return decorate


def _tree_of(functions: Sequence[Any], file: str) -> ast.Module | None:
    """The definitions of ``functions`` as written, without decorators of ours; None where the text alone does not make them."""
    body = []
    for function in functions:
        if getattr(function, "__closure__", None):
            return None  # what it remembers is not in its text
        try:
            text = inspect.getsource(function)
        except (OSError, TypeError):
            return None
        lines = inspect.cleandoc("\n" + text).splitlines()
        try:
            tree = ast.parse("\n".join(lines))
        except SyntaxError:
            return None  # a lambda in the middle of an expression
        if not isinstance(tree.body[0], (ast.FunctionDef, ast.ClassDef)):
            return None
        _note_comments(tree, lines)
        tree.body[0].decorator_list = []
        body.append(tree.body[0])
    return ast.Module(body, [])


def _note_comments(tree: ast.Module, lines: list[str]) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            comment = re.search(r"  # (.+)$", lines[node.lineno - 1])
            node.comment = comment[1] if comment else ""
