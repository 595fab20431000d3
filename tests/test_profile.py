"""``f.profile()`` tells where the time of calls goes, and ``f.source()`` what native programs do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T
from symgrad.backends.native.listing import size_text
from symgrad.debug.profiles import ProfileRow
from symgrad.errors import IndexingError, SymgradError

LABELS = np.array([0, 1, 2, 1, 0, 2], "int32")
IMAGES = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
NO_KERNELS = ("call", "compile")


@pytest.fixture(params=["native", "numpy", "native on two threads"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where functions of the test run."""
    name = request.param.split()[0]
    threads = 2 if "two" in request.param else 1
    with symgrad.config.change_flags(backend=name, threads=threads):
        yield request.param


def classifier(name: str = "train") -> Any:
    """A function that trains a layer."""
    x, labels = T.fmatrix("x"), T.ivector("labels")
    w = symgrad.shared(np.full((4, 3), 0.5, "float32"), name="w")
    scores = T.dot(x, w)  # the forward line
    cost = -T.mean(T.log(T.softmax(scores))[T.arange(labels.shape[0]), labels])  # the cost line
    return symgrad.function([x, labels], cost, updates=[(w, w - 0.1 * T.grad(cost, w))], name=name)


def mixed() -> Any:
    """A function with an op that has no native kernel, between others."""
    x = T.fmatrix("x")
    w = symgrad.shared(np.full((6, 4), 0.5, "float32"), name="w")
    y = T.tanh(x * 2) + w  # the first line
    gradient = T.grad(T.prod(y, axis=1).sum(), x)  # the line in between
    return symgrad.function([x], T.exp(gradient).sum(), updates=[(w, w + gradient)], name="mixed")


def kernels_of(profile: symgrad.Profile) -> list[ProfileRow]:
    """Return the rows that are kernels."""
    return [row for row in profile.rows if row.name not in NO_KERNELS]


def lines_of(profile: symgrad.Profile) -> str:
    """Return all the lines that kernels came from."""
    return "\n".join(line for row in profile.rows for line in row.lines)


# ---- the numbers ----------------------------------------------------------------------------------------------------


def test_rows_name_lines_and_add_up(backend):
    f = classifier()
    f(IMAGES, LABELS)
    with f.profile() as profile:
        for _ in range(20):
            f(IMAGES, LABELS)
    assert profile.calls == 20
    kernels = kernels_of(profile)
    assert kernels and all(row.calls == 20 for row in kernels)
    assert "# the forward line" in lines_of(profile) and "# the cost line" in lines_of(profile)
    assert sum(row.seconds for row in profile.rows) == pytest.approx(profile.seconds)
    assert sum(row.share for row in profile.rows) == pytest.approx(1)
    assert all(row.seconds >= 0 for row in profile.rows)
    assert [row.seconds for row in profile.rows] == sorted((row.seconds for row in profile.rows), reverse=True)
    assert "compile" not in [row.name for row in profile.rows]
    (product,) = [row for row in kernels if row.name.startswith("dot") and row.flops]
    assert product.flops == 2 * 6 * 4 * 3
    assert product.bytes == 4 * (6 * 4 + 4 * 3 + 6 * 3)
    assert product.gigaflops == pytest.approx(product.flops * 20 / product.seconds / 1e9)
    assert profile.memory > 0


def test_a_profile_changes_no_result(backend):
    first, second = classifier(), classifier()
    plain = [float(first(IMAGES, LABELS)) for _ in range(6)]
    profiled = [float(second(IMAGES, LABELS)) for _ in range(2)]
    with second.profile():
        profiled += [float(second(IMAGES, LABELS)) for _ in range(2)]
    profiled += [float(second(IMAGES, LABELS)) for _ in range(2)]
    assert plain == profiled


def test_new_sizes_in_the_block_are_compiled_and_counted(backend):
    f = classifier()
    with f.profile() as profile:
        for size in (6, 5, 5, 6):
            f(IMAGES[:size], LABELS[:size])
    assert profile.calls == 4
    assert [row.calls for row in profile.rows if row.name == "compile"] == [1]
    with f.profile() as profile:
        f(IMAGES, LABELS)
    assert "compile" not in [row.name for row in profile.rows]


