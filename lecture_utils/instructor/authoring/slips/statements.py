"""What people do with whole lines: leave them out, exchange them, hand back something else, go on from the old value."""

from __future__ import annotations

import ast
import copy
from itertools import pairwise

from lecture_utils.instructor.authoring.slips.names import constants_for
from lecture_utils.instructor.authoring.slips.places import (
    GRADIENTS,
    Place,
    Told,
    as_code,
    binary,
    expr,
    label,
    locals_of,
    made_by,
    made_name,
    own_statements,
)


def lines_left_out(statement: ast.stmt, place: Place) -> Told:
    if isinstance(statement, (ast.Return, ast.Raise)):
        return
    what = place.where.removeprefix("in ")
    if isinstance(statement, (ast.If, ast.For, ast.While)):
        what = "the loop" if isinstance(statement, (ast.For, ast.While)) else "the condition with what depends on it"
    if not isinstance(statement, ast.Assign) or made_name(statement) in place.parameters:
        yield f"{what} is left out.", {id(statement): []}


def reused(statement: ast.stmt, place: Place) -> Told:
    """The old value of an argument after it was made anew; a local value passed over for what it was made from."""
    name = made_name(statement)
    later = _later_uses(place.function, statement, name) if name else []
    if not later:
        return
    at_end = (
        set(map(id, ast.walk(place.function.body[-1]))) if isinstance(place.function.body[-1], ast.Return) else set()
    )
    if name in place.parameters:
        keep = ast.parse(f"old_{name} = {name}").body
        head = place.function.body[0]
        first = {id(statement): [*keep, statement]} if head is statement else {id(head): [*keep, head]}
        old = ast.Name(f"old_{name}", ast.Load())
        for what, chosen in (
            (f"the `{name}` that came in is returned, not the new one.", [n for n in later if id(n) in at_end]),
            (
                f"the `{name}` that came in is used where the new one belongs.",
                [n for n in later if id(n) not in at_end],
            ),
        ):
            if chosen:
                yield what, first | {id(n): old for n in chosen}
        if isinstance(statement, ast.Assign) and len(later) == len([n for n in later if id(n) in at_end]):
            return
    for source in _sources(statement, name, place):
        for n in later:
            if id(n) not in at_end:
                yield f"`{source}` is used where {made_by(statement)} belongs.", {id(n): expr(source)}


def accumulated(statement: ast.stmt, place: Place) -> Told:
    """x += … where x = … belongs."""
    name = made_name(statement)
    if name in place.parameters and isinstance(statement, ast.Assign) and name not in place.counts:
        more = ast.Assign(statement.targets, binary(expr(name), ast.Add, statement.value))
        yield f"the new `{name}` is added to the old one.", {id(statement): [ast.copy_location(more, statement)]}


def order(statement: ast.stmt, place: Place) -> Told:
    simple = (ast.Assign, ast.AugAssign, ast.Expr)
    for block in _blocks_of(place.function):
        for one, two in pairwise(block):
            if one is statement and isinstance(one, simple) and isinstance(two, simple) and _depend(one, two):
                # Copies: each stands in the other's place, and their parts can be changed, too.
                exchanged = {id(one): [copy.copy(two)], id(two): [copy.copy(one)]}
                yield f"{made_by(one)} comes after {made_by(two)}, and it should come before.", exchanged


def _depend(one: ast.stmt, two: ast.stmt) -> bool:
    """Whether the order of two lines can matter."""
    if isinstance(one, ast.Expr) or isinstance(two, ast.Expr):
        return True  # called for what it does
    made = [{n.id for n in ast.walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)} for s in (one, two)]
    used = [{n.id for n in ast.walk(s) if isinstance(n, ast.Name)} for s in (one, two)]
    simple = all(made)  # a part of something else is made
    return not simple or bool(made[0] & used[1] or made[1] & used[0])


def returned(statement: ast.stmt, place: Place) -> Told:
    if not isinstance(statement, ast.Return) or statement.value is None:
        return
    if isinstance(statement.value, ast.Tuple):
        parts = statement.value.elts
        for i, one in enumerate(parts):
            for k in range(i + 1, len(parts)):
                swapped = list(parts)
                swapped[i], swapped[k] = parts[k], one
                yield (
                    f"{as_code(one)} and {as_code(parts[k])} are exchanged in what is returned.",
                    {id(statement.value): ast.Tuple(swapped, ast.Load())},
                )
            for local in [m for m in locals_of(place) if m != ast.unparse(one) and label(m, place) == f"`{m}`"]:
                yield f"`{local}` is returned in place of {as_code(one)}.", {id(one): ast.Name(local, ast.Load())}
            for given in (g for g in GRADIENTS if g in place.parameters):
                yield f"`{given}` is returned in place of {as_code(one)}.", {id(one): expr(given)}
    else:
        for local in locals_of(place):
            if local == ast.unparse(statement.value):
                continue
            yield (
                f"{label(local, place)} is returned, not what is made of it.",
                {id(statement.value): ast.Name(local, ast.Load())},
            )


