"""What people change where a function is called: the function, what it is called on, and what stands inside."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from lecture_utils.instructor.authoring.slips.places import Place, Told, as_code, binary, expr, is_number

MODULES = ("torch", "math", "np", "F")
ROOTS = {"sqrt"}
KEPT = set("item clone detach range len isinstance step zeros_like add_param_group".split())  # nobody leaves these out
EXCHANGED = {
    "max": ("min", "mean"), "min": ("max", "mean"), "ceil": ("floor", "trunc"), "floor": ("ceil",), "sum": ("mean",),
    "mean": ("sum",), "log": ("log10", "log2", "exp", "sqrt"), "exp": ("log",), "sqrt": ("log",), "cos": ("sin",),
    "argmin": ("argmax",), "round": ("int",), "any": ("all",), "all": ("any",), "square": ("abs",),
    "zeros_like": ("ones_like",), "zeros": ("ones",),
}  # fmt: skip


@dataclass(frozen=True)
class Called:
    """A call, taken apart: the function's name, and what it is taken of (None where that is not one thing)."""

    name: str
    inner: ast.expr | None
    is_method: bool

    @classmethod
    def of(cls, node: ast.Call) -> Called:
        attribute = isinstance(node.func, ast.Attribute)
        of_module = attribute and isinstance(node.func.value, ast.Name) and node.func.value.id in MODULES
        inner = node.func.value if attribute and not of_module else node.args[0] if node.args else None
        name = node.func.attr if attribute else getattr(node.func, "id", "")
        return cls(name, inner, attribute and not of_module)


def other_functions(node: ast.Call, place: Place) -> Told:
    """The function left out, or another one in its place."""
    call, where = Called.of(node), place.where
    if call.inner is not None and call.name not in KEPT:
        said = "the root" if call.name in ROOTS else f"`{call.name}`"
        yield f"{said} is missing {where}.", {id(node): call.inner}
    for other in EXCHANGED.get(call.name, ()):
        if other == "int" or not isinstance(node.func, ast.Attribute):
            new: ast.expr = ast.Name(other, ast.Load())
        else:
            new = ast.Attribute(node.func.value, other, ast.Load())
        changed = ast.Call(new, node.args, node.keywords)
        yield f"`{other}` stands where another function belongs {where}.", {id(node): changed}
    if call.name in ROOTS and call.inner is not None:
        yield f"a square stands where a root belongs {where}.", {id(node): binary(call.inner, ast.Pow, expr("2"))}
        yield f"the root is taken twice {where}.", {id(node): binary(node, ast.Pow, expr("0.5"))}
    squares = node.func.value if call.is_method and call.name == "sum" and not node.args else None
    if isinstance(squares, ast.Call) and Called.of(squares).name == "square":
        length = ast.Call(ast.Attribute(Called.of(squares).inner, "norm", ast.Load()), [], [])
        yield f"a length stands where its square belongs {where}.", {id(node): length}
    if call.name == "long" and call.inner is not None:
        for way, said in (("ceil", "up"), ("round", "to the nearest")):
            rounded = ast.Call(ast.Attribute(call.inner, way, ast.Load()), [], [])
            yield f"it is rounded {said}, not cut off, {where}.", {id(node): _applied(node, rounded)}


def exponentials(node: ast.Call, place: Place) -> Told:
    """What looks like e to a power, and is not."""
    call, where = Called.of(node), place.where
    if call.name != "exp" or call.inner is None:
        return
    for base in ("2", "10"):
        yield (
            f"a power of {base} stands where one of e belongs {where}.",
            {id(node): binary(expr(base), ast.Pow, call.inner)},
        )
    line = binary(expr("1"), ast.Add, call.inner)
    yield f"a straight line stands where a power of e belongs {where}.", {id(node): line}
    over = binary(expr("1"), ast.Div, binary(expr("1"), ast.Sub, call.inner))
    yield f"1 over 1 plus something stands where a power of e belongs {where}.", {id(node): over}


