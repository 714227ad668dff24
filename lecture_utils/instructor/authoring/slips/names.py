"""What people write in place of a name or a number, and what they change in conditions."""

from __future__ import annotations

import ast

from lecture_utils.instructor.authoring.slips.places import (
    GRADIENTS,
    USUAL,
    Place,
    Told,
    as_code,
    binary,
    expr,
    made_name,
)

_ONE_EACH = {*GRADIENTS, "w", "grad_fn"}


def names(node: ast.Name, place: Place) -> Told:
    if not isinstance(node.ctx, ast.Load) or node.id not in place.parameters:
        return
    yield from _of_a_number(node, place)
    yield from _of_a_gradient(node, place)
    name, where = node.id, place.where
    if made_name(place.statement) in place.parameters and name not in _ONE_EACH | place.known.numbers:
        yield f"the mean of `{name}` stands in its place {where}.", {id(node): expr(f"{name}.mean()")}
    for other in place.parameters:
        kin = other[:4] == name[:4] or any({other, name} <= set(group) for group in (place.rates, GRADIENTS))
        beside = abs(place.parameters.index(other) - place.parameters.index(name)) == 1
        if other != name and (kin or (beside and len(place.parameters) <= 4)):
            yield f"`{other}` stands in place of `{name}` {where}.", {id(node): expr(other)}


def _of_a_number(node: ast.Name, place: Place) -> Told:
    name, where = node.id, place.where
    if name in place.rates or name in place.known.numbers - place.counts - {"lr", "eps"}:
        yield f"`1 - {name}` stands in place of `{name}` {where}.", {id(node): expr(f"1 - {name}")}
    if name in place.known.numbers and "w" not in place.parameters:
        for made, said in (("-{}", "the sign of `{}` is wrong"), ("{} ** 0.5", "a root is taken of `{}`"),
                           ("2 * {}", "`{}` is doubled"), ("{} / 2", "`{}` is halved")):  # fmt: skip
            if made != "-{}" or id(node) not in place.squared:
                yield f"{said.format(name)} {where}.", {id(node): expr(f"({made.format(name)})")}
    if name in place.known.numbers:
        yield f"`{name}` is squared {where}.", {id(node): binary(node, ast.Pow, expr("2"))}
    for value in constants_for(name, place):
        yield f"the number {value:g} is used in place of `{name}` {where}.", {id(node): ast.Constant(value)}
    if name in place.counts:
        yield f"`{name}` is one too large {where}.", {id(node): expr(f"({name} + 1)")}
        yield f"`{name}` is one too small {where}.", {id(node): expr(f"({name} - 1)")}
        yield f"`{name}` is one too small where it is more than 1, {where}.", {id(node): expr(f"max({name} - 1, 1)")}


def _of_a_gradient(node: ast.Name, place: Place) -> Told:
    name, where = node.id, place.where
    made_of_it = isinstance(place.statement, ast.Return) or made_name(place.statement) in place.parameters
    if name not in GRADIENTS or id(node) in place.squared or not made_of_it:
        return
    for made, said in {".abs()": "the size", ".sign()": "the sign", ".mean()": "the mean", ".norm()": "the length",
                       ".square()": "the square", f" / {name}.norm()": "the direction"}.items():  # fmt: skip
        yield f"{said} of `{name}` stands in its place {where}.", {id(node): expr(f"({name}{made})")}
    for rate in place.rates if made_name(place.statement) in place.parameters else ():
        for factor in (rate, f"1 - {rate}"):
            scaled = binary(expr(factor), ast.Mult, node)
            yield f"`{factor}` multiplies `{name}`, too, {where}.", {id(node): scaled}


def constants_for(name: str, place: Place) -> tuple[float, ...]:
    return (*USUAL.get(name, ()), *place.known.constants.get(name, ())) if name in place.known.numbers else ()


def numbers(node: ast.Constant, place: Place) -> Told:
    if type(node.value) not in (int, float):
        return
    value = node.value
    for other in (value + 1, value - 1) if isinstance(value, int) else (10 * value, value / 10, round(1 - value, 9)):
        if other != value:
            yield f"`{other:g}` stands in place of another number {place.where}.", {id(node): ast.Constant(other)}


def subscripts(node: ast.Subscript, place: Place) -> Told:
    if not isinstance(node.ctx, ast.Load):
        return
    if not isinstance(node.slice, ast.Slice):
        yield f"{as_code(node.value)} is used as a whole {place.where}.", {id(node): node.value}
        return
    lower, upper = node.slice.lower, node.slice.upper
    if upper:
        for by, said in ((1, "late"), (-1, "early")):
            moved = binary(upper, ast.Add, ast.Constant(by))
            cut = ast.Subscript(node.value, ast.Slice(lower, moved), ast.Load())
            yield f"it is cut one too {said} {place.where}.", {id(node): cut}
    if lower:
        yield (
            f"it is cut at its end only, not at its beginning, {place.where}.",
            {id(node): ast.Subscript(node.value, ast.Slice(None, upper), ast.Load())},
        )
    if upper:
        yield (
            f"it is cut at its beginning only, not at its end, {place.where}.",
            {id(node): ast.Subscript(node.value, ast.Slice(lower, None), ast.Load())},
        )


# --- operators on conditions -------------------------------------------------------------------------------------

_TURNED = {ast.Lt: ast.Gt, ast.Gt: ast.Lt, ast.LtE: ast.GtE, ast.GtE: ast.LtE, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
_TURNED |= {ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In}
_WITH_LIMIT = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}


def comparisons(node: ast.Compare, place: Place) -> Told:
    for k, op in enumerate(node.ops):
        parts = [node.left, *node.comparators]

        def with_op(new: type[ast.cmpop], k: int = k) -> ast.Compare:
            return ast.Compare(node.left, [*node.ops[:k], new(), *node.ops[k + 1 :]], node.comparators)

        if type(op) in _WITH_LIMIT:
            yield f"the limit itself falls on the wrong side {place.where}.", {id(node): with_op(_WITH_LIMIT[type(op)])}
        if type(op) in _TURNED and len(node.ops) == 1:
            yield f"the comparison is turned round {place.where}.", {id(node): with_op(_TURNED[type(op)])}
        if len(node.ops) == 2:
            one = ast.Compare(parts[k], [op], [parts[k + 1]])
            yield f"only one of the two limits is looked at {place.where}.", {id(node): one}


def conjunctions(node: ast.BoolOp, place: Place) -> Told:
    other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    yield f"“and” and “or” are exchanged {place.where}.", {id(node): ast.BoolOp(other, node.values)}
    for k in range(len(node.values)):
        rest = node.values[:k] + node.values[k + 1 :]
        left = rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
        yield f"one of the conditions is missing {place.where}.", {id(node): left}


def choices(node: ast.IfExp, place: Place) -> Told:
    yield f"the two cases are exchanged {place.where}.", {id(node): ast.IfExp(node.test, node.orelse, node.body)}
    yield f"both cases are treated as the first {place.where}.", {id(node): node.body}
    yield f"both cases are treated as the second {place.where}.", {id(node): node.orelse}
