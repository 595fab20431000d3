"""Random programs on a device that the CPU stands for: they agree with NumPy, op by op, and so do their derivatives."""

from __future__ import annotations

import pytest
from program_checks import shrunk
from random_programs import random_program
from test_random_graphs import failure_of

from gpu.shim.fake_cupy import World

BATCH = 10
BATCHES = 8
OFFSET = 50_000
"""Other programs than those of the CPU's tests."""


@pytest.mark.parametrize("number", range(BATCHES))
def test_random_programs_agree(number: int, gpu: World) -> None:
    for seed in range(OFFSET + number * BATCH, OFFSET + (number + 1) * BATCH):
        program = random_program(seed)
        failure = failure_of(program, seed)
        if failure is not None:
            smaller = shrunk(program, lambda candidate, seed=seed: failure_of(candidate, seed))
            text = smaller.script(failure_of(smaller, seed) or failure)
            pytest.fail(f"the random program of seed {seed} disagrees on the device:\n\n{text}", pytrace=False)
