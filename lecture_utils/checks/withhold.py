"""Finished rules withheld: while an own rule is looked at, those of torch.optim and of this package refuse to work.

Nothing is read for suspicious names. The code of each finished rule is replaced in place, so that another name for it, a
subclass, a pickle or an object made before meets the same refusal. What subclasses of ``torch.optim.Optimizer`` need,
and ``LambdaLR``, go on working.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from types import CodeType, FunctionType, ModuleType
from typing import Any, NoReturn

import torch

RULES, SCHEDULES = "rules", "schedules"  # what can be withheld
SENTENCE = "{} is finished, and does not work while your own is checked. Write out what it does."
_PACKAGES = ("torch.optim.", "torch.distributed.optim.", "sklearn.neural_network._stochastic", "lecture_utils.stacked")
_NO_RULES = ("torch.optim.optimizer", "torch.optim.swa_utils", "torch.optim._stateless")
_LR_SCHEDULER, _STACKED = "torch.optim.lr_scheduler", "lecture_utils.stacked"
_OF_OBJECTS = {"__init__", "__setstate__", "__getstate__", "__repr__", "_init_group", "state_dict", "load_state_dict"}


class Withheld(RuntimeError):
    """Something finished was called where an own one was to be written."""


@contextmanager
def withheld(*what: str) -> Iterator[None]:
    """Inside, finished ``what`` (``RULES``, ``SCHEDULES``) raises ``Withheld``; afterwards all is as before."""
    kept, operators = withhold(*what)
    try:
        yield
    finally:
        for function, code in kept:
            function.__code__ = code
        operators.reset()


def withhold(*what: str) -> tuple[list[tuple[FunctionType, CodeType]], Any]:
    """Replace what computes in finished ``what``; the code that was there, and the hold on torch's own operators."""
    kept = []
    for function in finished(*what):
        kept.append((function, function.__code__))
        function.__code__ = _refusal(function.__qualname__, len(function.__code__.co_freevars))
    # What torch.library.Library wraps; the wrapper could be found by whoever looks for it, and undone.
    operators = torch._C._dispatch_library("IMPL", "aten", "", __file__, 0)
    with _unwarned():
        for name in _operators() if RULES in what else ():
            operators.impl(name, "CPU", _refuse_operator)
    return kept, operators


def finished(*what: str) -> list[FunctionType]:
    """Every function that computes a step, or a scheduled rate, in the modules that are imported by now."""
    found: dict[int, FunctionType] = {}
    for name, module in list(sys.modules.items()) if what else ():
        if not isinstance(module, ModuleType) or not name.startswith(_PACKAGES) or name in _NO_RULES:
            continue
        if (SCHEDULES if name == _LR_SCHEDULER else RULES) in what:
            for value in list(vars(module).values()):
                for function in _functions_of(value, name):
                    _follow(function, name, found)
    return list(found.values())


def _functions_of(value: Any, module: str) -> list[FunctionType]:
    """What computes in a function or class that is at home in ``module``."""
    if getattr(value, "__module__", None) != module:
        return []
    if isinstance(value, FunctionType):
        return [] if module == _LR_SCHEDULER or (module == _STACKED and not _is_rule(value)) else [value]
    if not isinstance(value, type) or module == _STACKED:
        return []
    methods = [m for m in vars(value).values() if isinstance(m, FunctionType) and m.__name__ not in _OF_OBJECTS]
    if module == _LR_SCHEDULER:  # rates are computed there; step and the rest are what LambdaLR needs, too
        return [m for m in methods if "get" in m.__name__ and value.__name__ not in ("LRScheduler", "LambdaLR")]
    return methods


def _is_rule(function: FunctionType) -> bool:
    """Of ``lecture_utils.stacked``: the others run whatever rule they are given."""
    return function.__code__.co_varnames[:2] == ("w", "grad")


def _follow(function: FunctionType, module: str, found: dict[int, FunctionType]) -> None:
    """The function, and those of the same module that its wrappers hold."""
    if id(function) in found or function.__module__ != module:
        return
    found[id(function)] = function
    inside = [getattr(function, "__wrapped__", None), *map(_content, function.__closure__ or ())]
    for inner in inside:
        if isinstance(inner, FunctionType):
            _follow(inner, module, found)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # empty
        return None


@lru_cache(maxsize=1000)
def _refusal(name: str, free: int) -> CodeType:
    """Code that raises, for a function with so many variables of its surroundings: Python wants the number to be equal."""
    names = [f"_{k}" for k in range(free)]
    lines = ["def around():", *(f"    {n} = None" for n in names), "    def refuse(*args, **kwargs):"]
    lines += [f"        from {__name__} import refuse", f"        refuse({name!r})"]
    lines += [f"        ({n})" for n in names]  # never reached
    space: dict[str, Any] = {}
    exec(compile("\n".join([*lines, "    return refuse"]), __file__, "exec"), space)
    return space["around"]().__code__.replace(co_name=name.rpartition(".")[2])


def refuse(name: str) -> NoReturn:
    raise Withheld(SENTENCE.format(name))


def _refuse_operator(*_: Any, **__: Any) -> NoReturn:
    refuse("An operator of torch.optim")


@cache
def _operators() -> list[str]:
    """torch's own operators that make a whole step."""
    names = torch._C._dispatch_get_all_op_names()
    return [n.partition("::")[2] for n in names if n.startswith(("aten::_fused_ada", "aten::_fused_sgd"))]


@contextmanager
def _unwarned() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
