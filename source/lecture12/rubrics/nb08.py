"""Rubric of 08_midterm_practice: its exercises are the records of questions.toml."""

from lecture_utils.instructor.authoring import questions

EXERCISES = questions.exercises("08_midterm_practice")
