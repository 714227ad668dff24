"""The questions of the midterm practice, on the instructor's side: records in, texts, answers and exercises out."""

from __future__ import annotations

import ast
import hashlib
import io
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import count, permutations, product
from pathlib import Path
from random import Random
from string import ascii_uppercase
from typing import Any

from lecture_utils.checks.observers import Values
from lecture_utils.checks.quiz import normal, which_set
from lecture_utils.environment import CourseError
from lecture_utils.instructor.authoring import curves
from lecture_utils.instructor.authoring.exercise import Exercise
from lecture_utils.instructor.authoring.sealed import seal

KINDS = {
    "true_false": "True or false",
    "choice": "Multiple choice",
    "derivation": "Derivation",
    "matching": "Matching",
    "code": "Reading code",
}


ORDERS = 8  # of the options of a question, at least


@dataclass(frozen=True)
class Question:
    """One record of questions.toml, whose head explains the fields. ``number`` counts through the file.

    ``numbers`` are those of the record at first, then those of each set that a student may get: where there are letters,
    the same numbers come again with the letters in another order.
    """

    number: int
    id: str
    kind: str
    section: str
    text: str
    part: str = ""  # "a", "b", "c" of a question that has several
    points: int = 1
    numbers: list[dict[str, Any]] = field(default_factory=lambda: [{}])
    right: bool | None = None
    because: Any = ""
    options: list[dict[str, Any]] = field(default_factory=list)
    items: list[dict[str, str]] = field(default_factory=list)
    properties: list[dict[str, str]] = field(default_factory=list)
    code: str = ""
    wrong: list[dict[str, str]] = field(default_factory=list)
    arguments: dict[str, list] = field(default_factory=dict)
    returns: str = ""
    formula: str = ""
    equivalent: dict[str, str] = field(default_factory=dict)
    curves: dict[str, Any] = field(default_factory=dict)
    different: int = field(init=False, default=1)  # sets of numbers in the record

    def __post_init__(self) -> None:
        once, letters = len(self.numbers), len(self.options or self.properties)
        object.__setattr__(self, "different", once)
        if letters:
            together = math.lcm(once, letters)
            every = together * math.ceil(ORDERS / together)
            object.__setattr__(self, "numbers", [self.numbers[which % once] for which in range(every)])

    @property
    def label(self) -> str:
        return f"{self.number}{self.part}"

    def numbers_of(self, student: str) -> int:
        """Which set of numbers a student gets."""
        return which_set(self.id, student, len(self.numbers))

    def form(self) -> dict[str, Any]:
        """What an answer looks like, for ``quiz.normal``."""
        if self.kind == "true_false":
            return {"is": "truth"}
        if self.kind == "code":
            return {"is": "numbers" if isinstance(self.printed(0), list) else "number"}
        if self.kind == "derivation":
            return {"is": "function"}
        letters = ascii_uppercase[: len(self.options or self.properties)]
        pairs = {"is": "pairs", "keys": [item["name"] for item in self.items], "letters": letters}
        return pairs if self.items else {"is": "letter", "letters": letters}

    def lettered(self, which: int) -> dict[str, dict[str, Any]]:
        """Options or properties by the letters that they have in one set: a right one has each letter equally often."""
        every = self.options or self.properties
        if not every:
            return {}
        order = self._order_of_options(which) if self.options else self._order_of_properties(which)
        return dict(zip(ascii_uppercase, (every[k] for k in order), strict=False))

    def _order_of_options(self, which: int) -> list[int]:
        """The right one at the letter whose turn it is, the others in another order each time that comes round."""
        many = len(self.options)
        right = next((k for k in range(many) if self._is_right(self.options[k], which)), 0)
        others = [
            [k for k in order if k != right] for order in permutations(_shuffled(many, self.id)) if order[0] == right
        ]
        order = others[which // many % len(others)]
        letter = (which // self.different + which % self.different) % many
        return [*order[:letter], right, *order[letter:]]

    def _order_of_properties(self, which: int) -> list[int]:
        """One order, turned on from set to set; never such that the right letters are A, B, C, … from top to bottom."""
        many = len(self.properties)
        right = [self.properties.index(self._property(item)) for item in self.items]
        for salt in count():
            order = _shuffled(many, self.id, which // many, salt)
            turned = [order[k:] + order[:k] for k in range(many)]
            places = [[t.index(k) for k in right] for t in turned]
            if many < 3 or not any(p == sorted(p) for p in places):
                return turned[which % many]

    def _is_right(self, option: dict[str, Any], which: int) -> bool:
        return bool(evaluate(str(option.get("right", False)), self.numbers[which]))

    def printed(self, which: int) -> Any:
        """What the code prints, found by running it."""
        return _run(fill(self.code, self.numbers[which]))

    def answer(self, which: int) -> Any:
        """The right answer, as a student would write it."""
        if self.kind == "true_false":
            return self.right
        if self.kind == "code":
            return self.printed(which)
        if self.items:
            letters = {id(p): letter for letter, p in self.lettered(which).items()}
            return {item["name"]: letters[id(self._property(item))] for item in self.items}
        right = [letter for letter, (yes, _) in self.answers(which).items() if yes]
        if len(right) != 1:
            raise ValueError(f"with {self.numbers[which]} {len(right)} options are right instead of one")
        return right[0]

    def answers(self, which: int) -> dict[str, tuple[bool, str]]:
        """Every answer that has an explanation: {the answer in ``quiz.normal`` form: (is it right, because)}."""
        values = self.numbers[which]
        if self.kind == "derivation":
            return {"passed": (True, self.because)}
        if self.kind == "true_false":
            if not isinstance(self.right, bool):
                raise ValueError("right is true or false")
            return {k: (self.right == (k == "true"), self.because[k]) for k in ("true", "false")}
        if self.kind == "matching":
            return self._pairs(which)
        if self.kind == "choice":
            lettered = self.lettered(which).items()
            return {k: (self._is_right(o, which), fill(o["because"], values)) for k, o in lettered}
        found = {a: (True, fill(self.because, values)) for a in _near(self.answer(which), self.form())}
        for slip in self.wrong:
            (answer,) = normal(evaluate(slip["answer"], values), self.form())
            if answer in found:
                raise ValueError(f"with {values} {slip['answer']} is {answer}, as another answer is")
            found[answer] = (False, fill(slip["because"], values))
        return found

    def _pairs(self, which: int) -> dict[str, tuple[bool, str]]:
        found = {}
        for item, (letter, p) in product(self.items, self.lettered(which).items()):
            right = p is self._property(item)
            text = f"Yes: {item['because']}" if right else p["because"]
            found[f"{item['name']}={letter}"] = (right, fill(text, self.numbers[which]))
        return found

    def _property(self, item: dict[str, str]) -> dict[str, str]:
        """The property that belongs to an item, whose ``right`` is its letter in the record's own order."""
        letters = ascii_uppercase[: len(self.properties)]
        if item["right"] not in [*letters]:
            raise ValueError(f"right of {item['name']} is one of the letters {letters}")
        return self.properties[letters.index(item["right"])]

    @cached_property
    def recorded(self) -> dict[str, Any]:
        """What checks.json holds of the question."""
        sets = range(len(self.numbers))
        texts = {"texts": [self.shown(which) for which in sets]} if self.kind != "derivation" else {}
        if self.curves:
            texts["pictures"] = [[*self.picture(which)] for which in sets]
        return self.head | texts | {"sealed": [seal(self.id, which, self.answers(which)) for which in sets]}

    @property
    def head(self) -> dict[str, Any]:
        about = {"id": self.id, "number": self.label, "kind": self.kind, "section": self.section}
        return about | {"form": self.form()}

    def shown(self, which: int) -> str:
        """The question in Markdown, with options, with one set of numbers."""
        values = self.numbers[which]
        lettered = self.lettered(which).items()
        parts = [fill(self.text, values).strip()]
        if self.code:
            parts.append(f"```python\n{fill(self.code, values).strip()}\n```")
        if self.items:
            parts.append("Give a letter for each of: " + ", ".join(f"**{i['name']}**" for i in self.items) + ".")
        if lettered:
            parts.append("\n".join(f"- **{letter}** &nbsp; {fill(o['text'], values)}" for letter, o in lettered))
        return "\n\n".join(parts)

    def picture(self, which: int) -> tuple[str, str]:
        """What the curves of one set show, in words, and a picture of them as a data: address."""
        return curves.drawn(self.curves, lambda text, t: evaluate(text, {**self.numbers[which], "t": t}))

    def exercise(self, notebook: str, file: str) -> Exercise:
        """The question as the checks and the grading know it. A derivation is an ordinary function."""
        if self.kind != "derivation":
            return Exercise(self.id, notebook, self.points, Values(), None, question=self, file=file)
        names, space = list(self.arguments), {"math": math}
        text = f"def {self.id}({', '.join(names)}):\n    return {self.formula}\n"
        exec(text, space)
        made = Exercise(
            self.id, notebook, self.points, Values(tuple(names)), space[self.id], question=self, file=file,
            source=text, namespace={"math": math}, draw=self.cases,
        )  # fmt: skip
        for k, slip in enumerate(self.wrong, 1):
            made.mistake(formula(slip["formula"], names), name=f"slip_{k}", message=slip["because"])
        for phrase, why in self.equivalent.items():
            made.equivalent(phrase, why)
        return made

    def cases(self, random: Random) -> list[dict[str, Any]]:
        """Six draws of a derivation's arguments: whole numbers between whole limits, else with three decimals."""
        cases = []
        for _ in range(6):
            args = {
                name: random.randint(low, high) if isinstance(low, int) else round(random.uniform(low, high), 3)
                for name, (_, low, high) in self.arguments.items()
            }
            cases.append({"args": args, "text": ", ".join(f"{k}={v}" for k, v in args.items())})
        return cases


def formula(expression: str, names: list[str]) -> Callable[..., float]:
    """A formula as a function of its arguments, in their order."""
    return lambda *args: evaluate(expression, dict(zip(names, args, strict=True)))


# --- templates ---------------------------------------------------------------------------------------------------


def evaluate(expression: str, values: dict[str, Any]) -> Any:
    """An expression of a record, over its numbers and Python's math module. Records are the instructor's own code."""
    return eval(expression, {"math": math, **values})


def fill(text: str, values: dict[str, Any]) -> str:
    """{name} and {=expression:format} replaced; other braces, as LaTeX has them, stay."""
    names = "|".join(map(re.escape, values)) or "(?!)"
    text = re.sub(r"\{=([^{}:]+)(?::([^{}]*))?\}", lambda m: format(evaluate(m[1], values), m[2] or ".6g"), text)
    return re.sub(rf"\{{({names})\}}", lambda m: str(values[m[1]]), text)


def _shuffled(many: int, *seed: Any) -> list[int]:
    """The numbers below ``many`` in an order that is the same on every machine."""
    return sorted(range(many), key=lambda k: hashlib.sha256(f"{seed}|{k}".encode()).digest())


@cache
def _run(code: str) -> Any:
    with redirect_stdout(io.StringIO()) as out:
        exec(code, {})
    return ast.literal_eval(out.getvalue().strip())


def _near(answer: Any, form: dict[str, Any]) -> list[str]:
    """A right number, also when it was cut or rounded in its third digit."""
    answers = normal(answer, form)
    if form["is"] == "number" and answer and float(answers[0]) != answer:
        step = 10.0 ** (math.floor(math.log10(abs(answer))) - 2)
        answers += [normal(rounded(answer / step) * step, form)[0] for rounded in (math.floor, math.ceil)]
    return answers


# --- the records -------------------------------------------------------------------------------------------------


def exercises(notebook: str, file: Path) -> list[Exercise]:
    return [question.exercise(notebook, file.name) for question in load(file)]


def asked_in(exercises: dict[str, Exercise]) -> list[Question]:
    """The records among what exercises are made of."""
    return [e.question for e in exercises.values() if isinstance(e.question, Question)]


def load(file: Path) -> list[Question]:
    """All questions. Runs none of their code: ``validate`` does. Raises ``CourseError`` that names the record."""
    questions: list[Question] = []
    try:
        records = tomllib.loads(file.read_text(encoding="utf-8"))["question"]
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise CourseError(f"{file.name} cannot be read as TOML with [[question]] records: {error}") from None
    number = 0
    for data in records:
        number += data.get("part", "a") == "a"
        with _named(file.name, number, data.get("id", "no id")):
            question = Question(number=number, **data)
            if question.id in {q.id for q in questions}:
                raise ValueError("another question has this id already")
            if question.kind not in KINDS:
                raise ValueError(f"kind is one of {', '.join(KINDS)}")
            questions.append(question)
    return questions


def validate(questions: Iterable[Question], file: str = "questions.toml") -> None:
    """Work out every answer with all numbers. Raises ``CourseError`` that names the record and what is wrong with it."""
    for question in questions:
        with _named(file, question.number, question.id):
            for which in range(len(question.numbers)):
                question.answers(which)
                if question.kind != "derivation":
                    question.answer(which)


@contextmanager
def _named(file: str, number: int, name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a record may run any code
        raise CourseError(f"{file}, question {number} ({name}): {error}") from None
