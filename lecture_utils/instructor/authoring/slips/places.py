"""Finding one's way in a reference: its lines, what is known of them, and how they are called in words."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from lecture_utils.instructor.authoring.trees import Edit

# What people write in place of an argument.
USUAL = {
    "alpha": (0.9,), "beta": (0.9,), "beta1": (0.9,), "beta2": (0.999,), "eps": (1e-8,), "lr": (0.01, 0.1, 0.001),
    "momentum": (0.9,), "dampening": (0.0,), "weight_decay": (0.01,),
}  # fmt: skip
GRADIENTS = ("grad", "last_grad")
COUNTS = set("t epoch epochs step steps n batch_size warmup_steps total_steps".split())
Told = Iterator[tuple[str, Edit]]  # what a student is told, and the change


@dataclass(frozen=True)
class Arguments:
    """What is known of an exercise's arguments: those that are ``numbers``, those that are whole numbers (``counts``).

    ``constants`` are values that variables of the same name have in the notebook.
    """

    numbers: frozenset[str] = frozenset()
    counts: frozenset[str] = frozenset()
    constants: dict[str, tuple[float, ...]] = field(hash=False, default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where an operator looks: in which function, in which statement of it, and what is known there."""

    function: ast.FunctionDef
    statement: ast.stmt
    where: str
    parameters: tuple[str, ...]
    known: Arguments
    squared: frozenset[int]  # ids of names of which only the square counts

    @property
    def counts(self) -> frozenset[str]:
        return self.known.counts | COUNTS

    @property
    def rates(self) -> list[str]:
        """The hyperparameters: arguments that multiply."""
        return [p for p in self.parameters if p in USUAL and p != "eps"]


def places_in(tree: ast.Module, known: Arguments) -> Iterator[Place]:
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    for function in functions:
        around = [f for f in functions if function in ast.walk(f)]  # itself, and what it is defined in
        arguments = tuple(dict.fromkeys(a.arg for f in around for a in f.args.args if a.arg != "self"))
        squared = frozenset(id(n.left) for n in ast.walk(function) if is_op(n, ast.Pow) and is_number(n.right, 2))
        for statement in own_statements(function.body):
            where = line_of(statement)
            yield Place(function, statement, where, arguments, known, squared)


def own_statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            continue  # has places of its own
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue  # a docstring
        yield statement
        for name in ("body", "orelse"):
            yield from own_statements(getattr(statement, name, []))


def expressions_of(statement: ast.stmt) -> Iterator[ast.expr]:
    """The expressions of a statement, outermost first, without those of statements inside of it."""
    todo: list[Any] = [statement]
    while todo:
        node = todo.pop(0)
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, ast.stmt):
                todo.append(child)
                if isinstance(child, ast.expr):
                    yield child


def line_of(statement: ast.stmt) -> str:
    if comment := getattr(statement, "comment", ""):
        return f"in the line that makes {comment}"
    if isinstance(statement, (ast.Assign, ast.AugAssign)):
        target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
        return f"in the line that makes {as_code(target)}"
    if isinstance(statement, ast.Return):
        return "in what is returned"
    if isinstance(statement, (ast.If, ast.While)):
        return "in the condition"
    if isinstance(statement, ast.For):
        return "in the head of the loop"
    if isinstance(statement, ast.Raise):
        return "in the error"
    called = statement.value.func if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call) else None
    name = getattr(called, "attr", getattr(called, "id", ""))
    return f"in the line that calls `{name}`" if name else "in a line of its own"


def as_code(node: ast.AST | str) -> str:
    """Short code as it is, in backticks; of anything longer the names that are in it."""
    text = node if isinstance(node, str) else ast.unparse(node)
    if isinstance(node, (str, ast.Name, ast.Constant)) or len(text) <= 4:
        return f"`{text}`"
    names = list(
        dict.fromkeys(n.id for n in ast.walk(node) if isinstance(n, ast.Name) and n.id not in ("torch", "math"))
    )
    if not names:
        return f"`{text}`"
    return f"the part with {' and '.join(f'`{n}`' for n in names[:2])}"


def as_term(node: ast.AST) -> str:
    return as_code(node).replace("the part with", "the term with")


def binary(left: ast.expr, op: type[ast.operator], right: ast.expr) -> ast.BinOp:
    return ast.BinOp(left, op(), right)


def expr(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def is_op(node: ast.AST, op: type[ast.operator] | tuple) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, op)


def is_number(node: ast.AST, value: float | None = None) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) in (int, float) and value in (None, node.value)


def made_name(statement: ast.stmt) -> str:
    target = getattr(statement, "target", None) or (getattr(statement, "targets", None) or [None])[0]
    simple = isinstance(statement, (ast.Assign, ast.AugAssign)) and isinstance(target, ast.Name)
    return target.id if simple else ""


def made_by(statement: ast.stmt) -> str:
    return line_of(statement).removeprefix("in the line that makes ").removeprefix("in ")


def label(local: str, place: Place) -> str:
    """A local value as the comment of its line calls it."""
    comments = [
        s.comment for s in own_statements(place.function.body) if made_name(s) == local and getattr(s, "comment", "")
    ]
    return comments[0] if comments and local not in place.parameters else f"`{local}`"


def locals_of(place: Place) -> list[str]:
    made_here = [made_name(s) for s in own_statements(place.function.body)]
    return [m for m in dict.fromkeys(made_here) if m]
