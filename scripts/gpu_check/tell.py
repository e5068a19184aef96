"""What does the check say? Markdown of everything that was found."""

from typing import Any


def render(found: dict[str, Any]) -> str:
    """The report without the raw figures."""
    parts = [f"# goldilocks on {found['device']}", "", f"Commit {found['commit']}, by scripts/gpu_check.", ""]
    if found["faults"]:
        parts += ["**Failed:**", "", *(f"- {name}: {fault}" for name, fault in found["faults"].items()), ""]
    if found["late"]:
        parts += ["No time was left for:", "", *(f"- {name}: {what}" for name, what in found["late"].items()), ""]
    for name, section in (
        ("machine", machine),
        ("parity", parity),
        ("peak", peak),
        ("steps", steps),
        ("torch", torch),
        ("pictures", pictures),
        ("server", server),
    ):
        if found.get(name):
            parts += [f"## {name.capitalize()}", "", *section(found), ""]
    if "seconds" in found:
        took = ", ".join(f"{name} {seconds}" for name, seconds in found["seconds"].items())
        parts += [f"Seconds of each section: {took}", ""]
    return "\n".join(parts)


def machine(found: dict[str, Any]) -> list[str]:
    """What it ran on, and what the program itself says of it."""
    facts = [f"- {name}: {value}" for name, value in found["machine"].items()]
    return [*facts, "", "```", found.get("doctor", "").strip(), "```"]


def parity(found: dict[str, Any]) -> list[str]:
    """Errors beside their tolerances."""
    note = (
        "Against diffusers on a processor in f32. Networks: largest difference over largest value, rows at timesteps "
        "1, 421 and 999 in one batch. Trajectories: relative L2 of the final latents."
    )
    rows = []
    for row in found["parity"]:
        within = "yes" if row["error"] < row["tolerance"] else "**no**"
        rows.append([row["name"], row["dtype"], f"{row['error']:.1e}", f"{row['tolerance']:.0e}", within])
    return [note, "", *table(["what", "dtype", "error", "tolerance", "within"], rows)]


def peak(found: dict[str, Any]) -> list[str]:
    """Operations per second of the largest products."""
    peaks = found["peak"].items()
    return [f"- {dtype}: {peak['gflops'] / 1000:.2f} TFLOP/s, {peak['measured_by']}" for dtype, peak in peaks]


def steps(found: dict[str, Any]) -> list[str]:
    """Time, share of the peak and memory of every U-Net and batch."""
    note = "One evaluation, from numbers in the machine's memory to numbers in its memory; the device is waited for."
    head = ["U-Net", "dtype", "ms", "TFLOP/s", "share of peak", "MiB"]
    return [note, "", *table(head, [step(found, row) for row in found["steps"]])]


def step(found: dict[str, Any], row: dict[str, Any]) -> list[str]:
    """One line of figures."""
    tflops = row["gflop"] / row["ms"]
    reached = found.get("peak", {}).get(row["dtype"])
    share = f"{1000 * tflops / reached['gflops']:.0%}" if reached else ""
    memory = "" if row.get("mebibytes") is None else f"{row['mebibytes']:.0f}"
    return [row["title"], row["dtype"], f"{row['ms']:.2f}", f"{tflops:.3g}", share, memory]


def torch(found: dict[str, Any]) -> list[str]:
    """Ours beside PyTorch, case by case."""
    ours = {row["name"]: row["ms"] for row in found.get("steps", []) if row["dtype"] == "bf16"}
    rows = []
    for row in found["torch"]:
        own = ours.get(row.get("name"))
        time = f"{row['ms']:.2f}" if "ms" in row else row.get("fault", "")
        ratio = f"{row['ms'] / own:.2f}" if own and "ms" in row else ""
        ready = f"{row['ready_after_seconds']:.0f}" if "ready_after_seconds" in row else ""
        rows.append([row.get("title", ""), row["way"], time, f"{own:.2f}" if own else "", ratio, ready])
    note = "bf16, diffusers' U-Net. The ratio is how many times as long PyTorch takes: above 1 ours is faster."
    return [note, "", *table(["U-Net", "PyTorch", "ms", "ours, ms", "ratio", "ready after s"], rows)]


def pictures(found: dict[str, Any]) -> list[str]:
    """Whole pictures and the decoder."""
    head = ["what", "dtype", "ms", "TFLOP/s", "share of peak", "MiB"]
    return table(head, [step(found, row) for row in found["pictures"]])


def server(found: dict[str, Any]) -> list[str]:
    """Pictures a second by clients."""
    first, *crowds = found["server"]
    ready = first["ready_after_seconds"]
    note = f"`goldilocks serve` was ready after {ready:.1f} s. Every client asks for emoji-c32, 20 guided steps."
    rows = []
    for row in crowds:
        figures = (row["pictures_per_second"], row["median_ms"], row["p95_ms"])
        figures = ["" if value is None else f"{value:.1f}" for value in figures]
        rows.append([str(row["clients"]), *figures, str(row["refused"])])
    return [note, "", *table(["clients", "pictures/s", "median ms", "p95 ms", "refused"], rows)]


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a Markdown table, numbers to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return ["| " + " | ".join(line) + " |" for line in (head, rule, *rows)]
