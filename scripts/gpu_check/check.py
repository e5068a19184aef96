#!/usr/bin/env python3
"""Does goldilocks compute on this GPU what it computes elsewhere, and how fast? Writes one report.

    python3 check.py [--device cuda:0] [--minutes 9] [--output report.md] [--only SECTION ..]

Run where scripts/gpu_check/pack.py has put it. Sections run in the order of their worth, each within what is left of
the minutes; what fails is told in the report and stops nothing else. `--device cpu` is a rehearsal: the same way with
fewer rows. The report ends in all raw figures as JSON.
"""

import argparse
import json
import os
import sys
import tarfile
import time
import traceback
import zipfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SECTIONS = ("machine", "parity", "peak", "steps", "torch", "pictures", "server", "steps_f32")


def main() -> None:
    """Runs the sections and writes the report after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--output", type=Path, default=Path("report.md"))
    parser.add_argument("--work", type=Path, default=Path("/tmp/gpu_check"), help="what is made on the way: 3 GB")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    args = parser.parse_args()
    unpack(args.work)
    from setting import Setting
    from tell import render

    setting = Setting(args.device, args.work, time.monotonic() + 60 * args.minutes)
    commit = (HERE / "commit").read_text().strip()
    found: dict[str, Any] = {"device": args.device, "commit": commit, "faults": {}, "late": {}}
    for name in SECTIONS:
        if name in args.only:
            print(f"== {name}, {setting.left():.0f} s left", flush=True)
            run(name, setting, found)
            args.output.write_text(render(found))
    args.output.write_text(render(found) + "\n## Raw\n\n```json\n" + json.dumps(found) + "\n```\n")
    print(args.output.read_text().split("\n## Raw", 1)[0])
    if found["faults"]:
        sys.exit(f"failed: {', '.join(found['faults'])}")


def unpack(work: Path) -> None:
    """Makes the programs and the modules of the wheels ready."""
    work.mkdir(parents=True, exist_ok=True)
    with tarfile.open(HERE / "programs.tar.xz") as tar:
        tar.extractall(work / "bin", filter="data")
    site = work / "site"
    for wheel in (HERE / "wheels").glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(site)
    folders = [str(HERE / "repository/bench/peers"), str(site)]
    sys.path[1:1] = folders
    # For the processes that are started.
    before = filter(None, [os.environ.get("PYTHONPATH")])
    os.environ["PYTHONPATH"] = os.pathsep.join([*before, *folders])


def run(name: str, setting: Any, found: dict[str, Any]) -> None:
    """One section; a fault is kept, and what was found until then too."""
    import sections
    from setting import Late

    start = time.monotonic()
    try:
        getattr(sections, name)(setting, found)
    except Late as late:
        found["late"][name] = str(late)
    except Exception as fault:
        traceback.print_exc()
        found["faults"][name] = f"{type(fault).__name__}: {fault}"
    found.setdefault("seconds", {})[name] = round(time.monotonic() - start, 1)


if __name__ == "__main__":
    main()