def test_only_calls_in_the_block_count(backend):
    f = classifier()
    f(IMAGES, LABELS)
    with f.profile() as first:
        f(IMAGES, LABELS)
    f(IMAGES, LABELS)
    before = [(row.name, row.seconds) for row in first.rows]
    with f.profile() as second:
        f(IMAGES, LABELS)
        f(IMAGES, labels=LABELS)
        f(IMAGES.tolist(), LABELS.tolist())
    assert [(row.name, row.seconds) for row in first.rows] == before
    assert second.calls == 3 and {row.calls for row in kernels_of(second)} == {3}


def test_repeated_steps_are_counted_one_by_one(backend):
    data = symgrad.shared(np.arange(12, dtype="float32").reshape(4, 3))
    total, i = symgrad.shared(np.float32(0)), T.lscalar("i")
    f = symgrad.function([i], updates=[(total, total + data[i].sum())])
    with f.profile() as profile:
        f.repeat([0, 1, 2, 3, 0])
    assert total.get_value() == 66 + 3
    assert profile.calls == 5
    assert {row.calls for row in kernels_of(profile)} == {5}


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8))
@settings(max_examples=10)
def test_any_sequence_of_sizes_adds_up(sizes):
    x = T.fvector("x")
    with symgrad.config.change_flags(backend="native"):
        f = symgrad.function([x], T.sum(T.exp(x)))
    with f.profile() as profile:
        for size in sizes:
            f(np.ones(size, "float32"))
    assert profile.calls == len(sizes)
    assert sum(row.seconds for row in profile.rows) == pytest.approx(profile.seconds)


def test_kernels_between_numpy_steps_have_rows():
    with symgrad.config.change_flags(backend="native"):
        f = mixed()
    with f.profile() as profile:
        for _ in range(3):
            f(IMAGES)
    names = [row.name for row in kernels_of(profile)]
    assert "product_of_others{1}" in names and "segment" not in names
    assert sum(name.startswith("fused") for name in names) == 2
    assert {row.calls for row in kernels_of(profile)} == {3}
    assert "# the first line" in lines_of(profile) and "# the line in between" in lines_of(profile)
    assert sum(row.seconds for row in profile.rows) == pytest.approx(profile.seconds)


@pytest.mark.parametrize("mode", ["DebugMode", "NanGuard"])
def test_functions_with_checks_have_profiles(mode):
    x = T.fvector("x")
    f = symgrad.function([x], T.sum(T.exp(x)), mode=mode)
    with f.profile() as profile:
        f(IMAGES[0])
    assert kernels_of(profile) and profile.calls == 1
    assert "test_profile.py" in lines_of(profile)


def test_failed_calls_take_time_and_leave_the_profile_right(backend):
    x, i = T.fvector("x"), T.lscalar("i")
    f = symgrad.function([x, i], T.exp(x)[i])
    f(IMAGES[0], 1)
    with f.profile() as profile:
        f(IMAGES[0], 1)
        with pytest.raises(IndexingError, match=r"test_profile\.py:\d+"):
            f(IMAGES[0], 9)
        f(IMAGES[0], 2)
    assert profile.calls == 3
    assert sum(row.seconds for row in profile.rows) == pytest.approx(profile.seconds)


def test_calls_of_all_threads_count(backend):
    f = classifier()
    f(IMAGES, LABELS)

    def work() -> None:
        for _ in range(50):
            f(IMAGES, LABELS)

    with f.profile() as profile:
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert profile.calls == 150
    assert {row.calls for row in kernels_of(profile)} == {150}


def test_large_kernels_say_on_how_many_threads_they_ran():
    x = T.fmatrix("x")
    with symgrad.config.change_flags(backend="native", threads=2):
        f = symgrad.function([x], T.exp(x))
        values = np.ones((1000, 1000), "float32")
        with f.profile() as profile:
            f(values)
    (kernel,) = kernels_of(profile)
    assert kernel.threads == 2 and kernel.bytes == 8e6


