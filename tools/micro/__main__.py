"""The steps that make the bundled model: python -m tools.micro data | features | train | convert | evaluate."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    arguments = parse()
    run = {"data": data, "features": features, "train": train, "convert": convert, "evaluate": evaluate}
    run[arguments.step](arguments)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.micro", description=__doc__)
    parser.add_argument("--work", type=Path, default=ROOT / "work-micro", help="where data and checkpoints lie")
    steps = parser.add_subparsers(dest="step", required=True)
    step = steps.add_parser("data", help="let espeak-ng read the training sentences")
    step.add_argument("--shards", type=int, default=100, help="of 1,500 sentences (about 50 minutes) each")
    step.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    steps.add_parser("features", help="log mel spectra of the data")
    step = steps.add_parser("train", help="train, or go on from the last checkpoint")
    step.add_argument("--steps", type=int, default=1_000_000)
    step.add_argument("--minutes", type=float, default=90)
    step.add_argument("--width", type=int, default=144)
    step.add_argument("--rate", type=float, default=1e-3)
    step.add_argument("--warm-up", type=int, default=150)
    step.add_argument("--frames", type=int, default=16_000, help="frames of sound in a batch")
    step.add_argument("--distortion", type=float, default=1.0, help="how often sound is distorted, 0-1")
    step.add_argument("--padded", type=float, default=0.06, help="how many batches are padded to 30 s, 0-1")
    step.add_argument("--single", type=float, default=0.0, help="how many messages are single sentences, 0-1")
    step.add_argument("--ctc", type=float, default=0.4, help="weight of the loss that teaches the encoder characters")
    step.add_argument("--workers", type=int, default=1, help="processes that put batches together")
    step.add_argument("--threads", type=int, default=2, help="without a GPU; on busy processors one does more than two")
    step.add_argument("--begin-with", type=Path, help="a CTranslate2 model of the same width to begin with")
    step = steps.add_parser("convert", help="make the CTranslate2 model from the weights")
    step.add_argument("--model", type=Path, help="where to write it (default: WORK/model)")
    step = steps.add_parser("evaluate", help="measure a CTranslate2 model on held-out recordings")
    step.add_argument("--model", type=Path, help="which model (default: WORK/model)")
    step.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def data(arguments: argparse.Namespace) -> None:
    from tools.micro.data import make_training_data

    make_training_data(arguments.work / "data", shards=arguments.shards, processes=arguments.processes)


def features(arguments: argparse.Namespace) -> None:
    from tools.micro.features import make_features

    make_features(arguments.work / "data", arguments.work / "features")


def train(arguments: argparse.Namespace) -> None:
    from tools.micro.batches import Mixture
    from tools.micro.model import Shape
    from tools.micro.train import Recipe, train

    recipe = Recipe(
        work=arguments.work,
        shape=Shape(width=arguments.width),
        steps=arguments.steps,
        minutes=arguments.minutes,
        rate=arguments.rate,
        warm_up=arguments.warm_up,
        mixture=Mixture(arguments.frames, arguments.distortion, arguments.padded, arguments.single),
        ctc_weight=arguments.ctc,
        workers=arguments.workers,
        threads=arguments.threads,
        begin_with=arguments.begin_with,
    )
    train(recipe)


def convert(arguments: argparse.Namespace) -> None:
    from tools.micro.convert import convert

    convert(arguments.work / "weights.pt", arguments.model or arguments.work / "model")


def evaluate(arguments: argparse.Namespace) -> None:
    from tools.micro.evaluate import evaluate

    model = arguments.model or arguments.work / "model"
    evaluate(model, arguments.work / f"report-{model.name}.json", arguments.threads)


if __name__ == "__main__":
    main()