def whole_results(statement: ast.stmt, place: Place) -> Told:
    """Told only where nothing inside of the line is: the whole with another sign, or with a factor."""
    if isinstance(statement, ast.Return) and statement.value is not None and not isinstance(statement.value, ast.Tuple):
        whole = statement.value.body if isinstance(statement.value, ast.Lambda) else statement.value
        yield "what it leaves of 1 is returned.", {id(whole): binary(expr("1"), ast.Sub, whole)}
        yield "it is returned with the opposite sign.", {id(whole): ast.UnaryOp(ast.USub(), whole)}
        factors = [p for p in place.parameters if p in place.known.numbers] if isinstance(whole, ast.Name) else []
        for factor in (f for p in factors if p != whole.id for f in (p, f"1 - {p}")):
            yield f"a factor `{factor}` too many is returned.", {id(whole): binary(whole, ast.Mult, expr(factor))}
            yield f"it is divided by `{factor}` and returned.", {id(whole): binary(whole, ast.Div, expr(factor))}
    name = made_name(statement)
    if isinstance(statement, ast.Assign) and name in place.parameters and "grad" in place.parameters:
        plain, said = "grad", f"`{name}` is the gradient of this step, no more."
        if name == "w":
            plain, said = "w - lr * grad", "`w` makes a step of plain gradient descent."
        if name not in place.counts and plain not in ast.unparse(statement):
            yield said, {id(statement.value): expr(plain)}


def early_returns(statement: ast.stmt, place: Place) -> Told:
    """A return inside of the loop that should go on."""
    last = place.function.body[-1]
    if isinstance(statement, (ast.For, ast.While)) and isinstance(last, ast.Return):
        body = [*statement.body, last]
        loop = ast.For(statement.target, statement.iter, body, []) if isinstance(statement, ast.For) else None
        if loop:
            yield "`return` stands inside the loop, which ends with the first round.", {id(statement): [loop]}


def constants(statement: ast.stmt, place: Place) -> Told:
    """A number of one's own in place of an argument, everywhere; two arguments exchanged everywhere."""
    if statement is not place.function.body[-1]:
        return  # once for each function
    uses: dict[str, list[ast.Name]] = {}
    for node in ast.walk(place.function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            uses.setdefault(node.id, []).append(node)
    assigned = {n.id for n in ast.walk(place.function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    for name in place.parameters:
        for value in constants_for(name, place):
            yield (
                f"the number {value:g} is used in place of `{name}`.",
                {id(n): ast.Constant(value) for n in uses.get(name, ())},
            )
        for other in place.parameters[place.parameters.index(name) + 1 :]:
            if (other[:4] == name[:4] or len(place.parameters) <= 3) and not {name, other} & assigned:
                edit = {id(n): expr(other) for n in uses.get(name, ())}
                edit |= {id(n): expr(name) for n in uses.get(other, ())}
                yield f"`{name}` and `{other}` are exchanged everywhere.", edit


def _later_uses(function: ast.FunctionDef, statement: ast.stmt, name: str) -> list[ast.Name]:
    inside = set(map(id, ast.walk(statement)))
    end = statement.end_lineno or statement.lineno
    return [
        n
        for n in ast.walk(function)
        if isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Load)
        and id(n) not in inside and getattr(n, "lineno", 0) > end
    ]  # fmt: skip


def _sources(statement: ast.stmt, name: str, place: Place) -> list[str]:
    """What a local value is made from: its first two names, and the gradient."""
    if name in place.parameters and "grad" not in place.parameters:
        return []
    called = {id(n.func) for n in ast.walk(statement) if isinstance(n, ast.Call)}
    found = [
        n.id
        for n in ast.walk(statement)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and id(n) not in called
    ]
    rates = place.rates if name in place.parameters else []
    kept = [f for f in dict.fromkeys(found) if f not in ("torch", "math", name, *rates)][:2]
    return kept if name not in place.parameters else [k for k in kept if k == "grad"]


def _blocks_of(function: ast.FunctionDef) -> list[list[ast.stmt]]:
    nodes = [function, *(s for s in own_statements(function.body))]
    return [getattr(n, name) for n in nodes for name in ("body", "orelse") if getattr(n, name, None)]
