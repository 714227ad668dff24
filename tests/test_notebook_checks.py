"""What `check`, `passed` and `scoreboard` show in a notebook, run in a real kernel."""

import os
import shutil

import nbformat
import pytest
from conftest import EXERCISES
from jupyter_client import KernelManager
from nbclient import NotebookClient

from lecture_utils.checks.quiz import which_set


@pytest.fixture(scope="module")
def kernel():
    """One for most tests: torch takes its time to import."""
    manager = KernelManager()
    manager.start_kernel()
    yield manager
    manager.shutdown_kernel(now=True)


AFRESH = """%reset -f
import os
os.chdir({!r})
from lecture_utils.checks import notebook
notebook.forget()"""


@pytest.fixture
def run(tmp_path, checks_file, kernel):
    """Run cells beside a checks.json; what each showed, as (text, html, error name). ``env``: in a kernel of their own."""
    for name in ("checks.json", "checks.npz"):
        shutil.copy(checks_file.with_name(name), tmp_path)

    def run(*cells, file=True, env=None):
        if not file:
            (tmp_path / "checks.json").unlink()
            (tmp_path / "nbgrader_config.py").touch()  # a course's root: the search ends here
        notebook = nbformat.v4.new_notebook(
            cells=[
                nbformat.v4.new_code_cell(c)
                for c in (
                    AFRESH.format(str(tmp_path)),
                    "from lecture_utils.checks import check, passed, scoreboard",
                    *cells,
                )
            ]
        )
        if env:
            NotebookClient(notebook, allow_errors=True).execute(env=env)
        else:
            NotebookClient(notebook, km=kernel, allow_errors=True).execute(reset_kc=True)
        return [show(c) for c in notebook.cells[2:]]

    return run


def show(cell):
    text = "".join(o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in cell.outputs)
    html = "".join(o.get("data", {}).get("text/html", "") for o in cell.outputs)
    errors = [o for o in cell.outputs if o.output_type == "error"]
    return text, html, errors


RIGHT = "def gradient_step(w, grad, lr):\n    return w - lr * grad"
WRONG = RIGHT.replace("-", "+")


def test_check_shows_a_card_and_no_second_red_line(run):
    _, (text, html, errors) = run(WRONG, "check(gradient_step)")
    assert "a step up the hill" in text
    assert "a step up the hill" in html
    assert not errors


def test_the_card_is_readable_as_text_and_as_html(run):
    _, (text, html, _) = run(WRONG, "check(gradient_step)")
    head = next(line for line in text.splitlines() if "goes in" in line)
    assert head.split() == ["goes", "in", "expected", "yours"]
    assert "→" in next(line for line in text.splitlines() if line.strip().startswith("w "))
    assert html.count("<th scope='col'") == 4
    assert "<strong style='border-bottom" in html  # the first wrong number
    assert "0.1 gradient_step" in html
    assert "href='#0.3" in html


def test_what_is_not_written_yet_is_grey_and_no_mistake(run):
    _, (text, html, errors) = run(
        "def gradient_step(w, grad, lr):\n    raise NotImplementedError()", "check(gradient_step)"
    )
    assert text.startswith("○ gradient_step   not written yet")
    assert "#888888" in html
    assert not errors


def test_check_passes_and_says_that_hidden_cases_remain(run):
    _, (text, html, errors) = run(RIGHT, "check(gradient_step)")
    assert not errors
    assert "Other cases, with other numbers, are drawn at grading" in html
    assert text.startswith("✔ gradient_step")


def test_crash_names_the_students_line(run):
    _, (text, _, _) = run(
        "def gradient_step(w, grad, lr):\n    x = 1\n    return w - lr * gradd", "check(gradient_step)"
    )
    assert "NameError: name 'gradd' is not defined" in text
    assert "return w - lr * gradd    (line 3 of its cell)" in text


def test_misspelt_function_is_explained_once(run):
    _, (text, _, errors) = run(RIGHT.replace("gradient_step", "gradientstep"), "check(gradient_step)")
    assert "There is no function called gradient_step here. You have defined gradientstep" in text
    assert not errors


def test_other_name_errors_are_left_alone(run):
    ((text, html, errors),) = run("check(nothing_like_it)")
    assert (text, html) == ("", "")
    assert [e.ename for e in errors] == ["NameError"]