def arguments_of_calls(node: ast.Call, place: Place) -> Told:
    """A keyword that is not given, another dimension, two cases exchanged."""
    call, where = Called.of(node), place.where
    for k, keyword in enumerate(node.keywords):
        rest = node.keywords[:k] + node.keywords[k + 1 :]
        yield f"`{keyword.arg}` is not given {where}.", {id(node): ast.Call(node.func, node.args, rest)}
    if call.is_method and node.args:
        yield f"`{call.name}` is taken of everything {where}.", {id(node): ast.Call(node.func, [], node.keywords)}
        if len(node.args) == 1 and is_number(node.args[0]) and node.args[0].value in (0, 1):
            turned = ast.Call(node.func, [ast.Constant(1 - node.args[0].value)], node.keywords)
            yield f"`{call.name}` goes along the other dimension {where}.", {id(node): turned}
    if call.name == "where" and len(node.args) == 3:
        first, second, third = node.args
        yield f"the two cases are exchanged {where}.", {id(node): ast.Call(node.func, [first, third, second], [])}
    if call.name == "grad_fn" and node.args and not isinstance(node.args[0], ast.Name):
        yield "the gradient is taken at `w`.", {id(node): ast.Call(node.func, [expr("w")], [])}
        behind = binary(expr("2 * w"), ast.Sub, node.args[0])
        yield "the gradient is taken on the other side of `w`.", {id(node): ast.Call(node.func, [behind], [])}
    if call.name == "range":
        yield (
            f"the loop begins one too late {where}.",
            {id(node): ast.Call(node.func, _shifted(node.args, 1, False), [])},
        )
        yield (
            f"the loop ends one too early {where}.",
            {id(node): ast.Call(node.func, _shifted(node.args, -1, True), [])},
        )
        yield f"the loop ends one too late {where}.", {id(node): ast.Call(node.func, _shifted(node.args, 1, True), [])}


def insides(node: ast.Call, place: Place) -> Told:
    """A part of what a function is taken of, moved outside of it."""
    call, where = Called.of(node), place.where
    inner, name = call.inner, call.name
    if inner is None or len(node.args) > 1:
        return
    if isinstance(inner, ast.BinOp) and isinstance(inner.op, (ast.Add, ast.Sub, ast.Div)):
        each = [_applied(node, part) for part in (inner.left, inner.right)]
        yield f"`{name}` is taken of each part by itself {where}.", {id(node): binary(each[0], type(inner.op), each[1])}
    if isinstance(inner, ast.BinOp) and isinstance(inner.op, (ast.Mult, ast.Div)):
        first, second = _applied(node, inner.left), _applied(node, inner.right)
        moved = {id(node): binary(first, type(inner.op), inner.right)}
        yield f"{as_code(inner.right)} stands outside of `{name}` {where}.", moved
        if isinstance(inner.op, ast.Mult):
            yield (
                f"{as_code(inner.left)} stands outside of `{name}` {where}.",
                {id(node): binary(inner.left, ast.Mult, second)},
            )
    minus = inner.left if isinstance(inner, ast.BinOp) else inner
    if isinstance(minus, ast.UnaryOp) and isinstance(minus.op, ast.USub):
        plain = minus.operand if minus is inner else binary(minus.operand, type(inner.op), inner.right)
        yield (
            f"the minus stands outside of `{name}` {where}.",
            {id(node): ast.UnaryOp(ast.USub(), _applied(node, plain))},
        )


def _applied(call: ast.Call, inner: ast.expr) -> ast.Call:
    """The same call of something else."""
    if call.args:
        return ast.Call(call.func, [inner, *call.args[1:]], call.keywords)
    return ast.Call(ast.Attribute(inner, call.func.attr, ast.Load()), [], call.keywords)


def inside_of_calls(node: ast.BinOp, place: Place) -> Told:
    """f(x) · y with y inside: f(x · y)."""
    for call, other, first in ((node.left, node.right, True), (node.right, node.left, False)):
        plain = isinstance(call, ast.Call) and len(call.args) == 1 and not call.keywords
        if plain and isinstance(node.op, (ast.Mult, ast.Div)) and isinstance(other, ast.Name):
            inner = binary(call.args[0], type(node.op), other) if first else binary(other, type(node.op), call.args[0])
            name = ast.unparse(call.func).rpartition(".")[2]
            yield f"{as_code(other)} stands inside of `{name}` {place.where}.", {id(node): _applied(call, inner)}


def _shifted(args: list[ast.expr], by: int, end: bool) -> list[ast.expr]:
    """The arguments of ``range`` with its end, or else its start, moved."""
    start, stop, *rest = args if len(args) > 1 else [ast.Constant(0), *args]
    moved = binary(stop if end else start, ast.Add, ast.Constant(by))
    return [start, moved, *rest] if end else [moved, stop, *rest]


def roots_with_more(node: ast.BinOp, place: Place) -> Told:
    """√x + c with c under the root."""
    if not isinstance(node.op, ast.Add) or not isinstance(node.left, ast.Call):
        return
    call = node.left
    if isinstance(call.func, ast.Attribute) and call.func.attr in ROOTS:
        if call.args:
            inside = ast.Call(call.func, [binary(call.args[0], ast.Add, node.right)], [])
        else:
            summed = binary(call.func.value, ast.Add, node.right)
            inside = ast.Call(ast.Attribute(summed, call.func.attr, ast.Load()), [], [])
        yield f"{as_code(node.right)} stands inside the root {place.where}.", {id(node): inside}
