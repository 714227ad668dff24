"""The class report from data: what it says, for five and for five hundred; nothing in it runs, and all charts are told in words."""

import csv
import re
from collections import defaultdict
from html.parser import HTMLParser

import pytest

from lecture_utils.instructor.reporting.page import OUTCOMES, page
from lecture_utils.instructor.reporting.results import Marked, Submission
from lecture_utils.instructor.reporting.tables import canvas_rows, exercise_rows, write_csv

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>\u202egnp'
EXERCISES = [("04_momentum", "momentum_step", 3), ("04_momentum", "nesterov_step", 3), ("06_adam", "adam_step", 5)]


def submission(student, *kinds, **more):
    """A student whose exercises came to these kinds of verdict, the rest right; "name:0.5" is a mistake with half credit."""
    results = []
    for (notebook, exercise, of), kind in zip(EXERCISES, [*kinds, *["passed"] * 3], strict=False):
        name, _, credit = kind.partition(":")
        points = of if kind == "passed" else of * float(credit or 0)
        known = {"misconception": name, "message": f"This looks like: {name}."} if credit else {"message": "why"}
        waiting = kind in ("review", "by_hand")
        results.append(
            Marked(notebook, exercise, points, of, "misconception" if credit else kind, waiting=waiting, **known)
        )
    return Submission(student, tuple(results), **more)


FIVE = [
    submission("ann"),
    submission("ben", "old_velocity:0.5", "not_written", late=90000, penalty=1.5),
    submission("cem", "old_velocity:0.5", "crashed", "review", seconds=61.5),
    submission("dov", "torch_form:0", "timeout", "not_run", notes=("04_momentum: 2 copies of momentum_step",)),
    Submission("eve", error="the disk is full", seconds=2.0),
]


class Page(HTMLParser):
    """What stands in each section of a page, and its tags with their attributes."""

    def __init__(self, text):
        super().__init__()
        self.text, self.tags, self.open, self.rows = defaultdict(str), [], [], []
        self.section, self.unfolded = "", 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "rect", "path", "br"):
            self.open.append(tag)
        self.section = dict(attributes).get("aria-labelledby", self.section)
        if tag == "tr":
            self.unfolded += "details" not in self.open
            self.rows.append((self.section, []))
        if tag in ("td", "th"):
            self.rows[-1][1].append("")

    def handle_endtag(self, tag):
        if tag not in ("rect", "path", "meta", "br"):
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text[self.section] += data
        if self.rows and {"td", "th"} & set(self.open):
            self.rows[-1][1][-1] += data

    def row(self, section, first):
        return next(cells for where, cells in self.rows if where == section and cells[0].startswith(first))


def test_mistakes_are_counted_and_named_the_most_frequent_first():
    seen = Page(page(FIVE, "lecture12"))
    names = [cells[0] for where, cells in seen.rows if where == "teach"]
    assert names == ["mistake", "old velocitymomentum_step, 04_momentum", "torch formmomentum_step, 04_momentum"]
    assert seen.row("teach", "old velocity")[1:] == ["old_velocity.", "2 50%", "ben, cem"]


def test_every_exercise_has_its_outcomes_the_worst_first():
    seen = Page(page(FIVE, "lecture12"))
    order = [cells[0] for where, cells in seen.rows if where == "exercises"]
    assert order[1:] == ["nesterov_step 04_momentum", "momentum_step 04_momentum", "adam_step 06_adam"]
    heads = seen.row("exercises", "exercise")
    counts = dict(zip(heads, seen.row("exercises", "nesterov"), strict=True))
    assert {k: counts[k] for k in ("points", "right", "not written", "crashed", "timed out", "not run")} == {
        "points": "25%", "right": "1", "not written": "1", "crashed": "1", "timed out": "1", "not run": "·",
    }  # fmt: skip
    assert "named mistake" in heads
    assert "not graded" not in heads  # eve's failed grading says nothing about the class


