"""What people change in sums, products, fractions and powers."""

from __future__ import annotations

import ast

from lecture_utils.instructor.authoring.slips.places import (
    Place,
    Told,
    as_code,
    as_term,
    binary,
    expr,
    is_number,
    is_op,
    made_name,
)


def sums(node: ast.BinOp, place: Place) -> Told:
    a, b, where = node.left, node.right, place.where
    if isinstance(node.op, ast.Add):
        yield f"the sign of {as_term(b)} is wrong {where}.", {id(node): binary(a, ast.Sub, b)}
        yield f"the sign of {as_term(a)} is wrong {where}.", {id(node): binary(b, ast.Sub, a)}
        yield f"{as_term(b)} is missing {where}.", {id(node): a}
        yield f"{as_term(a)} is missing {where}.", {id(node): b}
        if is_op(a, ast.Mult) and is_op(b, ast.Mult):
            yield (
                f"the two weights are exchanged {where}.",
                {id(node): binary(binary(b.left, ast.Mult, a.right), ast.Add, binary(a.left, ast.Mult, b.right))},
            )
            yield f"both weights are missing {where}.", {id(node): binary(a.right, ast.Add, b.right)}
            yield (
                f"one weight stands on everything {where}.",
                {id(node): binary(a.left, ast.Mult, binary(a.right, ast.Add, b.right))},
            )
    elif isinstance(node.op, ast.Sub):
        yield f"the sign of {as_term(b)} is wrong {where}.", {id(node): binary(a, ast.Add, b)}
        yield f"{as_term(b)} is missing {where}.", {id(node): a}
        yield f"{as_term(a)} is missing {where}.", {id(node): b}
        yield f"only {as_term(b)} is left, with its minus, {where}.", {id(node): ast.UnaryOp(ast.USub(), b)}
        yield f"the difference is the wrong way round {where}.", {id(node): binary(b, ast.Sub, a)}
        yield from _brackets_too_many(node, place)
        if is_op(b, ast.Pow):
            yield (
                f"the power is taken of the whole difference {where}.",
                {id(node): binary(binary(a, ast.Sub, b.left), ast.Pow, b.right)},
            )
        if is_op(b, ast.Div) and is_op(b.right, ast.Add):
            moved = binary(binary(a, ast.Sub, binary(b.left, ast.Div, b.right.left)), ast.Add, b.right.right)
            yield f"brackets below the fraction line are missing {where}.", {id(node): moved}
    if getattr(place.statement, "value", None) is node and made_name(place.statement) in place.parameters:
        yield from _factors_too_many(node, place)


def _brackets_too_many(node: ast.BinOp, place: Place) -> Told:
    a, b = node.left, node.right
    if is_op(b, ast.Mult):
        for one, other in ((b.left, b.right), (b.right, b.left)):
            wrong = binary(one, ast.Mult, binary(a, type(node.op), other))
            yield f"{as_code(one)} multiplies too much {place.where}: brackets.", {id(node): wrong}


def _factors_too_many(node: ast.BinOp, place: Place) -> Told:
    """A hyperparameter of the line, or what it leaves of 1, on a term where it does not belong."""
    here = [r for r in place.rates if r in {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}]
    state = made_name(place.statement) not in place.counts
    for term, other, left in ((node.left, node.right, True), (node.right, node.left, False)):
        for name in dict.fromkeys([*here, *(r for r in place.rates if r in ("lr", "alpha"))]) if state else ():
            for factor in (name, f"1 - {name}")[: 1 if name == "lr" else 2]:
                scaled = binary(expr(factor), ast.Mult, term)
                new = binary(scaled, type(node.op), other) if left else binary(other, type(node.op), scaled)
                yield f"`{factor}` multiplies {as_term(term)}, too, {place.where}.", {id(node): new}


def products(node: ast.BinOp, place: Place) -> Told:
    if isinstance(node.op, ast.Mult):
        yield from _of_a_product(node, place)
    elif isinstance(node.op, ast.Div):
        yield from _of_a_quotient(node, place)
    elif isinstance(node.op, ast.FloorDiv):
        rounded = {id(node): binary(node.left, ast.Div, node.right)}
        yield f"the division does not round down {place.where}.", rounded