# ---- what can go wrong ----------------------------------------------------------------------------------------------


def test_a_profile_without_calls_says_so(backend, tmp_path):
    f = classifier()
    profile = f.profile()
    for _ in range(2):
        assert profile.rows == [] and profile.calls == 0 and profile.memory >= 0
        assert str(profile) == "train: no call was profiled; call it inside: with f.profile() as profile"
        with pytest.raises(SymgradError, match="no call was profiled"):
            profile.to_chrome_trace(tmp_path / "trace.json")
        with profile:
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_function_has_one_profile_at_a_time(backend):
    f = classifier()
    with f.profile() as outer:
        with pytest.raises(SymgradError, match="train is being profiled already"), f.profile():
            pass
        f(IMAGES, LABELS)
    assert outer.calls == 1
    with f.profile() as later:
        f(IMAGES, LABELS)
    assert later.calls == 1


def test_an_error_in_the_block_ends_the_profile(backend):
    f = classifier()
    with pytest.raises(ZeroDivisionError), f.profile() as profile:
        f(IMAGES, LABELS)
        raise ZeroDivisionError
    f(IMAGES, LABELS)
    assert profile.calls == 1
    assert "train: 1 calls" in str(profile)


# ---- the table ------------------------------------------------------------------------------------------------------


def test_the_table_shows_each_kernel_with_its_lines(backend):
    f = classifier()
    f(IMAGES, LABELS)
    with f.profile() as profile:
        for _ in range(3):
            f(IMAGES, LABELS)
    first, headings, *rest = str(profile).splitlines()
    assert first.startswith("train: 3 calls, ") and first.endswith("of memory")
    assert headings.split()[:4] == ["kernel", "calls", "total", "share"]
    if len(profile.rows) < 16:
        assert len([line for line in rest if not line.startswith(" ")]) == len(profile.rows)
    assert any(line.startswith("    ") and "# the forward line" in line for line in rest)
    assert any("% of " in line for line in rest)


def test_a_long_table_leaves_out_what_takes_no_time():
    x = T.fmatrix("x")
    outputs = [T.exp(x).sum(axis=0), *[T.sum(x[:number] * number) for number in range(20)]]
    with symgrad.config.change_flags(backend="native", fusion=False):
        f = symgrad.function([x], outputs)
    values = np.ones((3000, 1000), "float32")
    f(values)
    with f.profile() as profile:
        f(values)
    hidden = int(str(profile).splitlines()[-1].removeprefix("and ").split()[0])
    shown = [line for line in str(profile).splitlines()[2:-1] if not line.startswith(" ")]
    assert hidden > 0 and len(shown) + hidden == len(profile.rows)


# ---- the trace ------------------------------------------------------------------------------------------------------


def events_of(path: Path) -> list[dict[str, Any]]:
    """Return the events of a trace that have a duration."""
    trace = json.loads(path.read_text())
    return [event for event in trace["traceEvents"] if event["ph"] == "X"]


def depths_of(events: Sequence[dict[str, Any]]) -> list[int]:
    """Return how deep each event lies in others, and check that each lies wholly inside those, or outside."""
    ends: list[float] = []
    depths = []
    for event in events:
        while ends and event["ts"] >= ends[-1] - 1e-3:
            ends.pop()
        end = event["ts"] + event["dur"]
        assert not ends or end <= ends[-1] + 1e-3
        depths.append(len(ends))
        ends.append(end)
    return depths


