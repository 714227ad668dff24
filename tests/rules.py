"""Update rules as a student might write them, and data in double precision, for the tests of training."""

import dataclasses


def double(data):
    return dataclasses.replace(data, x=data.x.double(), x_val=data.x_val.double(), x_test=data.x_test.double())


def gradient_step(w, grad, lr):
    return w - lr * grad


def momentum_step(w, grad, delta, lr, alpha):
    delta = alpha * delta + lr * grad
    return w - delta, delta


def momentum_in_place(w, grad, delta, lr, alpha):
    delta *= alpha
    delta += grad.mul_(lr)
    w -= delta
    return w, delta


def heavy_ball_step(w, grad, last_w, lr, alpha):
    """Momentum by the last two points; keeps what it was given. ``last_w`` is None at first."""
    return w - lr * grad + (0 if last_w is None else alpha * (w - last_w)), w


def rmsprop_step(w, grad, r, lr, beta, eps):
    r = beta * r + (1 - beta) * grad**2
    return w - lr * grad / (r.sqrt() + eps), r


def adam_step(w, grad, m, r, t, lr, beta1, beta2, eps):
    t = t + 1
    m = beta1 * m + (1 - beta1) * grad
    r = beta2 * r + (1 - beta2) * grad**2
    return w - lr * (m / (1 - beta1**t)) / ((r / (1 - beta2**t)).sqrt() + eps), m, r, t