def _of_a_product(node: ast.BinOp, place: Place) -> Told:
    a, b, where = node.left, node.right, place.where
    if isinstance(a, ast.UnaryOp) and isinstance(a.op, ast.USub):  # -k * t is (-k) * t
        yield f"{as_code(a.operand)} is missing as a factor {where}.", {id(node): ast.UnaryOp(ast.USub(), b)}
    else:
        yield f"{as_code(a)} is missing as a factor {where}.", {id(node): b}
    yield f"{as_code(b)} is missing as a factor {where}.", {id(node): a}
    yield f"a quotient stands where a product belongs {where}.", {id(node): binary(a, ast.Div, b)}
    yield f"a quotient stands where a product belongs, upside down, {where}.", {id(node): binary(b, ast.Div, a)}
    yield f"a sum stands where a product belongs {where}.", {id(node): binary(a, ast.Add, b)}
    yield f"a power stands where a product belongs {where}.", {id(node): binary(a, ast.Pow, b)}
    yield f"a difference stands where a product belongs {where}.", {id(node): binary(a, ast.Sub, b)}
    if isinstance(a, ast.Name):
        yield f"{as_code(a)} is applied twice {where}.", {id(node): binary(a, ast.Mult, node)}
    if is_op(b, (ast.Add, ast.Sub)):
        inner = binary(binary(a, ast.Mult, b.left), type(b.op), b.right)
        yield f"brackets are missing {where}.", {id(node): inner}
        if is_number(b.left, 1):
            yield f"a fixed amount is taken away, not a share, {where}.", {id(node): binary(a, ast.Sub, b.right)}
    if is_op(a, (ast.Add, ast.Sub)):
        inner = binary(a.left, type(a.op), binary(a.right, ast.Mult, b))
        yield f"brackets are missing {where}.", {id(node): inner}


def _of_a_quotient(node: ast.BinOp, place: Place) -> Told:
    a, b, where = node.left, node.right, place.where
    yield f"nothing is divided by {as_code(b)} {where}.", {id(node): a}
    if not is_number(a, 1):
        yield f"{as_code(a)} is missing above the fraction line {where}.", {id(node): binary(expr("1"), ast.Div, b)}
    yield f"a product stands where a quotient belongs {where}.", {id(node): binary(a, ast.Mult, b)}
    yield f"a fraction is upside down {where}.", {id(node): binary(b, ast.Div, a)}
    yield f"a difference stands where a quotient belongs {where}.", {id(node): binary(a, ast.Sub, b)}
    yield f"a root is taken of the fraction {where}.", {id(node): binary(node, ast.Pow, expr("0.5"))}
    yield f"the fraction is squared {where}.", {id(node): binary(node, ast.Pow, expr("2"))}
    if isinstance(b, ast.Name) and b.id in place.counts:
        loose = binary(node, ast.Sub, expr("1"))
        yield f"a 1 is taken away after the division {where}.", {id(node): loose}
    if is_op(a, (ast.Add, ast.Sub)):
        inner = binary(a.left, type(a.op), binary(a.right, ast.Div, b))
        yield f"brackets above the fraction line are missing {where}.", {id(node): inner}
    if isinstance(b, ast.BinOp) and not isinstance(b.op, ast.Pow):
        inner = binary(binary(a, ast.Div, b.left), type(b.op), b.right)
        yield f"brackets below the fraction line are missing {where}.", {id(node): inner}


def powers(node: ast.BinOp, place: Place) -> Told:
    if not isinstance(node.op, ast.Pow):
        return
    a, b, where = node.left, node.right, place.where
    what = "square" if is_number(b, 2) else "root" if is_number(b, 0.5) else "power"
    yield f"the {what} of {as_code(a)} is missing {where}.", {id(node): a}
    if what == "square" and made_name(place.statement) in place.parameters:
        one = ast.Call(ast.Attribute(node, "mean", ast.Load()), [], [])
        yield f"one mean of all squares stands where each has its own {where}.", {id(node): one}
    if what == "square":
        yield (
            f"the size of {as_code(a)} stands where its square belongs {where}.",
            {id(node): ast.Call(expr("abs"), [a], [])},
        )
        yield f"twice {as_code(a)} stands where its square belongs {where}.", {id(node): binary(b, ast.Mult, a)}
        return
    if what == "root":
        yield (
            f"half stands where a root belongs: a power comes before a division, {where}.",
            {id(node): binary(a, ast.Div, expr("2"))},
        )
        return
    yield f"a product stands where a power belongs {where}.", {id(node): binary(a, ast.Mult, b)}
    yield f"base and exponent are exchanged {where}.", {id(node): binary(b, ast.Pow, a)}
    of_e = binary(expr("2.718281828459045"), ast.Pow, ast.UnaryOp(ast.USub(), binary(a, ast.Mult, b)))
    yield f"e to the power of a product stands where another power belongs {where}.", {id(node): of_e}
    yield f"the exponent is one too large {where}.", {id(node): binary(a, ast.Pow, binary(b, ast.Add, expr("1")))}
    yield f"the exponent is one too small {where}.", {id(node): binary(a, ast.Pow, binary(b, ast.Sub, expr("1")))}
    yield f"the sign of the exponent is wrong {where}.", {id(node): binary(a, ast.Pow, ast.UnaryOp(ast.USub(), b))}


def signs(node: ast.UnaryOp, place: Place) -> Told:
    if isinstance(node.op, ast.USub) and not is_number(node.operand):
        yield f"a minus is missing {place.where}.", {id(node): node.operand}
    if isinstance(node.op, (ast.Not, ast.Invert)):
        yield f"yes and no are exchanged {place.where}.", {id(node): node.operand}
