"""Imported by the server from which fresh processes are forked: with its first optimizer torch imports its other half."""

from lecture_utils.checks.observers.resume import Run

Run({"optimizer": ["SGD", {}], "decay": 1.0}, 0)