def test_what_waits_for_a_person_is_on_top():
    seen = Page(page([*FIVE, submission("fay", "by_hand")], "lecture12"))
    assert seen.row("look", "eve") == ["eve", "the disk is full"]
    assert seen.row("look", "cem") == ["cem", "06_adam", "adam_step", "why"]
    assert seen.row("look", "momentum_step") == ["momentum_step 04_momentum", "fay"]
    assert not [
        cells for where, cells in seen.rows if where == "exercises" and cells[0].startswith("momentum_step")
    ]  # not yet
    assert "3wait for you" in seen.text[""]


def test_what_was_moved_mended_or_damaged_is_told_the_worst_first():
    odd = submission("gus", "damaged", moved=("04_momentum: the answer was put back",), problems={"06_adam": "cut off"})
    seen = Page(page([*FIVE, odd], "lecture12"))
    assert seen.row("mended", "dov") == ["dov", "04_momentum: 2 copies of momentum_step"]
    told = seen.row("mended", "gus")[1]
    assert "06_adam: cut off" in told
    assert told.index("cut off") < told.index("put back")
    assert "damaged" in seen.row("exercises", "exercise")
    assert "came back as it was given out" in Page(page([submission("ann")], "lecture12")).text["mended"]


def test_ids_that_look_alike_are_told():
    seen = Page(page(FIVE, "lecture12", alike=[["müller", "mu\u0308ller"]]))
    assert seen.row("look", "müller") == ["müller, mu\u0308ller"]


def test_students_are_linked_to_their_feedback():
    odd = Submission("a/b c#%", FIVE[0].results)
    links = [
        a["href"] for tag, a in Page(page([*FIVE, odd], "lecture12", pages={"ann", odd.student})).tags if tag == "a"
    ]
    assert "../feedback/ann/lecture12/index.html" in links
    assert "../feedback/a%2Fb%20c%23%25/lecture12/index.html" in links
    assert not [link for link in links if "feedback/ben" in link]


def test_low_late_and_slow_students_are_named_with_what_they_miss():
    seen = Page(page(FIVE, "lecture12"))
    low = [cells for where, cells in seen.rows if where == "help"]
    assert [cells[:2] for cells in low[1:]] == [["dov", "0 of 11"], ["cem", "1.5 of 11"], ["ben", "5 of 11"]]
    assert "04_momentum −6, 06_adam −5" in low[1][2]
    assert "momentum_step (torch form)" in low[1][2]
    assert seen.row("late", "ben") == ["ben", "1 day, 1:00:00", "1.5"]
    assert [cells[0] for where, cells in seen.rows if where == "late"][-2:] == ["cem", "eve"]


def test_nothing_hostile_gets_into_the_page():
    bad = Submission(HOSTILE, (Marked(HOSTILE, HOSTILE, 0, 1, "review", HOSTILE, HOSTILE * 1000, waiting=True),
                               Marked(HOSTILE, "b", 0, 1, "misconception", HOSTILE, HOSTILE)),
                     HOSTILE, 1, 1, 1, HOSTILE, (HOSTILE,) * 9, (HOSTILE,), {HOSTILE: HOSTILE})  # fmt: skip
    text = page([bad, *FIVE], HOSTILE, [[HOSTILE, HOSTILE]], [HOSTILE])
    assert len(text) < 100_000
    assert "\u202e" not in text
    seen = Page(text)
    assert {tag for tag, _ in seen.tags} & {"script", "img", "iframe", "object"} == set()
    assert not [a for _, attributes in seen.tags for a in attributes if a.startswith("on")]


@pytest.mark.parametrize("size", [0, 1, 500])
def test_it_reads_well_at_any_size(size):
    kinds = [("old_velocity:0.5",), ("passed", "not_written"), ("torch_form:0", "crashed", "timeout"), ()]
    text = page([submission(f"s{k:03}", *kinds[k % 4], seconds=k + 1.0) for k in range(size)], "lecture12")
    seen = Page(text)
    assert seen.open == ["html"] or seen.open == []
    for where, name in (("help", "s002"), ("all", "s000")):
        assert (name in seen.text[where]) == (size == 500 or (size == 1 and where == "all"))
    if size == 500:
        assert seen.row("teach", "old velocity")[2] == "125 25%"
        assert seen.row("teach", "old velocity")[3].startswith("125 students")
        assert seen.unfolded < 80  # rows; the rest can be unfolded
        assert len(text) < 1_000_000


