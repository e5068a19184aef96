"""Makes tests/golden/samplers.json: what diffusers' schedulers do, by goldilocks' names of them.

Every trajectory starts from the same four numbers and asks the same stand-in for a network,
`output[i] = 0.6 * x[i] + 0.4 * sin(0.01 * timestep + i)`. Recorded are the timesteps and the last x,
or null where it is not finite (DDIM, DDPM or LCM with epsilon prediction from pure noise). The noise that
a step k, counted from 1, adds is given: `noise[i] = 1.5 * cos(2.3 * k + 1.7 * i)`. The Euler schedulers
multiply the start by `init_noise_sigma` and divide what the network sees; what is recorded is as the network
sees it, computed in f64 (`double.py`). The ancestral one refuses to predict samples, so that configuration
is left out.

`spacing` checks the timesteps of *every* step count from 1 to 1000: for fifty step counts at a time,
the sum of timestep * (31 * steps + 7 * index + 1). A timestep of -1, which diffusers appends to
trailing spacing at some step counts, is left out; unrounded timesteps count as the nearest f32; step counts that diffusers itself cannot run are
skipped and listed; LCM's are all beyond `original_inference_steps`.

Run from the root of the repository, with torch and diffusers installed: python scripts/golden/samplers.py
"""

import itertools
import json

import diffusers
import numpy
import torch
from diffusers.schedulers import scheduling_ddpm, scheduling_euler_ancestral_discrete, scheduling_lcm
from double import Euler, EulerAncestral

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
    "euler": [1, 2, 4, 7, 8, 20, 48, 50],
    "euler_ancestral": [1, 2, 4, 7, 8, 20, 48, 50],
    "ddpm": [1, 2, 4, 7, 8, 20, 48, 50],
    "lcm": [1, 2, 3, 4, 5, 6, 7, 8],
}
CLASSES = {
    "dpmpp_2m": diffusers.DPMSolverMultistepScheduler,
    "euler": Euler,
    "euler_ancestral": EulerAncestral,
    "ddpm": diffusers.DDPMScheduler,
}
STOCHASTIC = [scheduling_ddpm, scheduling_euler_ancestral_discrete, scheduling_lcm]
START = [0.3, -1.2, 0.8, 2.1]


def sampler(kind, config):
    if kind == "lcm":
        return diffusers.LCMScheduler.from_config(config)
    ddim = diffusers.DDIMScheduler.from_config(config)
    if kind == "ddim":
        return ddim
    return CLASSES[kind].from_config(ddim.config)


def network(x, timestep):
    phase = 0.01 * float(timestep) + numpy.arange(len(START))
    return 0.6 * x + torch.tensor(0.4 * numpy.sin(phase), dtype=x.dtype)


def noise(k):
    waves = 1.5 * numpy.cos(2.3 * k + 1.7 * numpy.arange(len(START)))
    return torch.tensor(waves, dtype=torch.float32)


def run(kind, configs, index, steps):
    draws = itertools.count(1)
    for module in STOCHASTIC:
        module.randn_tensor = lambda *_, **__: noise(next(draws))
    solver = sampler(kind, configs[index])
    solver.set_timesteps(steps)
    dtype = torch.float64 if kind.startswith("euler") else torch.float32
    latents = torch.tensor([START], dtype=dtype) * solver.init_noise_sigma
    path = []
    for timestep in solver.timesteps:
        path.append(solver.scale_model_input(latents, timestep))
        latents = solver.step(network(path[-1], timestep), timestep, latents).prev_sample
    path.append(latents)  # The last level is without noise: there is nothing to scale.
    x = path[-1][0]
    largest = max(passed.abs().max().item() for passed in path[1:])
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
    falling = all(a > b for a, b in itertools.pairwise(found))
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
            **{kind: f"{made.__name__}.from_config(ddim.config)" for kind, made in CLASSES.items()},
            "lcm": "LCMScheduler",
        },
        "start": START,
        "configs": configs,
        "alpha_bars": {"plain": alpha_bars(configs[0]), "zero_snr": alpha_bars(configs[1])},
        "trajectories": [
            run(k, configs, c, s)
            for k in kinds
            for c, config in enumerate(configs)
            for s in STEPS[k]
            if (k, config["prediction_type"]) != ("euler_ancestral", "sample")
        ],
        "spacing": [spacing(k, configs, c) for k in kinds for c in ((0, 15) if k == "lcm" else (0, 4, 8))],
    }
    with open("tests/golden/samplers.json", "w") as file:
        json.dump(golden, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
