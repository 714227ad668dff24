"""Checks, experiments and grading for the lecture *Improving Optimization*.

Importing this package costs nothing: set-up runs before anything is installed, so nothing heavy is imported here.
"""