def test_every_chart_is_told_in_words_and_no_colour_stands_alone():
    seen = Page(page(FIVE, "lecture12"))
    charts = [attributes for tag, attributes in seen.tags if tag == "svg" and not attributes.get("aria-hidden")]
    assert len(charts) == 1 + 2 + 3  # scores, notebooks, exercises
    assert all(re.search(r"\d", c["aria-label"]) and c["role"] == "img" for c in charts)
    assert ["40 to 50 %", "1"] in [cells for _, cells in seen.rows]
    assert len({sign for _, sign, *_ in OUTCOMES}) == len(OUTCOMES)
    for tag, attributes in seen.tags:
        assert tag != "th" or attributes["scope"] in ("row", "col")
    assert sum(tag == "table" for tag, _ in seen.tags) == sum(tag == "caption" for tag, _ in seen.tags)


def test_signs_in_bars_can_be_read():
    def luminance(colour):
        full = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
        parts = [int(full[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    for _, _, fill, ink, _ in OUTCOMES:
        dark, light = sorted([luminance(fill), luminance(ink)])
        assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2.2, 1.4.3


def test_the_page_needs_no_network():
    text = page(FIVE, "lecture12")
    assert "default-src 'none'" in text
    assert not re.search(r"(https?:)?//|url\(|@import", text)
    links = [a["href"] for tag, a in Page(text).tags if tag == "a" and not a["href"].startswith("#")]
    assert links == ["exercises.csv", "canvas.csv", "../grades.csv"]


def test_exercises_csv_has_a_row_per_student_and_exercise(tmp_path):
    rows = exercise_rows([*FIVE, submission("=cmd|'/c calc'!A1", "old_velocity:0.5")])
    write_csv(tmp_path / "exercises.csv", rows)
    with (tmp_path / "exercises.csv").open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert len(read) == 5 * 3
    assert read[3] == {
        "student": "ben", "notebook": "04_momentum", "exercise": "momentum_step", "points": "1.5", "of": "3",
        "kind": "misconception", "misconception": "old_velocity", "message": "This looks like: old_velocity.",
    }  # fmt: skip
    assert read[-1]["student"] == "'=cmd|'/c calc'!A1"


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1+1",
        "-1+cmd",
        "@SUM(A1)",
        "＝1+1",
        "＋1",
        "－x",
        "＠x",
        "\t=1",
        "\r=1",
        " =1",
        '"=1',
        "a;=1+1;b",
        "a\t=1",
        "a\n@b",
    ],
)
def test_no_field_begins_a_formula_for_any_program_or_separator(tmp_path, text):
    write_csv(tmp_path / "table.csv", [[text, 1.5], ["plain", ""]])
    written = (tmp_path / "table.csv").read_bytes().decode()
    for separator in (",", ";", "\t"):  # a program may take any of them
        for field in re.split(rf"[{separator}\r\n]", written):
            assert not re.match(r"""["\s]*[=+\-@＝＋－＠]""", field), field


def test_every_field_is_quoted_and_says_what_is_not_seen(tmp_path):
    write_csv(tmp_path / "table.csv", [["a;b", "x\u202ey", 'q"q', -1.5, "-1.5", ""]])
    assert (tmp_path / "table.csv").read_text() == '"a;b","x⟦U+202E⟧y","q""q","-1.5","-1.5",""\n'


def test_canvas_csv_is_what_canvas_imports():
    head, possible, *students = canvas_rows(FIVE, "lecture12")
    assert head == [
        "Student",
        "ID",
        "SIS User ID",
        "SIS Login ID",
        "Section",
        "04_momentum",
        "06_adam",
        "lecture12 total",
    ]
    assert possible == ["    Points Possible", "", "", "", "", 6, 5, 11]
    assert students[1] == ["ben", "", "", "ben", "", 1.5, 5, 5.0]  # the late penalty is in the total
    assert students[4] == ["eve", "", "", "eve", "", "", "", ""]  # an empty cell changes nothing in Canvas
    assert not re.search("(Current|Final|Override) (Score|Points|Grade)", " ".join(head))  # which Canvas would skip
