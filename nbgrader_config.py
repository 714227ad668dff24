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

c.Execute.timeout = 60  # seconds per cell
c.Execute.record_timing = False
c.Execute.shutdown_kernel = "immediate"

# Grading: submissions are built anew, run in a sandbox, and scored outside it (lecture_utils/instructor/grading).
# Whether the time in a timestamp.txt that lies in a hand-in is that of the hand-in. nbgrader's collect and zip_collect
# write such a file; in what comes from an LMS a student could have written it.
c.Intake.timestamps = False
c.Autograde.pre_convert_hook = "lecture_utils.instructor.grading.handover.before_autograde"
c.Autograde.exporter_class = "lecture_utils.instructor.grading.handover.HandedInExporter"
c.Autograde.sanitize_preprocessors = []
c.Autograde.autograde_preprocessors = [
    "lecture_utils.instructor.grading.observe.Observe",
    "lecture_utils.instructor.grading.score.Score",
    "nbgrader.preprocessors.SaveAutoGrades",
    "nbgrader.preprocessors.AssignLatePenalties",
    "lecture_utils.instructor.grading.score.Review",
]
c.GenerateFeedback.exporter_class = "lecture_utils.instructor.reporting.feedback.FeedbackExporter"
# Two threads are slower on these small networks, and much slower beside another grading process.
os.environ.setdefault("OMP_NUM_THREADS", "1")
