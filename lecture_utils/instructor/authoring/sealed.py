"""Answers that are lists, of numbers or of words: drawn per student, and sealed in what travels."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from lecture_utils.checks.observers import Values
from lecture_utils.checks.quiz import derive_key, normal, scramble
from lecture_utils.instructor.authoring.exercise import Exercise


def seal(name: str, which: int, answers: dict[str, tuple[bool, str]]) -> dict[str, str]:
    """{hash of an answer: what is said about it, readable with that answer only}; all of one length, in no order."""
    texts = {a: json.dumps([right, because], ensure_ascii=False).encode() for a, (right, because) in answers.items()}
    longest = max(map(len, texts.values()))
    sealed = {}
    for answer, text in texts.items():
        key, secret = derive_key(name, which, answer)
        sealed[key] = base64.b64encode(scramble(text.ljust(longest), secret)).decode()
    return dict(sorted(sealed.items()))


@dataclass(frozen=True)
class Part:
    """One entry of the list: what is right and why, and what is typical instead, with its message."""

    name: str
    right: Any
    because: str = "Yes."
    wrong: tuple[tuple[Any, str], ...] = ()


@dataclass(frozen=True)
class SealedList:
    """A question whose answer is a list. ``text`` shows it with a student's ``numbers``, ``parts`` are its entries with them.

    ``words`` are the choices, if an entry is one; ``advice`` is told in place of what is said of each part, where a part is
    a guess among few.
    """

    id: str
    section: str
    numbers: list[dict[str, Any]]
    text: Callable[..., str]
    parts: Callable[..., list[Part]]
    words: tuple[str, ...] = ()
    advice: str = ""
    afterwards: str = ""
    number: int = 0
    kind: str = field(default="list", init=False)

    def form(self, which: int = 0) -> dict[str, Any]:
        keys = [part.name for part in self.parts(**self.numbers[which])]
        return {"is": "parts", "keys": keys} | ({"words": list(self.words)} if self.words else {})

    @property
    def head(self) -> dict[str, Any]:
        told = {"advice": self.advice, "afterwards": self.afterwards}
        about = {"id": self.id, "number": self.number, "kind": self.kind, "section": self.section, "form": self.form()}
        return about | {name: text for name, text in told.items() if text}

    def answer(self, which: int) -> list[Any]:
        """The right answer, as a student would write it."""
        return [part.right for part in self.parts(**self.numbers[which])]

    def answers(self, which: int) -> dict[str, tuple[bool, str]]:
        """Every answer that is known: {in ``quiz.normal`` form: (is it right, because)}."""
        whole, found = self.answer(which), {}
        for k, part in enumerate(self.parts(**self.numbers[which])):
            for value, right, because in ((part.right, True, part.because), *((w, False, m) for w, m in part.wrong)):
                text = normal([*whole[:k], value, *whole[k + 1 :]], self.form())[k]
                if text in found:
                    raise ValueError(f"{self.id}, numbers {which}: two answers for {part.name} are alike: {text}")
                found[text] = (right, because)
        return found

    @cached_property
    def recorded(self) -> dict[str, Any]:
        """What checks.json holds of it."""
        sets = range(len(self.numbers))
        sealed = [seal(self.id, which, self.answers(which)) for which in sets]
        texts = [self.text(**values) for values in self.numbers]
        return self.head | {"texts": texts, "numbers": self.numbers, "sealed": sealed}

    def exercise(self, notebook: str, points: int) -> Exercise:
        return Exercise(self.id, notebook, points, Values(), None, question=self)
