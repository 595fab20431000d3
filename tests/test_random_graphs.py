"""Random programs: computed in NumPy, op by op, compiled in every way, and differentiated, all agree.

``pytest --graphs=20000`` tries more of them.
"""

from __future__ import annotations

import numpy as np
import pytest
from combinations import Combination
from program_checks import EXTRAS, check, shrunk
from random_programs import MODULES, PRODUCTIONS, Program, random_program

from symgrad.rewriting.engine import all_rule_names

BATCH = 50


def failure_of(program: Program, seed: int) -> str | None:
    """Return what goes wrong with the program of a seed, or None."""
    try:
        check(program, rules_of(seed), extras=extras_of(seed))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def rules_of(seed: int) -> list[str]:
    """Return rules that the program of a seed also tries alone: for every tenth, two of them in turn."""
    names = all_rule_names()
    return (
        [names[(seed // 10) % len(names)], names[(seed // 10 + len(names) // 2) % len(names)]] if seed % 10 == 0 else []
    )


def extras_of(seed: int) -> list[str]:
    """Return what else is compared for the program of a seed: for every second, one thing in turn."""
    return [EXTRAS[seed // 2 % len(EXTRAS)]] if seed % 2 else []


def test_random_programs_agree(batch: int, combination: Combination) -> None:
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        program = random_program(seed)
        failure = failure_of(program, seed)
        if failure is not None:
            smaller = shrunk(program, lambda candidate, seed=seed: failure_of(candidate, seed))
            text = smaller.script(failure_of(smaller, seed) or failure)
            extras = ", ".join(extras_of(seed))
            message = f"the random program of seed {seed} disagrees, {combination}, {extras}:\n\n{text}"
            pytest.fail(message, pytrace=False)


def test_every_production_is_used() -> None:
    used = {line.symbolic.split("(")[0] for seed in range(400) for line in random_program(seed).lines}
    assert {production.__module__ for production in PRODUCTIONS} == set(MODULES)
    for name in ("T.conv2d", "T.pool_2d", "T.set_subtensor", "T.softmax", "T.tensordot", "T.switch", "T.stack",
                 "T.sort", "T.cumsum", "T.einsum", "T.pad", "T.repeat", "T.fft.rfft", "T.complex", "decaying"):
        assert name in used, name


def test_a_seed_gives_the_same_program() -> None:
    first, second = random_program(7), random_program(7)
    assert first.script("") == second.script("")
    assert all(np.array_equal(a.value, b.value) for a, b in zip(first.inputs, second.inputs, strict=True))
