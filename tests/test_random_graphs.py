"""Random programs: computed in NumPy, op by op, compiled in every way, and differentiated, all agree.

``pytest --graphs=20000`` tries more of them.
"""

from __future__ import annotations

import numpy as np
import productions
import productions_of_shapes
import pytest
from combinations import Combination
from program_checks import check, shrunk
from random_programs import PRODUCTIONS, Program, random_program

from symgrad.rewriting.engine import all_rule_names

BATCH = 50


def failure_of(program: Program, rules: list[str]) -> str | None:
    """Return what goes wrong with a program, or None."""
    try:
        check(program, rules)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def rules_of(seed: int) -> list[str]:
    """Return rules that the program of a seed also tries alone: for every tenth, two of them in turn."""
    names = all_rule_names()
    return (
        [names[(seed // 10) % len(names)], names[(seed // 10 + len(names) // 2) % len(names)]] if seed % 10 == 0 else []
    )


def test_random_programs_agree(batch: int, combination: Combination) -> None:
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        program = random_program(seed)
        failure = failure_of(program, rules_of(seed))
        if failure is not None:
            smaller = shrunk(program, lambda candidate, seed=seed: failure_of(candidate, rules_of(seed)))
            text = smaller.script(failure_of(smaller, rules_of(seed)) or failure)
            pytest.fail(f"the random program of seed {seed} disagrees, {combination}:\n\n{text}", pytrace=False)


def test_every_production_is_used() -> None:
    used = {line.symbolic.split("(")[0] for seed in range(400) for line in random_program(seed).lines}
    assert len(PRODUCTIONS) > 50 and productions and productions_of_shapes
    for name in ("T.conv2d", "T.pool_2d", "T.set_subtensor", "T.softmax", "T.tensordot", "T.switch", "T.stack"):
        assert name in used, name


def test_a_seed_gives_the_same_program() -> None:
    first, second = random_program(7), random_program(7)
    assert first.script("") == second.script("")
    assert all(np.array_equal(a.value, b.value) for a, b in zip(first.inputs, second.inputs, strict=True))