def test_another_function_than_the_exercise_is_told(run):
    _, (text, _, errors) = run("def helper(x):\n    return x", "check(helper)")
    assert "There is no exercise called 'helper'" in text
    assert len(text) < 400  # not the names of all exercises
    assert not errors


def test_callable_object_is_found_by_the_name_it_has_in_the_notebook(run):
    code = "class Rule:\n    def __call__(self, w, grad, lr):\n        return w - lr * grad\n\ngradient_step = Rule()"
    _, (text, _, errors) = run(code, "check(gradient_step)")
    assert text.startswith("✔ gradient_step")
    assert not errors


def test_the_name_that_is_typed_counts_where_a_function_has_two(run):
    code = "def momentum_step(w, grad, delta, lr, alpha):\n    return w - lr * grad\n\nnesterov_step = momentum_step"
    _, (text, _, _), (other, _, _) = run(code, "check(nesterov_step)", "check( momentum_step )")
    assert text.startswith("✘ nesterov_step")
    assert other.startswith("✘ momentum_step")


def test_a_call_of_what_is_not_written_yet_says_what(run):
    _, (text, _, _) = run("def adam_step(*args):\n    raise NotImplementedError()", "adam_step(1)")
    assert "adam_step is not written yet" in text


def test_result_instead_of_function_is_told(run):
    _, (text, _, _) = run("gradient_step = 3.0", "check(gradient_step)")
    assert "needs the function gradient_step itself" in text


def test_missing_checks_file_is_told_without_a_traceback(run):
    _, (text, _, errors) = run(RIGHT, "check(gradient_step)", file=False)
    assert "checks.json was not found" in text
    assert not errors


def test_endless_loop_in_a_notebook_is_stopped(run):
    import_limit = "import lecture_utils.checks.judge as j; j.judge.__defaults__ = (None, None, 0.3)"
    _, _, (text, _, _) = run(
        import_limit, "def gradient_step(w, grad, lr):\n    while True: pass", "check(gradient_step)"
    )
    assert "Is there a loop that never ends?" in text


def test_passed_waits_for_a_green_check(run):
    guard = "if passed('gradient_step'):\n    print('works')"
    (before, _, _), _, _, (after, _, _) = run(guard, RIGHT, "check(gradient_step)", guard)
    assert "waiting for a green check of gradient_step" in before
    assert after == "works\n"


def test_a_demonstrated_card_counts_nothing(run):
    shown = "from lecture_utils.checks import judge, show_verdict\nshow_verdict(judge(gradient_step), 'uphill')"
    _, (_, html, errors), (board, _, _) = run(WRONG, shown, "scoreboard('00')")
    assert "uphill" in html
    assert "a step up the hill" in html
    assert not errors
    assert "not run yet" in board


def test_scoreboard_counts_in_the_notebooks_order(run):
    board = "scoreboard('04')"
    (fresh, html, _), _, (done, _, _) = run(
        board, "def momentum_step(*a):\n    raise NotImplementedError()\ncheck(momentum_step)", board
    )
    lines = [line.split() for line in fresh.splitlines()]
    assert [line[0] for line in lines if line[0][0].isdigit() and "." in line[0]] == [f"4.{k}" for k in range(1, 8)]
    assert "Is a check cell gone" not in fresh
    assert "Run the check cells first" in fresh
    assert "not run yet" in fresh
    assert "<a href='#4.1" in html
    assert "○ not written yet" in done


def test_scoreboard_counts_points(run):
    _, _, (done, _, _) = run(RIGHT, "check(gradient_step)", "scoreboard('00')")
    assert "1 of 1 points" in done


def test_of_a_question_the_best_try_counts(run):
    """Who goes on trying things does not lose what is right; a function that is broken again is not green any more."""
    ask = "from lecture_utils.checks import check_answer"
    question = EXERCISES["evidence_board"].question
    right = question.answer(which_set("evidence_board", "anna", len(question.numbers)))
    tries = [f"check_answer('evidence_board', {answer!r}, 'anna')" for answer in (right, right[::-1], None)]
    guard = "print(passed('evidence_board'), passed('gradient_step'))"
    cells = [ask, *tries, RIGHT, "check(gradient_step)", WRONG, "check(gradient_step)", guard]
    assert run(*cells)[-1][0].rstrip().endswith("True False")


# --- one cell per question -------------------------------------------------------------------------------------------

ASKS = "from lecture_utils.checks import ask, check_answer\nstudent = 'anna'"
QUESTION = EXERCISES["noise_left"].question
RIGHT_LETTER = QUESTION.answer(QUESTION.numbers_of("anna"))
WRONG_LETTER = next(letter for letter in "ABCD" if letter != RIGHT_LETTER)


