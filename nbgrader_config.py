"""The course, for every nbgrader command. Nothing here is ours alone: plain `nbgrader …` reads it too."""

import os

c = get_config()  # noqa: F821  (nbgrader provides it)

c.CourseDirectory.root = os.path.dirname(os.path.abspath(__file__))
c.CourseDirectory.course_id = "improving_optimization"
c.CourseDirectory.release_directory = "notebooks"
c.CourseDirectory.solution_directory = "solutions"
# nbgrader copies every other file of source/ into the release: sources and rubrics must not travel.
c.CourseDirectory.ignore = [".ipynb_checkpoints", "__pycache__", "*.pyc", "*.py", "rubrics"]

c.ClearSolutions.code_stub = {"python": "# YOUR CODE HERE\nraise NotImplementedError()"}

# A deleted check cell comes back at grading instead of waiting for a hand-given grade.
c.OverwriteCells.add_missing_cells = True

c.Execute.timeout = 60  # seconds per cell
c.Execute.record_timing = False
c.Execute.shutdown_kernel = "immediate"
# Two threads are slower on these small networks, and much slower beside another grading process.
os.environ.setdefault("OMP_NUM_THREADS", "1")
