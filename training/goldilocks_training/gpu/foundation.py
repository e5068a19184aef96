"""Step 1: the parts that every U-Net stands on. Trains autoencoder, text encoder and evaluator, one after the other, from two pools
of pictures on the device; parts that are frozen already are left alone."""

import argparse
import itertools

from .. import autoencoder, evaluator, runs, text_encoder
from . import session
from .feed import Feed, Pool

ANY_SEED, TRAINING_SEED = 2_000_000, 3_000_000
RESERVE = 8.0
"""Seconds that writing the last pieces may take."""


def arguments() -> argparse.ArgumentParser:
    parser = session.arguments(__doc__)
    parser.add_argument("--pool", type=int, default=48, help="shards of every pool")
    parser.add_argument("--start", help="folder of an autoencoder to go on from, such as one trained on a CPU")
    parser.add_argument(
        "--minutes", type=float, nargs=3, default=(4.6, 1.6, 1.1), help="autoencoder, text encoder, evaluator"
    )
    parser.add_argument("--batches", type=int, nargs=3, default=(256, 768, 768), help="crops, captions, pictures")
    parser.add_argument("--autoencoder-rate", type=float, default=2e-3, help="peak learning rate at its larger batch")
    parser.add_argument("--widths", type=int, nargs="+", default=(16, 32, 64, 128), help="of the autoencoder")
    parser.add_argument("--layers", type=int, default=text_encoder.LAYERS, help="of the text encoder")
    parser.add_argument("--towers", type=int, nargs=2, default=(24, 32), help="of text encoder and evaluator")
    parser.add_argument("--validation", type=int, default=256)
    return parser


def train_autoencoder(step: session.Session, pool: Pool) -> None:
    options = step.options
    more = ["--start", options.start] if options.start else []
    words = step.stage_arguments(
        "--minutes", options.minutes[0], "--batch", options.batches[0], "--widths", *options.widths
    )
    words += map(str, ["--rate", options.autoencoder_rate, "--validation", options.validation, *more])
    words += ["--save-every", str(options.save_every)]
    told = autoencoder.arguments().parse_args(words)
    told.stage = "autoencoder"
    autoencoder.freeze(autoencoder.train(told, pool), told)


def train_text_encoder(step: session.Session, pool: Pool) -> None:
    options = step.options
    words = step.stage_arguments(
        "--minutes", options.minutes[1], "--batch", options.batches[1], "--layers", options.layers
    )
    words += map(
        str, ["--tower", options.towers[0], "--validation", options.validation, "--save-every", options.save_every]
    )
    text_encoder.train(text_encoder.arguments().parse_args(words), pool.captioned)


def train_evaluator(step: session.Session, pool: Pool) -> None:
    options = step.options
    words = step.stage_arguments(
        "--minutes", options.minutes[2], "--batch", options.batches[2], "--tower", options.towers[1]
    )
    words += map(str, ["--validation", 4 * options.validation, "--save-every", options.save_every])
    evaluator.train(evaluator.arguments().parse_args(words), pool.judged)


def main() -> None:
    options = arguments().parse_args()
    step = session.Session(options)
    step.reserve(RESERVE)
    parts = {
        "autoencoder": (autoencoder.frozen(options.work), train_autoencoder, True),
        "text_encoder": (text_encoder.folder(options.work), train_text_encoder, False),
        "evaluator": (evaluator.folder(options.work), train_evaluator, True),
    }
    missing = {name: part for name, part in parts.items() if not part[0].exists()}
    feeds = {
        held_out: Feed(
            options.work,
            ANY_SEED if held_out else TRAINING_SEED,
            options.shard,
            itertools.count(),
            options.workers,
            held_out,
        )
        for held_out in sorted({part[2] for part in missing.values()}, reverse=True)
    }
    device, pools = step.device(), {}
    complete = True
    try:
        for name, (_, train, held_out) in missing.items():
            if held_out not in pools:
                pools[held_out] = Pool(feeds[held_out], options.pool, device)
            step.say("begins", stage=name)
            train(step, pools[held_out])
            step.keep()
    except runs.OutOfTime as stopped:
        step.say(str(stopped))
        complete = False
    for feed in feeds.values():
        feed.close()
    session.finish(step, complete)


if __name__ == "__main__":
    main()
