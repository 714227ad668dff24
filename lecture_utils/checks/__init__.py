"""Checks: a student's function in, a sentence about the likely mistake out.

``check(f)`` is what a notebook calls; ``judge(f, "momentum_step")`` is the function behind it.
"""

from lecture_utils.checks.card import show_verdict
from lecture_utils.checks.explain import Verdict
from lecture_utils.checks.judge import judge
from lecture_utils.checks.notebook import CheckFailed, ask, check, check_answer, explain_errors, passed, scoreboard
from lecture_utils.checks.quiz import drawn, judge_question

__all__ = [
    "CheckFailed", "Verdict", "ask", "check", "check_answer", "drawn", "judge", "judge_question", "passed", "scoreboard",
    "show_verdict",
]  # fmt: skip

explain_errors()
