"""The pages that students get back, and their Markdown where Jupyter renders it: what they say, and that nothing in them runs."""

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import nbformat
import pytest
from traitlets.config import Config

from lecture_utils.environment import ASSIGNMENT, ROOT, CourseError
from lecture_utils.instructor.authoring.course import Course
from lecture_utils.instructor.grading.disarm import LENGTH, disarm, mark
from lecture_utils.instructor.grading.gradebook import open_gradebook
from lecture_utils.instructor.grading.results import METADATA, Result, from_dict, results_in, sentences
from lecture_utils.instructor.reporting import feedback
from lecture_utils.instructor.reporting.markdown import rendered
from lecture_utils.instructor.reporting.report import report
from lecture_utils.instructor.reporting.results import collect

SCRIPT = (
    "<script>alert('MARK')</script><img src=x onerror=\"alert('MARK')\"><iframe src='javascript:alert(1)'></iframe>"
)
NAMES = ["00_start_here", "04_momentum_nesterov", "07_optimizers_in_pytorch"]
WRONG = "def momentum_step(w, grad, delta, lr, alpha):\n    return w - lr * grad, delta  # a < b"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="


class Page(HTMLParser):
    """The text, tags and ids of a page; raises if a tag is not closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.open, self.html = [], "", [], text
        self.feed(text)
        self.text = " ".join(self.text.split())
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img", "br", "mspace", "hr"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data


def assert_harmless(text):
    """No tag or attribute of a page runs or loads something."""
    page = Page(text)
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in text
    assert not {t for t, _ in page.tags} & {
        "script",
        "iframe",
        "object",
        "embed",
        "link",
        "form",
        "svg",
        "base",
        "video",
    }
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        assert not re.search(r"url\(|@import", attributes.get("style") or "")
        assert attributes.get("src", "data:image/png;base64,").startswith("data:image/png;base64,")
        assert re.match(r"(?:https?:|mailto:|#|index\.html$|[0-9a-z_]+\.html$)", attributes.get("href", "#")), (
            attributes
        )
        assert tag == "meta" or "http-equiv" not in attributes
    assert mark(text) == text


@pytest.fixture(scope="module")
def empty_course(tmp_path_factory):
    """Three notebooks of the course, and a gradebook that knows them."""
    root = tmp_path_factory.mktemp("feedback")
    (root / "source").symlink_to(ROOT / "source")
    shutil.copy(ROOT / "nbgrader_config.py", root)
    course = Course(root, f"sqlite:///{root}/gradebook.db")
    course.notebooks.mkdir(parents=True)
    for name in NAMES:
        shutil.copy(ROOT / "notebooks" / ASSIGNMENT / f"{name}.ipynb", course.notebooks)
    with open_gradebook(course) as gradebook:
        gradebook.add_assignment(ASSIGNMENT)
        for name, notebook in course.released.items():
            gradebook.add_notebook(name, ASSIGNMENT)
            for cell in notebook.cells:
                about = cell.metadata.get("nbgrader", {})
                place, kind = (about.get("grade_id"), name, ASSIGNMENT), {"cell_type": cell.cell_type}
                if about.get("grade"):
                    gradebook.add_grade_cell(*place, max_score=about.points, **kind)
                if about.get("solution"):
                    gradebook.add_solution_cell(*place)
                if about:
                    gradebook.add_source_cell(*place, source=cell.source, **kind)
    return course


@pytest.fixture
def course(empty_course, tmp_path):
    """A copy that a test may write to."""
    shutil.copytree(empty_course.root, tmp_path / "course", symlinks=True)
    return Course(tmp_path / "course", f"sqlite:///{tmp_path}/course/gradebook.db")


def result(notebook, exercise, points, of, kind, **more):
    card = f"<div style='padding:1em'><strong>{exercise}</strong> {kind}</div>"
    return Result(notebook, exercise, points, of, kind, card=card, plain=kind, **more)


def grade(
    course, student, answers=(), results=(), names=NAMES, manual=(), moved=(), notes=(), own=(), name=None, told=None
):
    """Put into place what grading leaves: graded notebooks, points in the gradebook, a record."""
    answers, results, manual = dict(answers), {r.exercise: r for r in results}, dict(manual)
    with open_gradebook(course) as gradebook:
        gradebook.update_or_create_student(student, **(name or {}))
        gradebook.update_or_create_submission(ASSIGNMENT, student)
        for notebook in names:
            nb = nbformat.from_dict(json.loads(json.dumps(course.released[notebook])))
            given = []
            for cell in list(nb.cells):
                about = cell.metadata.get("nbgrader", {})
                exercise = about.get("grade_id", "")
                cell.source = answers.get(exercise, cell.source)
                if about.get("grade"):
                    row = gradebook.find_grade(exercise, notebook, ASSIGNMENT, student)
                    if about.locked:
                        found = results.get(exercise) or result(
                            notebook, exercise, about.points, about.points, "passed"
                        )
                        given.append(found.to_dict())
                        row.auto_score, row.needs_manual_grade = found.points, found.kind == "review"
                    else:
                        row.manual_score, row.needs_manual_grade = manual.get(exercise), exercise not in manual
            for source, outputs in own:
                cell = nbformat.v4.new_code_cell(source, outputs=outputs, metadata={METADATA: {"own": True}})
                nb.cells.insert(2, cell)
            nb.metadata[METADATA] = {"seconds": 1.0, "moved": list(moved), "notes": list(notes), "results": given}
            path = course.autograded(student) / f"{notebook}.ipynb"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(nb), encoding="utf-8")
        gradebook.db.commit()
    if told is not None:
        course.records.mkdir(parents=True, exist_ok=True)
        (course.records / f"{student}.json").write_text(json.dumps({"student": student, "error": "", **told}))


def comment(course, student, notebook, cell, text):
    with open_gradebook(course) as gradebook:
        gradebook.find_comment(cell, notebook, ASSIGNMENT, student).manual_comment = text
        gradebook.db.commit()


def pages(course, student):
    """The index, then each page by the name of its file."""
    return {path.stem: Page(path.read_text(encoding="utf-8")) for path in feedback.write(course, student)}


# --- one type from score to page -----------------------------------------------------------------------------------


def test_a_result_comes_back_from_a_notebook_as_it_was():
    one = Result("a", "b", 1.5, 3, "misconception", "uphill", "m", "<b>c</b>", "c", "def b(): ...")
    kept = json.loads(json.dumps({METADATA: {"results": [one.to_dict()], "moved": ["x", "x"], "notes": ["y"]}}))
    assert from_dict(one.to_dict()) == one
    assert results_in(kept) == [one]
    assert sentences(kept, "moved", "notes") == ["x", "y"]


@pytest.mark.parametrize("kept", [None, 1, [], {"results": 3}, {"results": [1, {}, {"points": "x"}, None]}])
def test_metadata_of_any_form_holds_no_results_and_stops_nothing(kept):
    assert results_in({METADATA: kept}) == []
    assert sentences({METADATA: kept}, "moved") == []


def test_points_come_from_the_gradebook_and_words_from_the_notebook(course):
    grade(
        course,
        "ann",
        results=[result(NAMES[1], "momentum_step", 1, 3, "misconception", misconception="uphill", message="Up.")],
    )
    with open_gradebook(course) as gradebook:
        gradebook.find_grade("momentum_step", NAMES[1], ASSIGNMENT, "ann").manual_score = 2.5
        gradebook.db.commit()
    with open_gradebook(course) as gradebook:
        (ann,) = collect(course, gradebook)
        assert collect(course, gradebook, "ann") == [ann]
        assert collect(course, gradebook, "nobody") == []
    (found,) = [r for r in ann.results if r.exercise == "momentum_step"]
    assert (found.points, found.of, found.misconception, found.waiting) == (2.5, 3, "uphill", False)


def test_missing_damaged_failed_and_unmarked_are_told_apart(course):
    grade(course, "ann", names=NAMES[2:], told={"problems": {NAMES[1]: "a.ipynb was handed in, but it is cut off"}})
    grade(course, "ben", names=[], told={"error": "the disk is full"})
    with open_gradebook(course) as gradebook:
        ann, ben = collect(course, gradebook)
    kinds = {(r.notebook, r.kind) for r in ann.results}
    assert kinds == {(NAMES[0], "missing"), (NAMES[1], "damaged"), (NAMES[2], "passed"), (NAMES[2], "by_hand")}
    assert {r.kind for r in ben.results} == {"failed"}
    assert (ann.counts, ben.counts) == (True, False)


def test_a_report_of_nothing_says_what_to_do(course):
    with pytest.raises(CourseError, match="python3 -m lecture_utils grade lecture13"):
        report(replace(course, assignment="lecture13"))


# --- the pages -----------------------------------------------------------------------------------------------------


def test_a_page_holds_what_was_written_the_card_the_comment_and_the_points(course):
    wrong = result(NAMES[1], "momentum_step", 1, 3, "misconception", answer=WRONG)
    grade(course, "ann", {"momentum_step-answer": WRONG}, [wrong], moved=["momentum_step was put back."])
    comment(course, "ann", NAMES[1], "momentum_step-answer", "See <4.1> again.")
    seen = pages(course, "ann")
    assert list(seen) == ["index", *NAMES]
    page = seen[NAMES[1]]
    for text in ("return w - lr * grad, delta # a < b", "Exercise 4.1 momentum_step ◐ 1 of 3", "momentum_step misconception", "See <4.1> again.",
                 "4.1 A velocity", "momentum_step was put back.", "15 of 17 points"):  # fmt: skip
        assert text in page.text, text
    assert "# YOUR CODE HERE" not in page.text  # what was not written is not shown as if it were
    assert "Predict" not in page.text  # the course's text stays in the notebook
    assert [t for t, _ in page.tags if re.fullmatch("h[1-6]", t)][:2] == ["h1", "h2"]
    assert ("html", {"lang": "en"}) in page.tags
    for each in seen.values():
        assert_harmless(each.html)
        assert len(each.html) < 300_000


def test_the_index_tells_every_notebook_what_waits_and_what_to_do(course):
    told = {"problems": {NAMES[1]: "a.ipynb was handed in, but it is cut off"}, "notes": ["photo.jpg was not used."]}
    name = {"first_name": "Ann", "last_name": "Lee"}
    slow = [result(NAMES[2], "to_torch_lr", 0, 2, "timeout")]
    grade(course, "ann", results=slow, names=NAMES[2:], name=name, told=told)
    index = pages(course, "ann")["index"]
    for text in ("Feedback for Lee, Ann", "ann", "was not handed in", "but it is cut off.", "Open it in JupyterLab", "photo.jpg was not used.",
                 "4 not marked yet", "Too slow: the time was over in 1 check (to_torch_lr)"):  # fmt: skip
        assert text.lower() in index.text.lower(), text
    links = [a["href"] for t, a in index.tags if t == "a"]
    assert links == [f"{NAMES[2]}.html"]


def test_marked_by_hand_counts_and_unmarked_is_not_zero(course):
    grade(course, "ann", {"adam_conjecture": "Because $x^2$."})
    before = pages(course, "ann")
    assert "not marked yet, of 4" in before[NAMES[2]].text
    assert "4 not marked yet" in before["index"].text
    grade(course, "ann", {"adam_conjecture": "Because $x^2$."}, manual={"adam_conjecture": 3})
    after = pages(course, "ann")
    assert "Exercise 7.5 adam_conjecture ◐ 3 of 4" in after[NAMES[2]].text
    assert "not marked yet" not in after["index"].text


def test_what_could_not_be_graded_at_all_still_gets_an_index_with_the_reason(course):
    found = feedback.write(
        course, "eve", told={"student": "eve", "error": "the hand-in is 1 TB", "notes": [], "seconds": 0}
    )
    assert [path.name for path in found] == ["index.html"]
    assert "could not be graded: the hand-in is 1 TB" in Page(found[0].read_text()).text


def test_pages_of_an_earlier_hand_in_go_and_nothing_else_comes(course):
    grade(course, "ann")
    for name in ("timestamp.txt", "submission_secret.txt", "checks.json"):
        (course.autograded("ann") / name).write_text("x")
    feedback.write(course, "ann")
    (course.autograded("ann") / f"{NAMES[0]}.ipynb").unlink()
    feedback.write(course, "ann")
    names = {path.name for path in course.feedback("ann").iterdir()}
    # nbgrader's release needs the two texts
    assert names == {"index.html", f"{NAMES[1]}.html", f"{NAMES[2]}.html", "timestamp.txt", "submission_secret.txt"}


def test_nothing_of_another_student_is_on_a_page(course):
    for student, secret in (("ann", "ann_secret = 1"), ("ben", "ben_secret = 2")):
        grade(course, student, {"momentum_step-answer": secret}, own=[(secret, [])], told={"notes": [secret]})
    assert not [page for page in pages(course, "ann").values() if "ben" in page.text]


def test_own_cells_and_their_output_are_shown_up_to_a_budget(course):
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": "\x1b[31mhello\x1b[0m" + "x" * 300_000},
        {"output_type": "display_data", "metadata": {}, "data": {"image/png": PNG, "text/plain": "a figure"}},
        {
            "output_type": "display_data",
            "metadata": {},
            "data": {"image/png": PNG[:40] + '"' + SCRIPT, "text/html": SCRIPT},
        },
    ]
    grade(course, "ann", own=[("print('hello')", outputs)])
    page = pages(course, "ann")[NAMES[0]]
    assert "Cells of your own" in page.text
    assert "hellox" in page.text
    assert "The rest is not shown" in page.text
    assert sum(t == "img" for t, _ in page.tags) == 1
    assert_harmless(page.html)
    assert len(page.html) < 60_000


def test_nothing_that_a_student_writes_gets_out_of_its_place(course):
    bad = SCRIPT + "\u202egnp\u200b</pre>"
    grade(
        course, "ann", {"momentum_step-answer": bad, "adam_conjecture": bad + "\n\n$\\text{" + SCRIPT + "}$ ![](/hub/logout)"},
        [result(NAMES[1], "momentum_step", 0, 3, "crashed", answer=bad)], own=[(bad, [{"output_type": "stream", "name": "stdout", "text": bad}])],
        moved=[bad], notes=[bad], name={"first_name": bad, "last_name": bad}, told={"notes": [bad], "problems": {"x": bad}},
    )  # fmt: skip
    for page in pages(course, "ann").values():
        assert_harmless(page.html)
    assert "⟦U+202E⟧gnp⟦U+200B⟧" in page.text
    assert_harmless(pages(course, "ann")[NAMES[1]].html)


def test_the_same_pages_come_from_nbgraders_own_exporter(course):
    wrong = result(NAMES[1], "momentum_step", 1, 3, "misconception", answer=WRONG)
    grade(course, "ann", {"momentum_step-answer": WRONG}, [wrong])
    ours = {path.name: path.read_text() for path in feedback.write(course, "ann")}
    for folder in (course.autograded("ann"), course.feedback("ann")):
        (folder / "checks.json").write_text("{}")  # nbgrader copies it
    (course.feedback("ann") / "for_ann.txt").write_text("put there by a person")
    exporter = feedback.FeedbackExporter(config=Config({"CourseDirectory": {"root": str(course.root)}}))
    names = {"notebook": NAMES[1], "student": "ann", "assignment": ASSIGNMENT, "db_url": course.db}
    path = course.autograded("ann") / f"{NAMES[1]}.ipynb"
    page, resources = exporter.from_filename(str(path), resources={"nbgrader": names})
    assert page == ours[path.with_suffix(".html").name]
    assert resources["outputs"]["index.html"].decode() == ours["index.html"]
    assert resources["output_extension"] == ".html"
    assert {path.name for path in course.feedback("ann").iterdir()} == {*ours, "for_ann.txt"}


# --- Markdown on our own pages -------------------------------------------------------------------------------------


def test_markdown_is_set_with_formulas_tables_and_pictures_of_its_own():
    text, words = rendered(
        f"**b** $a<b$ and $5 or $6\n\n|x|y|\n|-|-|\n|1|2|\n\n![p](data:image/png;base64,{PNG}) [l](https://x.org)"
    )
    assert words == ""
    for part in (
        "<strong>b</strong>",
        "<mo>&lt;</mo>",
        "$5 or $6",
        "<td>1</td>",
        'alt="p"',
        'rel="noopener noreferrer"',
    ):
        assert part in text


@pytest.mark.parametrize("text", [
    "x" * 20_000, "```" + "\n" * 60_000, "&" + "amp;" * 150_000, "[" * 9_000, "![" * 4_000, "> " * 4_000 + "deep",
    "\n".join("  " * k + "- a" for k in range(130)), "|a" * 100 + "\n" + "|-" * 100 + "\n" + "|x\n" * 500, "\\begin{a}" * 60_000,
])  # fmt: skip
def test_what_would_take_long_or_lose_text_is_shown_as_it_was_written(text):
    shown, words = rendered(text)
    assert words.startswith("This text is shown as it was written")
    assert shown.startswith("<pre>")


@pytest.mark.parametrize("latex", [
    r"\href{javascript:alert(1)}{x}", r"\href{#1script:alert(1)}{x}", r"\style{background:url(//x)}{x}", r"\class{a}{x}",
    r"\color{red\" onclick=\"alert(1)}{x}", r"\text{<script>alert(1)</script>}", r"\mbox{<img src=x onerror=alert(1)>}",
    "{" * 400, r"\frac" * 80, "x" * 2000, r"\begin{matrix}" * 30,
])  # fmt: skip
def test_formulas_neither_run_nor_link_nor_stop_a_page(latex):
    text, _ = rendered(f"before ${latex}$ after")
    assert text.startswith("<p>before")
    assert text.endswith("after</p>\n")
    page = Page(text)
    assert not {t for t, _ in page.tags} & {"script", "img", "a"}
    assert not [a for _, a in page.tags if a.keys() & {"href", "style", "class", "onclick", "mathcolor"}]


# --- Markdown where Jupyter renders it -----------------------------------------------------------------------------

HOSTILE = {
    "script in Markdown": SCRIPT,
    "script links in Markdown": "[a](javascript:alert('MARK')) [b](javascript&#58;alert`MARK`) ![c](x \"onerror=alert`MARK`\") "
    "<javascript:alert`MARK`>\n\n[d]: javascript:alert`MARK`\n[d]\n\n$<script>alert('MARK')</script>$\n\n"
    "```\n</code></pre><script>alert('MARK')</script>\n```",
    "script links in Markdown, split by what a sanitizer takes out": "[a](java<!-- x -->script:alert`MARK`) "
    "[b](java</b>script:alert`MARK`) [c](java</>script:alert`MARK`) [d](javascript&<!---->colon;alert`MARK`) "
    "[e](data<!-- -->:text/html,MARK)",
    "an attachment split by a comment": "![x](attach<!-- -->ment:a)",
    "an attachment": "![a](attachment:a.svg)",
    "a picture that logs out": "![](/hub/logout)",
    "a picture that logs out, by reference": "![x][r]\n\n[r]: /hub/logout",
    "a reference in a quote": "> - [r]: </hub/logout>\n\n[r]",
    "a tracking pixel": "![](https://evil.example/p.png) <img src=//evil.example/p.png>",
    "a picture in another form": "![a](data:image/svg+xml;base64,PHN2Zz4=)",
    "a macro's link": r"$\href{#1script:alert(1)}{x}$ $\def\x{javascript:1}\href{\x}{y}$",
    "a macro written as entities": r"&dollar;&bsol;href{javascript:1}{x}&dollar; &#92;href{a}{b} &#x5c;style{a}{b}",
    "a macro for all pages": r"$\renewcommand{\alpha}{\beta}$ $\gdef\sum{0}$ $\require{html}$ $\unicode{x202e}$",
    "an entity of an entity": "[a](javascript&amp;colon;alert`MARK`) &amp;bsol;href",
    "a diagram": "```mermaid\nclick a href \"javascript:alert(1)\"\n```",
    "a tag that looks like a formula": "a<n} onmouseover=alert(1)> <img, src=x onerror=alert(1)>\n\n<img$ src=x onerror=alert(1)>\n\n<a_ href=/hub>",
    "a reference with a space": "[r]: < /hub/logout>\n\n[r]",
    "an open comment": "<!-- my answer, all of it",
    "an open tag": "<details><summary>x <plaintext> <textarea> <style>*{display:none}",
    "a line turned around": "return w \u202e# gnp.x\u202c \u200b \u2066",
}  # fmt: skip


def by_jupyter(text):
    """As the formgrader and nbconvert show it."""
    from nbconvert.filters import markdown2html

    return markdown2html(text)


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_markdown_is_only_text_where_jupyter_renders_it(what):
    disarmed = disarm(HOSTILE[what])
    page = HTMLTags(by_jupyter(disarmed))
    assert not page.names & {"script", "img", "iframe", "details", "style", "plaintext", "textarea", "summary"}, (
        disarmed
    )
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        assert re.match("https?:|mailto:|#", attributes.get("href") or "#"), (tag, attributes)
        assert "mermaid" not in (attributes.get("class") or "")
    assert not re.search(r"\\(?:href|def|gdef|style|require|unicode|renewcommand)\b", page.text)
    assert not re.search("[\u200b\u202a-\u202e\u2066-\u2069]", page.text)


class HTMLTags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)
        self.close()
        self.names = {tag for tag, _ in self.tags}

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def test_an_open_comment_empties_no_answer():
    assert "my answer, all of it" in HTMLTags(by_jupyter(disarm("<!-- my answer, all of it"))).text


@pytest.mark.parametrize("text", [
    "a < b and b > c, x<=y, x << 2, 3<4", "$a < b$, $$\\sum_{i<n} x_i$$", "\"quotes\" 'single' `code[0]` & more", "R&D; AT&T",
    "[0, 1]: the interval", "see [the docs](https://pytorch.org/docs?a=1&b=2#c) or <https://pytorch.org>", "**b** _i_ ~~s~~",
    "- a\n  1. b\n> q", "| a | b |\n|:--|--:|\n| 1 | 2 |", "H<sub>2</sub>O, x<sup>2</sup>, a<br>b", "```python\nd[k]: int = a[1:2]\n```",
    "\\begin{aligned} a &= b \\\\ c &= d \\end{aligned}", "\\alpha \\defn \\textcolor", "&lt;b&gt; &amp; &alpha; &nbsp;", "wow![1]"[:4],
    "ünï 数学 العربية 👩\u200d💻 می\u200cخواهم", f"![p](data:image/png;base64,{PNG})", "write to [me](mailto:a@b.c) or [up](#top)",
])  # fmt: skip
def test_honest_markdown_stays_as_it_is(text):
    assert disarm(text) == text


def test_a_long_text_is_cut_and_says_so():
    text = disarm("x" * (LENGTH + 5))
    assert len(text) < LENGTH + 200
    assert "5 more characters" in text
    assert "submitted/" in text


def test_marks_name_what_nobody_sees():
    assert mark("a\u202eb\u200bc\x00d\ufeff\U000e0041") == "a⟦U+202E⟧b⟦U+200B⟧c⟦U+0000⟧d⟦U+FEFF⟧⟦U+E0041⟧"
    assert mark("tab\t, end\n, CRLF\r\n, é, 👩\u200d💻") == "tab\t, end\n, CRLF\n, é, 👩\u200d💻"
