# SPDX-License-Identifier: Apache-2.0
"""Bar charts as SVG, without any library.

A chart has sections (one per workload); a section has bars (one per target) with a value, a range
and a label. The axis is linear or logarithmic and has a line at a reference value, if there is one.
"""
import math
from html import escape

# Distinguishable also for colour-blind readers (Okabe and Ito).
COLOURS = {
    "fuse": "#E69F00", "peer": "#CC79A7", "kernel": "#0072B2", "nobpf": "#56B4E9", "rules": "#009E73",
    "tmpfs": "#999999", "ext4": "#666666", "ceiling": "#D55E00", "bare TCP": "#B8A000",
}
BAR, GAP, LEFT, WIDTH, RIGHT, TOP = 13, 14, 250, 560, 130, 64


def text(x, y, words, size=12, anchor="start", fill="#222", weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}" '
            f'font-weight="{weight}">{escape(words)}</text>')


def number(value):
    """Three digits, no exponent."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


class Axis:
    def __init__(self, values, log):
        values = [v for v in values if v > 0] or [1]
        self.log = log
        if log:
            self.low = math.floor(math.log10(min(values)) - 0.05)
            self.high = max(math.ceil(math.log10(max(values))), self.low + 1)
        else:
            self.low, self.high = 0, max(values) * 1.05

    def place(self, value):
        if self.log:
            value = math.log10(value) if value > 0 else self.low
        share = (value - self.low) / (self.high - self.low)
        return LEFT + WIDTH * min(max(share, 0), 1)

    def ticks(self):
        if self.log:
            return [10.0 ** e for e in range(int(self.low), int(self.high) + 1)]
        step = 10 ** math.floor(math.log10(self.high))
        while self.high / step < 4:
            step /= 2
        return [i * step for i in range(int(self.high / step) + 1)]


def chart(title, unit, sections, log=False, reference=None):
    """sections: [(name, [(target, value, low, high)])]; a bar's label is its value."""
    bars = [bar for _, of_section in sections for bar in of_section]
    axis = Axis([v for bar in bars for v in bar[1:]] + ([reference] if reference else []), log)
    bottom = TOP + sum(len(of_section) * BAR + GAP for _, of_section in sections)
    out = [text(LEFT, 22, title, 16, weight="bold")]
    x = LEFT
    for target in dict.fromkeys(bar[0] for bar in bars):
        out.append(f'<rect x="{x}" y="34" width="11" height="11" fill="{COLOURS.get(target, "#444")}"/>')
        out.append(text(x + 15, 44, target))
        x += 34 + 7 * len(target)
    for tick in axis.ticks():
        at = axis.place(tick)
        out.append(f'<line x1="{at:.1f}" y1="{TOP - 6}" x2="{at:.1f}" y2="{bottom}" stroke="#e2e2e2"/>')
        out.append(text(at, bottom + 16, f"{tick:,.0f}" if tick >= 1 else f"{tick:g}", 11, "middle", "#555"))
    out.append(text(LEFT + WIDTH / 2, bottom + 36, unit, 12, "middle", "#555"))
    y = TOP
    for name, of_section in sections:
        out.append(text(LEFT - 8, y + (len(of_section) * BAR) / 2 + 4, name, 12, "end"))
        for target, value, low, high in of_section:
            start, end = sorted((axis.place(reference or (10.0 ** axis.low if log else 0)), axis.place(value)))
            out.append(f'<rect x="{start:.1f}" y="{y + 1}" width="{max(end - start, 1):.1f}" height="{BAR - 2}" '
                       f'fill="{COLOURS.get(target, "#444")}"><title>{escape(target)}: {number(value)}</title></rect>')
            middle = y + BAR / 2
            if high > low:
                out.append(f'<path d="M{axis.place(low):.1f} {middle}H{axis.place(high):.1f}m0 -3v6" '
                           f'stroke="#000" stroke-opacity="0.55" fill="none"/>')
            out.append(text(max(end, axis.place(high)) + 5, y + BAR - 3, number(value), 10, fill="#444"))
            y += BAR
        y += GAP
    if reference:
        at = axis.place(reference)
        out.append(f'<line x1="{at:.1f}" y1="{TOP - 6}" x2="{at:.1f}" y2="{bottom}" stroke="#000" stroke-dasharray="4 3"/>')
    width, height = LEFT + WIDTH + RIGHT, bottom + 50
    return (f'<!-- SPDX-License-Identifier: Apache-2.0 -->\n<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" font-family="DejaVu Sans, Helvetica, Arial, sans-serif">\n'
            f'<rect width="100%" height="100%" fill="#fff"/>\n' + "\n".join(out) + "\n</svg>\n")
