"""Rubric of 00_start_here."""

from lecture_utils.instructor.authoring.cases import dropping, steps
from lecture_utils.instructor.authoring.exercise import exercise


@exercise("00_start_here", points=1, returns="w")
def gradient_step(w, grad, lr):
    w = w - lr * grad
    return w


STEP = "the step itself is returned, not the place where it leads."

for name, before, after, message in [
    ("uphill", "w - lr * grad", "w + lr * grad",
     "a step up the hill. The gradient points to where the loss grows; a step should make it smaller."),
    ("lr_forgotten", "lr * grad", "grad",
     "the whole gradient as a step. The learning rate decides how much of it is used, and it does nothing here."),
    ("nothing_returned", "return w", "",
     "nothing comes back. A function hands over only what stands behind `return`, even where it changes w in place."),
    ("nothing_happens", "w = w - lr * grad", "", "w comes back unchanged. Does the new value reach the `return`?"),
    ("step_returned", "w - lr * grad", "lr * grad", STEP),
    ("downhill_step_returned", "w - lr * grad", "-lr * grad", STEP),
    ("lr_on_w", "w - lr * grad", "lr * (w - grad)",
     "the learning rate scales w. It should scale the gradient only: with a zero gradient w must stay put."),
]:  # fmt: skip
    gradient_step.slip(name, before, after, message)

gradient_step.equivalent("`grad` and `lr` are exchanged everywhere.", "they are multiplied")


@gradient_step.cases
def _(random):
    lr = round(random.uniform(0.22, 0.38), 2)
    return [
        steps(random, {}, {"lr": dropping(lr)}),
        steps(random, {}, {"lr": round(lr / 2, 3)}, shapes=((2, 2), ()), dtype="float32"),
    ]
