"""network3's full network trained on MNIST: how well it reads, how long an epoch takes, and the same bits each time."""

from __future__ import annotations

import time

from benchmarks.gpu_parts.networks import Trainer, mnist
from benchmarks.gpu_parts.results import DONE, FAILED, Deadline, Options, Results, run_part

MOST_EPOCHS = 10
SHARE_OF_TIME = 0.3
"""So much of the time goes to the first training; two more follow."""

SHORT_RUNS = 50
SHORT_STEPS = 200


def train(options: Options, results: Results, deadline: Deadline) -> int:
    """Train, train again, and many times for a little."""
    data, tiny = mnist(options.dry_run), options.dry_run
    began = time.perf_counter()
    first = Trainer(data, tiny)
    first.step(0)
    first.step(1)
    first.digest()
    results.add(examples=len(data[0].labels), first_steps_seconds=time.perf_counter() - began)
    first.restart()

    seconds: list[float] = []
    limit = 1 if tiny else MOST_EPOCHS
    while len(seconds) < limit and sum(seconds) < SHARE_OF_TIME * deadline.left:
        began = time.perf_counter()
        first.train(range(first.batches))
        first.net.params[-1].get_value()
        seconds.append(time.perf_counter() - began)
    expected = first.digest()
    validation, test = first.accuracies()
    results.add(epochs=len(seconds), seconds_an_epoch=min(seconds), validation=validation, test=test)
    results.add(microseconds_a_step=min(seconds) / first.batches * 1e6)

    same = {"a second network, by calls": again(data, tiny, len(seconds)) == expected}
    results.add(same=same)
    first.restart()
    began = time.perf_counter()
    first.step.repeat([*range(first.batches)] * len(seconds))
    same["the same steps by repeat"] = first.digest() == expected
    repeated = (time.perf_counter() - began) / len(seconds)
    results.add(same=same, repeat_seconds_an_epoch=repeated)
    different = short_runs(first, deadline, results, 2 if tiny else SHORT_RUNS, 3 if tiny else SHORT_STEPS)
    return DONE if all(same.values()) and not different else FAILED


def again(data: object, tiny: bool, epochs: int) -> str:
    """Return the digest of another network that was trained in the same way."""
    trainer = Trainer(data, tiny)
    for _ in range(epochs):
        trainer.train(range(trainer.batches))
    return trainer.digest()


def short_runs(trainer: Trainer, deadline: Deadline, results: Results, runs: int, steps: int) -> int:
    """Train a little from the same state, many times; return how many runs ended otherwise than the first."""
    digests: list[str] = []
    while len(digests) < runs and deadline.left > 1:
        trainer.restart()
        trainer.train([index % trainer.batches for index in range(steps)])
        digests.append(trainer.digest())
    different = sum(digest != digests[0] for digest in digests)
    results.add(short_runs=len(digests), short_steps=steps, different_runs=different)
    return different


if __name__ == "__main__":
    raise SystemExit(run_part(train))
