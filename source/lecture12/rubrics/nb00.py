"""Rubric of 00_start_here."""

from lecture_utils.checks.cases import dropping, stepping
from lecture_utils.checks.exercise import Exercise, Misconception


def gradient_step(w, grad, lr):
    return w - lr * grad


def cases(random):
    lr = round(random.uniform(0.1, 0.4), 2)
    return [
        stepping(random, {}, {"lr": dropping(lr)}),
        stepping(random, {}, {"lr": round(lr / 2, 3)}, shapes=((2, 2), (4,)), dtype="float32"),
    ]


EXERCISES = [
    Exercise(
        "gradient_step",
        notebook="00_start_here",
        points=1,
        observer="steps",
        settings={"arguments": ["w", "grad", "lr"], "returns": ["w"]},
        cases=cases,
        reference=gradient_step,
        rtol=1e-5,
        misconceptions=(
            Misconception(
                "uphill",
                "a step up the hill. The gradient points to where the loss grows; a step should make it smaller.",
                lambda w, grad, lr: w + lr * grad,
            ),
            Misconception(
                "lr_forgotten",
                "the whole gradient as a step. The learning rate decides how much of it is used, and it does nothing here.",
                lambda w, grad, lr: w - grad,
            ),
            Misconception(
                "nothing_returned",
                "the new w is computed and then lost. A function hands back only what stands behind `return`.",
                lambda w, grad, lr: None,
            ),
            Misconception(
                "step_returned",
                "the step itself is returned, not the place where it leads.",
                lambda w, grad, lr: lr * grad,
            ),
            Misconception(
                "downhill_step_returned",
                "the step itself is returned, not the place where it leads.",
                lambda w, grad, lr: -lr * grad,
            ),
            Misconception(
                "lr_on_w",
                "the learning rate scales w. It should scale the gradient only: with a zero gradient w must stay put.",
                lambda w, grad, lr: lr * (w - grad),
            ),
            Misconception(
                "nothing_happens",
                "w comes back unchanged. Does the new value reach the `return`?",
                lambda w, grad, lr: w,
            ),
        ),
    )
]
