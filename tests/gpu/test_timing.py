"""Profiles of functions on a GPU: each call has its row, and what keeps a program from being a CUDA graph is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T
from symgrad.backends.cupy.programs.timing import HELD_BACK
from symgrad.errors import IndexingError

OURS = ("call", "compile", HELD_BACK)


def training() -> tuple[Any, Any]:
    """A step that trains a layer, and its weights."""
    random = np.random.default_rng(0)
    images = symgrad.shared(random.normal(size=(12, 4)).astype("float32"), "images")
    w = symgrad.shared(np.full((4, 3), 0.5, "float32"), "w")
    i = T.lscalar("i")
    scores = T.dot(images[3 * i : 3 * i + 3], w)  # the forward line
    cost = -T.mean(T.log(T.softmax(scores))[:, 1])  # the cost line
    return symgrad.function([i], cost, updates=[(w, w - 0.1 * T.grad(cost, w))], name="train"), w


def kernels_of(profile: symgrad.Profile) -> list[Any]:
    return [row for row in profile.rows if row.name not in OURS]


def test_every_call_has_a_row_with_its_line(gpu: Any) -> None:
    step, _ = training()
    step(0)
    with step.profile() as profile:
        for k in range(5):
            step(k % 4)
    kernels = kernels_of(profile)
    assert profile.calls == 5 and kernels
    assert {(row.calls, row.device) for row in kernels} == {(5, "cuda0")}
    lines = "\n".join(line for row in kernels for line in row.lines)
    assert "# the forward line" in lines and "# the cost line" in lines
    assert all(row.seconds > 0 for row in kernels)
    assert sum(row.seconds for row in profile.rows) == pytest.approx(profile.seconds)
    assert any(row.flops == 2 * 3 * 4 * 3 for row in kernels)
    assert profile.remarks == ["timed call by call; else one CUDA graph"] and profile.remarks[0] in str(profile)
    (held,) = [row for row in profile.rows if row.name == HELD_BACK]
    assert held.calls == 5 and not held.lines


def test_a_profile_changes_no_result_and_graphs_come_back(gpu: Any) -> None:
    (step, w), (other, expected) = training(), training()
    costs = [float(step(k)) for k in range(3)]
    with step.profile():
        costs += [float(step(3)), float(step(0))]
    before = gpu.graph_launches
    costs += [float(step(k)) for k in (1, 2, 3)]
    assert gpu.graph_launches - before == 3
    assert costs == [float(other(k % 4)) for k in range(8)]
    np.testing.assert_array_equal(w.get_value(), expected.get_value())


def test_while_it_is_profiled_nothing_is_a_graph(gpu: Any) -> None:
    step, _ = training()
    for k in range(3):
        step(k)
    before = gpu.graph_launches
    with step.profile() as profile:
        step.repeat([0, 1, 2, 3, 0])
    assert gpu.graph_launches == before
    assert profile.calls == 5 and {row.calls for row in kernels_of(profile)} == {5}


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6))
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sequence_of_sizes_adds_up(gpu: Any, sizes: list[int]) -> None:
    x = T.fvector("x")
    f = symgrad.function([x], T.sum(T.exp(x)))
    with f.profile() as profile:
        for size in sizes:
            f(np.ones(size, "float32"))
    assert profile.calls == len(sizes)
    assert sum(row.seconds for row in profile.rows) == pytest.approx(profile.seconds)
    assert max(row.calls for row in kernels_of(profile)) <= len(sizes)


def test_rounds_of_a_loop_are_one_row(gpu: Any) -> None:
    x = T.fmatrix("x")
    states, _ = symgrad.scan(lambda row, state: T.tanh(row + state), [x], [T.zeros((4,))])
    f = symgrad.function([x], states)
    f(np.ones((6, 4), "float32"))
    with f.profile() as profile:
        f(np.ones((6, 4), "float32"))
    (row,) = [row for row in kernels_of(profile) if row.name.endswith("(6 times)")]
    assert row.calls == 1 and row.flops == 6 * 8


def test_what_runs_through_cupy_is_told(gpu: Any) -> None:
    x = T.fmatrix("x")
    f = symgrad.function([x], T.sort(T.exp(x), axis=0))
    f(np.ones((3, 4), "float32"))
    with f.profile() as profile:
        f(np.ones((3, 4), "float32"))
    assert any(row.name.endswith("(CuPy)") for row in kernels_of(profile))
    (remark,) = profile.remarks
    assert remark.startswith("call by call, not one CUDA graph: ") and "through CuPy" in remark


def test_what_runs_on_the_host_is_told(gpu: Any) -> None:
    x = T.fmatrix("x")

    @symgrad.as_op(itypes=[T.fmatrix], otypes=[T.fmatrix])
    def doubled(values: np.ndarray) -> np.ndarray:
        return 2 * values

    f = symgrad.function([x], T.exp(doubled(T.tanh(x))))
    f(np.ones((3, 4), "float32"))
    with f.profile() as profile:
        f(np.ones((3, 4), "float32"))
    assert "(on the host)" in str(profile)
    assert any("host" in remark for remark in profile.remarks)


def test_a_failed_call_leaves_the_profile_right(gpu: Any) -> None:
    x, i = T.fvector("x"), T.lscalar("i")
    f = symgrad.function([x, i], T.exp(x)[i])
    values = np.ones(4, "float32")
    f(values, 1)
    with f.profile() as profile:
        f(values, 1)
        with pytest.raises(IndexingError, match=r"test_timing\.py:\d+"):
            f(values, 9)
        f(values, 2)
    assert profile.calls == 3
    assert sum(row.seconds for row in profile.rows) == pytest.approx(profile.seconds)


def test_with_sync_it_says_why(gpu: Any) -> None:
    step, _ = training()
    with symgrad.config.change_flags(sync=True):
        step(0)
        with step.profile() as profile:
            step(1)
    assert profile.remarks == ["call by call, not one CUDA graph: sync = true"]