def asking(answer):
    return f"noise_left = ask('noise_left', student, {answer})"


CHECK = "check_answer('noise_left', noise_left, student)"


def test_a_question_is_asked_and_answered_in_one_cell(run):
    _, (open_, _, _), (wrong, html, _), (right, _, _), (value, _, _) = run(
        ASKS, asking(None), asking(repr(WRONG_LETTER)), asking(repr(RIGHT_LETTER)), "print(noise_left)"
    )
    asked = QUESTION.shown(QUESTION.numbers_of("anna"))
    assert open_ == asked
    assert wrong.startswith(asked)
    assert f"✘ noise_left   not right: {WRONG_LETTER}" in wrong
    assert f"{QUESTION.number} noise_left" in html
    assert f"✔ noise_left   right: {RIGHT_LETTER}" in right
    assert value == f"{RIGHT_LETTER}\n"


def test_ask_gives_the_answer_back_whatever_goes_wrong(run):
    cells = ["print(ask('nonsense', student, 'B'))", "print(ask('momentum_step', student, 3))"]
    _, (unknown, _, a), (function, _, b), (none, _, c) = run(
        ASKS, *cells, "print(ask('noise_left', object(), [1, {}]))"
    )
    assert not a + b + c
    assert "There is no exercise called 'nonsense'" in unknown
    assert unknown.endswith("B\n")
    assert function.endswith("3\n")
    assert "One of the letters" in none
    assert none.endswith("[1, {}]\n")
    ((text, _, errors),) = run(ASKS + "\nprint(ask('noise_left', student, 'B'))", file=False)
    assert "checks.json was not found" in text
    assert text.endswith("B\n")
    assert not errors


def test_ask_without_an_answer_shows_the_question_and_gives_nothing(run):
    _, (text, _, _) = run(ASKS, "ask('noise_left', student)")
    assert text == QUESTION.shown(QUESTION.numbers_of("anna"))


def test_a_check_says_nothing_twice_and_one_line_where_nothing_is_answered(run):
    _, (early, _, _), _, (again, _, _), (other, _, _) = run(
        ASKS, f"noise_left = None\n{CHECK}", asking(repr(WRONG_LETTER)), CHECK, CHECK.replace("noise_left,", "'xyz',")
    )
    assert early == f"○ {QUESTION.number} noise_left: not written yet"
    assert again == ""
    assert "One of the letters" in other


@pytest.mark.parametrize("mode", ["validate", "build", "autograde"])
def test_under_nbgrader_a_wrong_answer_fails_in_its_check_alone(run, mode):
    env = {**os.environ, "NBGRADER_EXECUTION": mode}
    _, (asked, _, none), (_, _, errors), (_, _, fine), (value, _, passed) = run(
        ASKS, asking(repr(WRONG_LETTER)), CHECK, asking(repr(RIGHT_LETTER)), CHECK, env=env
    )
    assert not none + fine + passed
    assert [e.ename for e in errors] == ["CheckFailed"]
    assert "not right" in errors[0].evalue
    assert ("not right" in asked) == (mode != "autograde")
    assert ("1.0" in value) == (mode == "autograde")  # plain nbgrader reads the score there


# --- typos -----------------------------------------------------------------------------------------------------------

VALIDATING = {**os.environ, "NBGRADER_EXECUTION": "validate"}


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("def gradient_step(w, grad, lr)\n    return w", "Python cannot read line 1: expected ':'. def gradient_step"),
        ("def gradient_step(w, grad, lr):\nreturn w", "line 2: expected an indented block"),
        ("x = max(1,", "line 1: a bracket or a quote is not closed"),
        ("noise_left = ask('noise_left', student, B)", 'B without quotes is a name, and nothing has it. If it is your'),
        ("x = ask('single_example', student, true)", "Python writes True with a capital letter"),
        ("x = ask('single_example', studnt, True)", "Line 1: there is nothing called studnt. Did you mean student?"),
    ],
)  # fmt: skip
def test_a_typo_in_an_answer_is_said_in_one_line(run, cell, said):
    _, (text, _, errors), (rest, _, _) = run(ASKS, cell, "print('goes on')")
    assert said in text
    assert not errors
    assert len(text.splitlines()) <= 1
    assert rest == "goes on\n"


