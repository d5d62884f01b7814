"""What is made of the figures: medians, ratios, whether the budgets hold, a table, drawings. Nothing here measures."""

import re
import statistics
from html import escape

from cases import ALL, CASES, CPU, FLOOR, PEERS, Budget, Case

# What is drawn together: file, title, cases.
FIGURES = {
    "small": ("CPU time of one request, 1 KiB", ["proxied-1k", "static-1k", "cached-1k", "cached-304", "cached-1k-h2-50"]),
    "large": ("CPU time of one request, 100 KiB", ["proxied-100k", "static-100k", "cached-100k"]),
    "tls": ("CPU time of one TLS connection", ["tls-new", "tls-resumed"]),
    "latency": ("Latency at half of the rate that each can do", ["p99-half", "p99-half-proxied"]),
    "memory": ("Memory of one idle connection", ["idle-10k", "idle-10k-tls"]),
}

# Read on white and on black alike: nothing is painted behind them.
TEXT = "#7d8590"
COLOURS = {"sluice": "#2f81f7", "nginx": "#57a773", "haproxy": "#c08a3e", "varnish": "#a371c7", FLOOR: "#8b949e"}
WIDTH, NAME_WIDTH, BAR_WIDTH = 720, 90, 520
BAR_HEIGHT, GAP, TITLE_HEIGHT, GROUP_HEIGHT = 16, 4, 34, 26


def summary(figures: dict[str, dict[str, list[float]]], notes: dict, about: dict) -> dict:
    """`figures` has all samples by case and proxy; `about` what the run was made with."""
    cases = {}
    for name, samples in figures.items():
        case = CASES[name]
        median = {proxy: round(statistics.median(values), 3) for proxy, values in samples.items()}
        best = best_of(median, PEERS)
        row = {
            "unit": case.unit, "median": median, "all": {p: [round(v, 3) for v in vs] for p, vs in samples.items()},
            "best_peer": best, "ratio": ratio(median, best), "budget": said(case.budget),
            "holds": holds(median, case.budget),
        }  # fmt: skip
        if any(notes.get(name, {}).values()):
            row["notes"] = notes[name]
        cases[name] = row
    return {**about, "cases": cases}


def best_of(median: dict[str, float], peers: list[str]) -> str | None:
    return min((p for p in peers if p in median), key=median.get, default=None)


def ratio(median: dict[str, float], peer: str | None) -> float | None:
    if peer is None or "sluice" not in median or median[peer] <= 0:
        return None
    return round(median["sluice"] / median[peer], 3)


def said(budget: Budget | None) -> str | None:
    if budget is None:
        return None
    if budget.most is not None:
        return f"≤ {budget.most:g}"
    return f"≤ {budget.times:g} × {'best' if budget.of == PEERS else ' or '.join(budget.of)}"


def holds(median: dict[str, float], budget: Budget | None) -> bool | None:
    """None if there is no budget, or nothing to hold against it."""
    if budget is None or "sluice" not in median:
        return None
    if budget.most is not None:
        return median["sluice"] <= budget.most
    times = ratio(median, best_of(median, budget.of))
    return None if times is None else times <= budget.times


def table(result: dict) -> str:
    """One line for each case; medians."""
    wanted = [name for name in [*ALL, FLOOR] if any(name in row["median"] for row in result["cases"].values())]
    head = f"{'case':17} {'unit':7}" + "".join(f"{name:>10}" for name in wanted)
    lines = [f"{head}   {'ratio to the best':18} {'budget':14} verdict".rstrip()]
    for name, row in result["cases"].items():
        cells = "".join(f"{number(row['median'].get(proxy)):>10}" for proxy in wanted)
        times = "–" if row["ratio"] is None else f"{row['ratio']:.2f} {row['best_peer']}"
        verdict = {True: "holds", False: "does not hold", None: "–"}[row["holds"]]
        lines.append(f"{name:17} {row['unit']:7}{cells}   {times:18} {row['budget'] or '–':14} {verdict}")
    return "\n".join(lines)


def number(value: float | None) -> str:
    """Three digits that say something."""
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def drawings(result: dict) -> dict[str, str]:
    """SVG by file name, for what there are figures of."""
    drawn = {}
    for name, (title, cases) in FIGURES.items():
        rows = [(CASES[case], result["cases"][case]["median"]) for case in cases if case in result["cases"]]
        if rows:
            drawn[f"{name}.svg"] = drawing(title, rows, caption(result))
    return drawn


def caption(result: dict) -> str:
    programs = result.get("versions", {})
    numbers = {name: re.search(r"\d+(\.\d+)+", line) for name, line in programs.items()}
    words = [f"{name} {numbers[name][0]}" for name in ALL if numbers.get(name)]
    words += [f"commit {result['commit']}"] if "commit" in result else []
    words += [f"{result['cores']} cores"] if "cores" in result else []
    return " · ".join([*words, *([result["date"]] if "date" in result else [])])


def drawing(title: str, rows: list[tuple[Case, dict[str, float]]], below: str) -> str:
    """Bars; less is better in all of them."""
    unit = rows[0][0].unit
    most = max(value for _, median in rows for value in median.values()) or 1
    what = f"{title} ({'µs' if unit == CPU else unit}, less is better)"
    parts = [text(0, 16, what, 14, weight="600")]
    top = TITLE_HEIGHT
    for case, median in rows:
        parts.append(text(0, top + 12, case.title, 12))
        top += GROUP_HEIGHT - 6
        for proxy in (p for p in [*ALL, FLOOR] if p in median):
            parts += bar(top, proxy, median[proxy], most)
            top += BAR_HEIGHT + GAP
        top += 10
    parts.append(text(0, top + 10, below, 9))
    size = f'width="{WIDTH}" height="{top + 18}" viewBox="0 0 {WIDTH} {top + 18}"'
    named = f'role="img" aria-label="{escape(what)}"'
    font = 'font-family="system-ui, sans-serif"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size} {named} {font}>', *parts, "</svg>", ""])


def bar(top: int, proxy: str, value: float, most: float) -> list[str]:
    length = max(1.0, BAR_WIDTH * max(0.0, value) / most)
    middle = top + BAR_HEIGHT - 4
    shape = f'<rect x="{NAME_WIDTH}" y="{top}" width="{length:.1f}" height="{BAR_HEIGHT}" rx="2" fill="{COLOURS[proxy]}"/>'
    return [
        text(NAME_WIDTH - 8, middle, proxy, 12, anchor="end"),
        shape,
        text(NAME_WIDTH + length + 6, middle, number(value), 12),
    ]


def text(x: float, y: float, words: str, size: int, weight: str = "400", anchor: str = "start") -> str:
    how = f'font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" fill="{TEXT}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {how}>{escape(words)}</text>'
