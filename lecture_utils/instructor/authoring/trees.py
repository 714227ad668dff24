"""Changing syntax trees: an edit says what stands in the place of some nodes, and edits of other nodes go together."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

# {id of a node: what stands in its place (a node, a list of statements)}. New nodes hold old ones, not copies of them:
# so another edit may change something inside of them.
Edit = dict[int, Any]


def rebuilt(node: Any, edit: Edit) -> Any:
    """A tree with ``edit`` made in it. What is not changed is shared with the old one, which stays as it is."""
    if id(node) in edit:
        rest = {key: value for key, value in edit.items() if key != id(node)}
        new = edit[id(node)]
        return [rebuilt(each, rest) for each in new] if isinstance(new, list) else rebuilt(new, rest)
    if isinstance(node, list):
        return _rebuilt_list(node, edit)
    if not isinstance(node, ast.AST):
        return node
    changed = {}
    for name, value in ast.iter_fields(node):
        if isinstance(value, (list, ast.AST)) and (new := rebuilt(value, edit)) is not value:
            changed[name] = new
    if not changed:
        return node
    new = type(node)()
    new.__dict__.update(node.__dict__, **changed)
    return new


def _rebuilt_list(nodes: list, edit: Edit) -> list:
    new = []
    for each in nodes:
        built = rebuilt(each, edit)
        new += built if isinstance(built, list) else [built]
    if len(new) == len(nodes) and all(a is b for a, b in zip(new, nodes, strict=True)):
        return nodes
    return new or ([ast.Pass()] if isinstance(nodes[0], ast.stmt) else [])


def made(tree: ast.Module, edit: Edit, namespace: dict[str, Any], names: Sequence[str]) -> Any:
    """What the changed definitions are when they are run: one function or class, or a tuple of them.

    Where ``names`` are not in the tree, its own definitions count, in their order.
    """
    module = ast.fix_missing_locations(ast.Module([*rebuilt(tree.body, edit)], []))
    found = dict(namespace)
    exec(compile(module, "<slip>", "exec"), found)
    there = [d.name for d in tree.body]
    chosen = [found[name] for name in (names if set(names) <= set(there) else there)]
    return chosen[0] if len(chosen) == 1 else tuple(chosen)


def edit_of(tree: ast.Module, before: str, after: str) -> Edit:
    """The edit that puts ``after`` in the place of ``before``. Raises ``ValueError`` unless that is there just once."""
    old, new = _parsed(before), _parsed(after)
    if isinstance(old, ast.expr) and isinstance(new, list):
        old = ast.parse(before).body  # a line that is called for what it does
    if isinstance(old, ast.expr):
        places = [n for n in ast.walk(tree) if isinstance(n, ast.expr) and alike(n, old)]
        if len(places) != 1:
            raise ValueError(f"“{before}” fits {len(places)} times; it must fit once. Give the whole line.")
        return {id(places[0]): _with_old_parts(new, places[0])}
    runs = [run for block in _blocks(tree) for run in _runs(block, len(old)) if all(map(alike, run, old))]
    if len(runs) != 1:
        raise ValueError(f"“{before}” fits {len(runs)} times; it must fit once.")
    first, *rest = runs[0]
    new = ast.parse(after).body
    holder = ast.Module(list(runs[0]), [])
    return {id(first): [_with_old_parts(n, holder) for n in new]} | {id(s): [] for s in rest}


def alike(one: ast.AST, other: ast.AST) -> bool:
    return ast.dump(one) == ast.dump(other)


def _parsed(text: str) -> ast.expr | list[ast.stmt]:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        return ast.parse(text).body


def _blocks(tree: ast.Module) -> list[list[ast.stmt]]:
    found = []
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                found.append(block)
    return found


def _runs(block: list[ast.stmt], length: int) -> list[list[ast.stmt]]:
    return [block[i : i + length] for i in range(len(block) - length + 1)]


def _with_old_parts(new: ast.AST, old: ast.AST) -> ast.AST:
    """``new``, with parts that are in ``old``, too, taken from there: another slip may be made in them."""
    known = {ast.dump(n): n for n in ast.walk(old) if isinstance(n, ast.expr) and n is not old}

    def taken(node: Any) -> Any:
        if isinstance(node, list):
            return [taken(each) for each in node]
        if not isinstance(node, ast.AST):
            return node
        if isinstance(node, ast.expr) and ast.dump(node) in known:
            return known[ast.dump(node)]
        for name, value in ast.iter_fields(node):
            if isinstance(value, (list, ast.AST)):
                setattr(node, name, taken(value))
        return node

    return taken(new)
