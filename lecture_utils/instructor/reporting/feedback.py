"""The page that a student gets back: nbgrader's own, with what cost points, and why, at its top."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader
from nbconvert.exporters import HTMLExporter
from traitlets import default


class FeedbackExporter(HTMLExporter):
    """Fills feedback.html.j2, which extends nbgrader's template."""

    @default("template_file")
    def _our_template(self) -> str:
        return "feedback.html.j2"

    @default("extra_loaders")
    def _our_folder(self) -> list[Any]:
        return [FileSystemLoader(Path(__file__).parent)]