def test_the_trace_has_each_call_with_its_kernels(backend, tmp_path):
    f = classifier()
    with f.profile() as profile:
        for _ in range(4):
            f(IMAGES, LABELS)
    path = tmp_path / "trace.json"
    path.write_text("old")
    profile.to_chrome_trace(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["trace.json"]
    events = events_of(path)
    calls = [event for event in events if event["name"] == "train"]
    assert len(calls) == 4
    assert [event["ts"] for event in calls] == sorted(event["ts"] for event in calls)
    names = {row.name for row in kernels_of(profile)} | {"compile", "train"}
    assert {event["name"] for event in events} <= names
    assert all(event["dur"] >= 0 and event["ts"] >= 0 for event in events)
    depths = depths_of(events)
    assert all(depth == 0 for event, depth in zip(events, depths, strict=True) if event["name"] == "train")
    lines = [line for event in events for line in event["args"].get("lines", [])]
    assert any("# the forward line" in line for line in lines)


def test_the_trace_shows_segments_inside_steps(tmp_path):
    with symgrad.config.change_flags(backend="native"):
        f = mixed()
    with f.profile() as profile:
        f(IMAGES)
        f(IMAGES)
    profile.to_chrome_trace(str(tmp_path / "trace.json"))
    events = events_of(tmp_path / "trace.json")
    depths = depths_of(events)
    names = [event["name"] for event in events]
    assert names.count("segment") == 4 and sum(name.startswith("fused") for name in names) == 4
    fused = [depth for name, depth in zip(names, depths, strict=True) if name.startswith("fused")]
    assert max(fused) == 2


def test_the_trace_of_repeated_steps_is_one_event(tmp_path):
    i = T.lscalar("i")
    total = symgrad.shared(0)
    with symgrad.config.change_flags(backend="native"):
        f = symgrad.function([i], updates=[(total, total + i)], name="add")
    with f.profile() as profile:
        f.repeat(np.arange(10))
    profile.to_chrome_trace(tmp_path / "trace.json")
    events = events_of(tmp_path / "trace.json")
    depths_of(events)
    assert sum(event["args"].get("calls", 0) for event in events) == 10
    assert [event["name"] for event in events if "calls" in event["args"]] == ["add", "add: 9 steps of repeat"]


# ---- what native programs look like ---------------------------------------------------------------------------------


def test_the_listing_shows_kernels_lines_and_homes():
    with symgrad.config.change_flags(backend="native"):
        f = classifier()
        f(IMAGES, LABELS)
    text = f.source()
    first, signature, *lines = text.splitlines()
    assert first.startswith("# native: ") and "1 thread" in first and " of memory (arena " in first
    assert signature == "function(x: float32[6, 4], labels: int32[6], w: float32[4, 3])"
    forward = next(number for number, line in enumerate(lines) if line.endswith("# the forward line"))
    assert lines[forward].startswith("# ") and "dot_float32_6x4_4x3_6x3" in lines[forward + 1]
    assert "(x, w)   # arena at 0; " in lines[forward + 1]
    assert any(line.startswith("    kernel fused_") for line in lines)
    assert any("labels[" in line for line in lines)
    assert any("in place of w" in line for line in lines)
    assert lines[-1].startswith("return ")
    assert "define i32" not in text and "%" not in text


def test_the_listing_tells_apart_variables_of_one_name():
    x, y = T.fvector("x"), T.fvector("x")
    with symgrad.config.change_flags(backend="native"):
        f = symgrad.function([x, y], x * 2 + y)
        f(IMAGES[0], IMAGES[1])
    assert f.source().splitlines()[1] == "function(x: float32[4], x_2: float32[4])"


def test_the_source_of_a_mixed_program_has_its_segments():
    with symgrad.config.change_flags(backend="native"):
        f = mixed()
        f(IMAGES)
    assert f.source().startswith("def run(") and f.source().count("# native: 1 kernel") == 2


def test_debug_shows_memory_and_llvm(capfd):
    x = T.fvector("x")
    with symgrad.config.change_flags(backend="native", debug="plan,llvm"):
        f = symgrad.function([x], T.exp(T.sum(x) * x), name="net")
        f([1, 2])
    shown = capfd.readouterr().err
    assert "---- net: llvm ----" in shown and "define i32 @fused_" in shown
    assert "arena: " in shown and "memory: " in shown
    assert "---- net: source ----" not in shown


@given(st.integers(0, 10**13))
def test_sizes_read_as_they_are(count):
    number, unit = size_text(count).split()
    scale = {"bytes": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}[unit]
    assert float(number) * scale == pytest.approx(count, rel=0.06)
    assert scale == 1 or float(number) >= 1
