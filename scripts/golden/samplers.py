"""Makes tests/golden/samplers.json: what diffusers' DDIM, DPM-Solver++ and LCM schedulers do.

Every trajectory starts from the same four numbers and asks the same stand-in for a network,
`output[i] = 0.6 * x[i] + 0.4 * sin(0.01 * timestep + i)`. Recorded are the timesteps and the last x,
or null where it is not finite (DDIM or LCM with epsilon prediction from pure noise). The noise that LCM
adds after step k, counted from 1, is given: `noise[i] = 1.5 * cos(2.3 * k + 1.7 * i)`.

`spacing` checks the timesteps of *every* step count from 1 to 1000: for fifty step counts at a time,
the sum of timestep * (31 * steps + 7 * index + 1). A timestep of -1, which diffusers appends to
trailing spacing at some step counts, is left out; step counts that diffusers itself cannot run are
skipped and listed; LCM's are all beyond `original_inference_steps`.

Run from the root of the repository, with torch and diffusers installed: python scripts/golden/samplers.py
"""

import json

import diffusers
import numpy
import torch
from diffusers.schedulers import scheduling_lcm

BASE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "prediction_type": "epsilon",
    "rescale_betas_zero_snr": False,
}
SPACINGS = [
    {"timestep_spacing": "leading", "steps_offset": 1},
    {"timestep_spacing": "trailing"},
    {"timestep_spacing": "linspace"},
]
STEPS = {
    "ddim": [1, 2, 4, 7, 8, 20, 48, 50],
    "dpmpp_2m": [1, 2, 4, 7, 8, 20, 48, 50],
    "lcm": [1, 2, 3, 4, 5, 6, 7, 8],
}
START = [0.3, -1.2, 0.8, 2.1]


def sampler(kind, config):
    if kind == "lcm":
        return diffusers.LCMScheduler.from_config(config)
    ddim = diffusers.DDIMScheduler.from_config(config)
    if kind == "ddim":
        return ddim
    return diffusers.DPMSolverMultistepScheduler.from_config(ddim.config)


def network(x, timestep):
    phase = 0.01 * int(timestep) + numpy.arange(len(START))
    return 0.6 * x + torch.tensor(0.4 * numpy.sin(phase), dtype=torch.float32)


def noise(k):
    waves = 1.5 * numpy.cos(2.3 * k + 1.7 * numpy.arange(len(START)))
    return torch.tensor(waves, dtype=torch.float32)


def run(kind, configs, index, steps):
    draws = iter(range(1, steps))
    scheduling_lcm.randn_tensor = lambda *_, **__: noise(next(draws))
    solver = sampler(kind, configs[index])
    solver.set_timesteps(steps)
    x = torch.tensor(START, dtype=torch.float32)
    largest = 0.0
    for timestep in solver.timesteps:
        x = solver.step(network(x, timestep), timestep, x).prev_sample
        largest = max(largest, x.abs().max().item())
    finite = bool(torch.isfinite(x).all())
    return {
        "sampler": kind,
        "config": index,
        "steps": steps,
        "timesteps": solver.timesteps.tolist(),
        "x": x.tolist() if finite else None,
        "largest": largest if finite else None,
    }


def timesteps(solver, steps):
    """The timesteps, or None where diffusers would read outside the schedule or stand still."""
    try:
        solver.set_timesteps(steps)
    except ValueError:  # LCM beyond original_inference_steps
        return None
    found = [t for t in solver.timesteps.tolist() if t >= 0]
    falling = all(a > b for a, b in zip(found, found[1:]))
    return found if falling and len(found) == steps and found[0] < 1000 else None


def spacing(kind, configs, index):
    solver = sampler(kind, configs[index])
    sums, refused = [0] * 20, []
    for steps in range(1, 1001):
        found = timesteps(solver, steps)
        if found is None:
            refused.append(steps)
            continue
        sums[(steps - 1) // 50] += sum(t * (31 * steps + 7 * i + 1) for i, t in enumerate(found))
    return {"sampler": kind, "config": index, "sums": sums, "refused": refused}


def alpha_bars(config):
    cumulative = sampler("ddim", config).alphas_cumprod
    return [(t, cumulative[t].item()) for t in [0, 1, 20, 250, 500, 750, 979, 998]]


def main():
    kinds = list(STEPS)
    configs = [
        {**BASE, **how, "prediction_type": prediction, "rescale_betas_zero_snr": zero}
        for how in SPACINGS
        for prediction in ["epsilon", "v_prediction"]
        for zero in [False, True]
    ]
    linear = {"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02, "set_alpha_to_one": True}
    configs.append({**BASE, **linear, "timestep_spacing": "leading"})
    # No spacing: each class has its own default.
    configs.append({**BASE, "steps_offset": 1})
    configs.append({**configs[7], "prediction_type": "sample"})
    # What only consistency models know of: 30 does not divide 1000, and the boundary condition is felt.
    consistency = {"original_inference_steps": 30, "timestep_scaling": 0.002}
    configs.append({**configs[3], **consistency})
    golden = {
        "made_by": "scripts/golden/samplers.py",
        "diffusers": diffusers.__version__,
        "torch": torch.__version__.split("+")[0],
        "classes": {
            "ddim": "DDIMScheduler",
            "dpmpp_2m": "DPMSolverMultistepScheduler.from_config(ddim.config)",
            "lcm": "LCMScheduler",
        },
        "start": START,
        "configs": configs,
        "alpha_bars": {"plain": alpha_bars(configs[0]), "zero_snr": alpha_bars(configs[1])},
        "trajectories": [run(k, configs, c, s) for k in kinds for c in range(len(configs)) for s in STEPS[k]],
        "spacing": [spacing(k, configs, c) for k in kinds for c in ((0, 15) if k == "lcm" else (0, 4, 8))],
    }
    with open("tests/golden/samplers.json", "w") as file:
        json.dump(golden, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
