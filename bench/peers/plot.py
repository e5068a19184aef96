"""What do results.json look like? Draws how many times as long each peer takes as we do, as one SVG.

python bench/peers/plot.py [--results FILE ..] [--threads N] OUTPUT.svg
"""

import argparse
import json
import math
import statistics
from html import escape
from pathlib import Path
from typing import Any

from engines import BF16, F16, F32, HERE, OURS, rival
from measure import Timing
from report import threads_of

WIDTH, LABELS, RIGHT, ROW, HEAD = 860, 330, 20, 24, 64
TICKS = (0.5, 1, 2, 5, 10, 20, 50, 100)
# A colour that also those tell apart who see few of them, and a shape, for each peer, whatever its precision.
MARKS = {
    "candle": ("#e69f00", "M-5 4L0 -5L5 4Z"),
    "torch": ("#d55e00", "M-5 -4L0 5L5 -4Z"),
    "torch-compile": ("#cc79a7", "M-4 -4H4V4H-4Z"),
    "onnxruntime": ("#56b4e9", "M0 -5L5 0L0 5L-5 0Z"),
    "openvino": ("#0072b2", "M-5 0A5 5 0 1 0 5 0A5 5 0 1 0 -5 0Z"),
    "stable-diffusion.cpp": ("#009e73", "M-2 -5H2V-2H5V2H2V5H-2V2H-5V-2H-2Z"),
}
PANELS = (
    ("f32, as many times as long as goldilocks", (*F32[1:], *F16)),
    ("bf16, as many times as long as goldilocks-bf16", BF16),
)


def seconds(row: dict[str, Any], name: str) -> float:
    """The median over the rounds of each round's median, as in RESULTS.md."""
    return statistics.median(Timing(row["engines"][name]["rounds"]).figures())


def ratios(row: dict[str, Any], names: tuple[str, ...]) -> dict[str, float]:
    """Each peer's median over ours."""
    there = {name: engine for name, engine in row["engines"].items() if engine["rounds"]}
    return {name: seconds(row, name) / seconds(row, rival(name, there)) for name in names if name in there}


def x(ratio: float) -> float:
    """Where a ratio is drawn, on a logarithmic axis."""
    low, high = math.log(TICKS[0]), math.log(TICKS[-1])
    share = (math.log(ratio) - low) / (high - low)
    return LABELS + (WIDTH - LABELS - RIGHT) * min(max(share, 0), 1)


def mark(name: str, at: float, top: float) -> str:
    """One peer's mark."""
    colour, shape = MARKS[name.removesuffix("-f32").removesuffix("-bf16")]
    return f'<path d="{shape}" fill="{colour}" fill-opacity=".85" transform="translate({at:.1f} {top:.1f})"><title>{name}</title></path>'


def panel(rows: list[dict[str, Any]], title: str, names: tuple[str, ...], top: float) -> tuple[list[str], float]:
    """Returns one panel's parts and where it ends."""
    there = [name for name in names if any(name in row["engines"] for row in rows)]
    parts = [f'<text x="8" y="{top + 18}" font-weight="bold">{title}</text>']
    at = 8.0
    for name in there:
        parts += [mark(name, at + 6, top + 38), f'<text x="{at + 16:.0f}" y="{top + 42}">{name}</text>']
        at += 34 + 7 * len(name)
    start, end = top + HEAD, top + HEAD + ROW * len(rows)
    for tick in TICKS:
        colour = "#444" if tick == 1 else "#ddd"
        parts.append(f'<path d="M{x(tick):.1f} {start}V{end}" stroke="{colour}"/>')
        parts.append(f'<text x="{x(tick):.1f}" y="{end + 16}" text-anchor="middle">{tick:g}</text>')
    for place, row in enumerate(rows):
        middle = start + ROW * (place + 0.5)
        label = row["title"].split(",")[0] if "steps" in row["title"] else row["title"]
        parts.append(f'<text x="{LABELS - 12}" y="{middle + 4}" text-anchor="end">{escape(label)}</text>')
        parts += [mark(name, x(ratio), middle) for name, ratio in ratios(row, names).items()]
    return parts, end + 40


def draw(rows: list[dict[str, Any]], threads: int) -> str:
    """The whole picture."""
    parts: list[str] = []
    top = 0.0
    for title, names in PANELS:
        of_panel, top = panel(rows, f"{title}, {threads_of(threads)}", names, top)
        parts += of_panel
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top:.0f}" font-family="sans-serif" font-size="12">'
        f'<rect width="{WIDTH}" height="{top:.0f}" fill="white"/>'
    )
    return "\n".join([head, *parts, "</svg>", ""])


def main() -> None:
    """Reads and draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--results", type=Path, nargs="+", default=[HERE / "results.json", HERE / "sd15" / "results.json"]
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("output", type=Path)
    args = parser.parse_args()
    rows = [row for path in args.results for row in json.loads(path.read_text())["rows"]]
    rows = [row for row in rows if row["threads"] == args.threads and OURS in row["engines"]]
    args.output.write_text(draw(rows, args.threads))


if __name__ == "__main__":
    main()
