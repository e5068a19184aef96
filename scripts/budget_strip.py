"""What does a budget buy? One prompt and seed under several budgets, side by side.

Asks a running server (standard library and Pillow only) and writes one PNG with the pictures from
left to right, and a Markdown table of the plans to standard output:

    python scripts/budget_strip.py --output docs/pictures/budgets.png
"""

import argparse
import base64
import io
import json
import urllib.request

from PIL import Image

GAP = 4


def ask(server: str, prompt: str, seed: int, tflops: float) -> dict:
    """Returns the server's reply to one budgeted request."""
    body = {"prompt": prompt, "seed": seed, "budget": {"tflops": tflops}}
    request = urllib.request.Request(
        f"{server}/v1/images/generations",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply)


def told(plan: dict) -> str:
    """Returns a plan but for its model."""
    parts = [f"{plan['steps']} x {plan['sampler']}, guidance {plan['guidance_scale']:g}"]
    parts += [f"first {stage['share']:.0%} {stage['model']}" for stage in plan["stages"]]
    interval = plan["guidance_interval"]
    if interval:
        high = "" if interval["sigma_high"] is None else f"to {interval['sigma_high']:g}"
        parts.append(f"guided from sigma {interval['sigma_low']:g} {high}".strip())
    if plan["candidates"]:
        parts.append(f"best of {plan['candidates']['n']}")
    return ", ".join(parts)


def row(tflops: float, reply: dict) -> str:
    """Returns one line of the table."""
    plan, actual, score = reply["plan"], reply["actual"], reply["estimate"]["score"]
    worth = "" if score is None else f"{score['mean']:.3f} ± {score['standard_error']:.3f}"
    cells = (
        f"{tflops:g}",
        plan["model"],
        told(plan),
        worth,
        f"{actual['tflops']:.4f}",
        f"{actual['latency_ms']:.0f} ms",
    )
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Draws the strip and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default="http://127.0.0.1:8080")
    parser.add_argument("--prompt", default="three pineapples on a beach")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--tflops", type=float, nargs="+", required=True)
    parser.add_argument("--output", required=True)
    args = parser.parse_args()

    pictures = []
    print("| budget, TFLOP | model | plan | predicted score | TFLOP used | latency |")
    print("| --- | --- | --- | --- | --- | --- |")
    for tflops in args.tflops:
        reply = ask(args.server, args.prompt, args.seed, tflops)
        pictures.append(Image.open(io.BytesIO(base64.b64decode(reply["data"][0]["b64_json"]))))
        print(row(tflops, reply))
    width = sum(picture.width for picture in pictures) + GAP * (len(pictures) - 1)
    strip = Image.new("RGB", (width, max(picture.height for picture in pictures)), "white")
    left = 0
    for picture in pictures:
        strip.paste(picture, (left, 0))
        left += picture.width + GAP
    strip.save(args.output, optimize=True)


if __name__ == "__main__":
    main()