def test_the_check_of_a_cell_with_an_error_says_what_is_wrong_there(run):
    broken = "def gradient_step(w, grad, lr):\n    step = lr * grad\n    return w - step)"
    late = "print(gradd)\ndef momentum_step(w): ..."
    shown = run(
        ASKS,
        broken,
        "check(gradient_step)",
        asking("D"),
        CHECK,
        late,
        "check(momentum_step)",
        RIGHT,
        "check(gradient_step)",
    )
    assert shown[2][0] == "✘ There is no gradient_step: its cell has an error, line 3: unmatched ')'."
    assert shown[4][0] == "✘ There is no noise_left: its cell has an error, line 1: D without quotes."
    assert "its cell has an error, line 1: NameError: name 'gradd' is not defined" in shown[6][0]
    assert not any(shown[k][2] for k in (1, 2, 3, 4, 6))
    assert shown[8][0].startswith("✔ gradient_step")


def test_a_cell_that_is_broken_again_is_told_from_the_version_before(run):
    *_, (text, _, _) = run(RIGHT, WRONG + ")", "check(gradient_step)")
    assert text.startswith(
        "The cell of gradient_step has an error now: line 2: unmatched ')'. This is about the version before.✔"
    )


def test_validate_shows_what_is_wrong_in_the_cell(run):
    cells = ["def gradient_step(w, grad, lr)\n    return w", "check(gradient_step)", asking("D"), CHECK]
    _, (_, _, unread), (_, _, check), (_, _, letter), (_, _, answer) = run(ASKS, *cells, env=VALIDATING)
    assert [e.ename for e in unread] == ["SyntaxError"]
    assert [e.ename for e in check + letter + answer] == ["CheckFailed"] * 3
    assert "its cell has an error, line 1: expected ':'" in "\n".join(check[0].traceback)
    assert "put it in quotes" in "\n".join(letter[0].traceback)
    assert "line 1: D without quotes" in "\n".join(answer[0].traceback)


def test_text_that_code_cannot_read_is_no_error_of_the_cell(run):
    ((text, _, errors),) = run("print('ran')\nexec('x = = 1')")
    assert text == "ran\n"
    assert [e.ename for e in errors] == ["SyntaxError"]


def test_a_missing_id_names_its_cell(run):
    ((text, _, errors),) = run("from lecture_utils.checks import ask\nask('noise_left', student)")
    assert "Run the cell that begins with student =" in text
    assert not errors


def test_an_answer_that_builds_on_another_says_whose_check_to_mend_first(run):
    adam = "def adam_step(w, grad, m, r, t, lr, beta1, beta2, eps): return w - 7 * lr * grad.sin(), m.cos(), r, t + 1"
    right = """
def adam_step(w, grad, m, r, t, lr, beta1, beta2, eps):
    m, r, t = beta1 * m + (1 - beta1) * grad, beta2 * r + (1 - beta2) * grad**2, t + 1
    return w - lr * m / (1 - beta1**t) / ((r / (1 - beta2**t)) ** 0.5 + eps), m, r, t"""
    adamw = """
def adamw_step(w, grad, m, r, t, lr, beta1, beta2, eps, weight_decay):
    return adam_step(w - lr * weight_decay * w, grad, m, r, t, lr, beta1, beta2, eps)"""
    wrong = adamw.replace("- lr", "- 3 * lr")
    checks = [
        adam,
        adamw,
        "check(adamw_step)",
        right,
        "check(adam_step)",
        "check(adamw_step)",
        wrong,
        "check(adamw_step)",
    ]
    _, _, (blamed, _, _), _, _, (passed, _, _), _, (own, _, _) = run(*checks)
    assert "If it calls your adam_step: that one is not right yet" in blamed
    assert passed.startswith("✔ adamw_step")
    assert own.startswith("✘ adamw_step")
    assert "adam_step: that one" not in own


def test_validate_gets_the_whole_message(run):
    validating = {**os.environ, "NBGRADER_EXECUTION": "validate"}
    _, (_, _, errors), (_, _, missing) = run(WRONG, "check(gradient_step)", "check(momentum_step)", env=validating)
    assert [e.ename for e in errors] == ["CheckFailed"]
    assert "a step up the hill" in "\n".join(errors[0].traceback)
    assert "goes in" in "\n".join(errors[0].traceback)
    assert [e.ename for e in missing] == ["CheckFailed"]
    assert "There is no function called momentum_step here" in missing[0].evalue
