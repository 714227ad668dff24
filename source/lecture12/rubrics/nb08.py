"""Rubric of 08_midterm_practice: its exercises are the records of questions.toml."""

from pathlib import Path

from lecture_utils.instructor.authoring import questions

EXERCISES = questions.exercises("08_midterm_practice", Path(__file__).with_name("questions.toml"))
