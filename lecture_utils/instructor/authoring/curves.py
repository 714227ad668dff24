"""The curves of a question: the mean loss of SGD on a noisy parabola, for several rates, as words and as a picture.

The picture is an SVG of our own: a few lines, the same bytes on every machine, small enough to travel in checks.json.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from html import escape
from typing import Any

from lecture_utils.figures import CYCLE

WIDTH, HEIGHT = 520, 270
LEFT, RIGHT, TOP, BOTTOM = 62, 40, 12, 44  # margins
DASHES = ("", "7 4", "2 3", "10 3 2 3")
COLORS = tuple(look["color"] for look in CYCLE)  # of no method: the curves differ in their rates


def drawn(about: dict[str, Any], evaluate: Callable[[str, int], float]) -> tuple[str, str]:
    """A description and a data: address of a picture. ``about`` is a record's ``curves``: h, noise, steps, rates {name: η}.

    ``evaluate`` works out one of its expressions, in which ``t`` is the step.
    """
    h, noise = (evaluate(about[key], 0) for key in ("h", "noise"))
    lines = {
        name: losses(h, noise, [evaluate(rate, t) for t in range(about["steps"])])
        for name, rate in about["rates"].items()
    }
    alt = described(lines, about["steps"])
    picture = base64.b64encode(svg(lines, alt).encode()).decode()
    return alt, f"data:image/svg+xml;base64,{picture}"


def losses(h: float, noise: float, rates: list[float]) -> list[float]:
    """The mean of ½hw² over many runs from w = 1, before each step and after the last, for gradients hw + ``noise``'s root · N(0, 1)."""
    square = 1.0
    found = [h / 2]
    for lr in rates:
        square = (1 - lr * h) ** 2 * square + lr**2 * noise
        found.append(h / 2 * square)
    return found


def described(lines: dict[str, list[float]], steps: int) -> str:
    """The curves as numbers: who cannot see them can read them just as well."""
    at = [0, steps // 20, steps // 10, steps // 4, steps // 2, steps]
    told = [f"{name}: {', '.join(f'{values[t]:.2g}' for t in at)}" for name, values in lines.items()]
    return f"Mean loss, on a logarithmic axis, at the steps {', '.join(map(str, at))}. {'; '.join(told)}."


def svg(lines: dict[str, list[float]], alt: str) -> str:
    """The curves over a logarithmic axis, each with its name at its end."""
    every = [value for values in lines.values() for value in values]
    low, high = math.floor(math.log10(min(every))), math.ceil(math.log10(max(every)))
    steps = len(next(iter(lines.values()))) - 1

    def x(t: float) -> float:
        return LEFT + t / steps * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (high - math.log10(value)) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [_frame(low, high, steps, x, y)]
    ends = _apart({name: y(values[-1]) for name, values in lines.items()})
    for k, (name, values) in enumerate(lines.items()):
        shown = [*range(0, steps, max(1, steps // 50)), steps]
        points = " ".join(f"{x(t):.1f},{y(values[t]):.1f}" for t in shown)
        dash, color = DASHES[k % len(DASHES)], COLORS[k % len(COLORS)]
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2" stroke-dasharray="{dash}"/>'
        )
        parts.append(f'<text x="{WIDTH - RIGHT + 8}" y="{ends[name] + 5:.1f}" font-weight="bold">{escape(name)}</text>')
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    style = 'font-family="DejaVu Sans, Arial, sans-serif" font-size="13"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style} role="img" aria-label="{escape(alt)}">'
    return f'{head}<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>'


def _frame(low: int, high: int, steps: int, x: Callable, y: Callable) -> str:
    """Axes with their numbers: a line for each power of ten, or for every second or third."""
    parts, every = [], math.ceil((high - low) / 6)
    for power in range(low, high + 1, every):
        at = y(10.0**power)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ccc"/>')
        label = f'10<tspan dy="-5" font-size="9">{str(power).replace("-", "−")}</tspan>'
        parts.append(f'<text x="{LEFT - 6}" y="{at + 5:.1f}" text-anchor="end">{label}</text>')
    for t in (steps * k // 4 for k in range(5)):
        parts.append(f'<text x="{x(t):.1f}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{t}</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text x="{x(steps / 2):.1f}" y="{HEIGHT - 8}" text-anchor="middle">step</text>')
    turned = f'x="14" y="{middle:.0f}" transform="rotate(-90 14 {middle:.0f})" text-anchor="middle"'
    return "".join([*parts, f"<text {turned}>mean loss</text>"])


def _apart(ends: dict[str, float]) -> dict[str, float]:
    """Heights of names, moved so that none stands on another."""
    found: dict[str, float] = {}
    below = -math.inf
    for name in sorted(ends, key=ends.__getitem__):
        found[name] = below = max(ends[name], below + 15)
    return found
