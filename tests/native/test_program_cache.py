"""Programs from the cache are the same as before, need nothing that writes kernels, and are never the wrong ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_programs import WITH_KERNELS, random_program, rebuilt

import symgrad
import symgrad.tensor as T
from benchmarks.expressions import Expression
from benchmarks.sequences import SequenceWorkload
from benchmarks.symgrad_steps import SymgradPeer, training_graph
from benchmarks.workloads import WORKLOADS
from symgrad.backends.code_cache import Cache, configured_cache
from symgrad.backends.native import description, making
from symgrad.backends.native.description import IndescribableError, ingredients
from symgrad.compile.binding import bind_types
from symgrad.errors import KernelDifferenceError
from symgrad.lowering import lower
from symgrad.lowering.open_sizes import OpenSizes, name_sizes

pytest.importorskip("llvmlite")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere LLVM itself has to load machine code")

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def on_the_native_backend(tmp_path: Path) -> Iterator[None]:
    with symgrad.config.change_flags(backend="native", cache_dir=str(tmp_path / "cache"), cache_size=200):
        yield


@pytest.fixture
def nothing_written(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function after whose call no kernel can be chosen or written any more."""

    def unused() -> None:
        pytest.fail("a program in the cache was made again")

    def forbid() -> None:
        monkeypatch.setattr(making, "_selection", unused)

    return forbid


def same(left: Any, right: Any) -> bool:
    """Whether arrays are equal bit for bit."""
    return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in zip(left, right, strict=True))


# ---- the same results -----------------------------------------------------------------------------------------------


def results_of(name: str) -> list[np.ndarray]:
    """Return costs and parameters of three steps of a workload, or the value of an expression; with less data."""
    workload = WORKLOADS[name]
    if isinstance(workload, Expression):
        smaller = replace(workload, shape=tuple([min(size, 3000) for size in workload.shape]))
        return [np.array(SymgradPeer().build_expression(smaller).step(0))]
    if isinstance(workload, SequenceWorkload):
        step = SymgradPeer().build_sequence(replace(workload, steps=5, hidden=32))
        return [np.array(cost) for cost in step.costs(range(3))] + step.parameters()
    workload = replace(workload, batch_size=min(workload.batch_size, 20))
    random = np.random.RandomState(0)
    images, labels = random.uniform(size=(80, 784)).astype("float32"), random.randint(0, 10, 80)
    graph = training_graph(workload, images, labels)
    train = graph.compile()
    costs = [train(number) for number in range(3)]
    return [*costs, *[parameter.get_value() for parameter in graph.parameters]]


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_workload_from_the_cache_takes_the_same_steps(name: str, nothing_written: Callable[[], None]) -> None:
    first = results_of(name)
    nothing_written()
    assert same(first, results_of(name))


def value_of(seed: int) -> list[np.ndarray]:
    """Return the outputs of a random program."""
    program = random_program(seed, WITH_KERNELS)
    with symgrad.config.change_flags(floatX=program.floatx, warn_float64="ignore"):
        state = rebuilt(program)
        inputs = [entry for entry in program.inputs if "shared" not in entry.declaration]
        symbols = [state.symbols[entry.name] for entry in inputs]
        outputs = [state.symbols[name] for name in program.outputs]
        f = symgrad.function(symbols, outputs, on_unused_input="ignore")
        return [np.array(value) for value in f(*[entry.value for entry in inputs])]


def test_random_programs_from_the_cache_give_the_same_values(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    choose = making._selection

    def chosen() -> Any:
        made.append(1)
        return choose()

    monkeypatch.setattr(making, "_selection", chosen)
    expected = [value_of(seed) for seed in range(40)]
    assert len(made) > 20
    made.clear()
    for seed, values in enumerate(expected):
        assert same(values, value_of(seed)), f"the random program of seed {seed}"
    assert not made


def test_sizes_that_are_left_open_are_known_again(nothing_written: Callable[[], None]) -> None:
    def run() -> list[np.ndarray]:
        x = T.fmatrix("x")
        f = symgrad.function([x], T.softmax(T.tanh(x) * 2) - x)
        return [f(np.random.RandomState(rows).normal(size=(rows, 7)).astype("float32")) for rows in (3, 5, 8)]

    first = run()
    nothing_written()
    assert same(first, run())


def test_a_program_of_views_only_has_no_kernels(nothing_written: Callable[[], None]) -> None:
    def run() -> np.ndarray:
        x = T.fmatrix("x")
        return np.array(symgrad.function([x], x[1])(np.arange(6, dtype="float32").reshape(2, 3)))

    first = run()
    nothing_written()
    assert first.tolist() == run().tolist() == [3, 4, 5]


def test_what_has_no_native_program_is_known_to_have_none(nothing_written: Callable[[], None]) -> None:
    def run() -> list[np.ndarray]:
        x = T.fmatrix("x")
        gradient = T.grad(T.prod(T.tanh(x * 2), axis=1).sum(), x)  # no native code multiplies all but one
        f = symgrad.function([x], [T.exp(gradient), T.exp(x[::-1])])
        return [np.array(value) for value in f(np.random.RandomState(0).normal(size=(3, 4)).astype("float32"))]

    first = run()
    labels = [entry.label for entry in configured_cache().entries()]
    assert "no program" in labels and "a program" in labels  # the whole, and its segments
    nothing_written()
    assert same(first, run())


# ---- never the wrong program ----------------------------------------------------------------------------------------


def key_of(**changes: Any) -> str:
    """Return the key of a program that `changes` alter in one way each."""
    given: dict[str, Any] = {
        "factor": 2.0, "shape": (3, 4), "dtype": "float32", "axis": 1, "function": T.tanh, "names": "xw",
        "open": False, "updates": True, "width": 4, "indices": [0, 2],
    } | changes  # fmt: skip
    x = T.tensor(given["dtype"], (None, None), given["names"][0])
    w = symgrad.shared(np.zeros(given["width"], given["dtype"]), given["names"][1])
    y = given["function"](x * np.asarray(given["factor"], given["dtype"]) + w).sum(axis=given["axis"])
    y = y[T.constant(np.array(given["indices"]))]
    f = symgrad.function([x], y, updates=[(w, w * 2)] if given["updates"] else [])
    graph = f.rewritten
    shapes = {x: given["shape"], w: (given["width"],)}
    types, steps = bind_types(graph, shapes), lower(graph)
    sizes = name_sizes(steps, types, bind_types(graph, {w: (given["width"],)})) if given["open"] else OpenSizes(types)
    return ingredients(graph, steps, sizes).key


@pytest.mark.parametrize("change", [
    {"factor": 3.0}, {"shape": (5, 4)}, {"dtype": "float64"}, {"axis": 0}, {"function": T.exp}, {"open": True},
    {"updates": False}, {"shape": (3, 5), "width": 5}, {"indices": [0, 1]}, {"indices": [0, 2, 1]},
], ids=str)  # fmt: skip
def test_what_changes_kernels_changes_the_key(change: dict[str, Any]) -> None:
    assert key_of(**change) != key_of()


def test_the_same_program_elsewhere_has_the_same_key() -> None:
    assert key_of() == key_of(names="ab")  # from another line, with other variables of other names
    assert key_of(open=True, shape=(3, 4)) != key_of(open=True, shape=(5, 4))  # their sizes are in the calls


@pytest.mark.parametrize("setting", [{"fusion": False}, {"cpu_features": "sse2"}], ids=str)
def test_settings_change_the_key(setting: dict[str, Any]) -> None:
    before = key_of()
    if "cpu_features" in setting and not description.host().triple.startswith("x86_64"):
        pytest.skip("another architecture")
    with symgrad.config.change_flags(**setting):
        assert key_of() != before
    assert key_of() == before


@pytest.mark.parametrize("what", ["source_files", "fingerprint"])
def test_another_symgrad_or_another_compiler_has_other_programs(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = key_of()
    monkeypatch.setattr(description, what, lambda: "another one")
    assert key_of() != before
    monkeypatch.setattr(description, what, str)
    with pytest.raises(IndescribableError):
        key_of()


def test_a_change_of_any_source_file_is_seen(tmp_path: Path) -> None:
    copy = tmp_path / "symgrad"
    for path in (ROOT / "symgrad").rglob("*.py"):
        target = copy / path.relative_to(ROOT / "symgrad")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    code = "from symgrad.backends.native.llvm.library import source_files; print(source_files())"

    def seen() -> str:
        ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True,
                             env=os.environ | {"PYTHONPATH": str(tmp_path)})  # fmt: skip
        return ran.stdout

    first = seen()
    assert len(first) == 65 and seen() == first
    changed = copy / "kernels" / "ir" / "functions.py"
    changed.write_text(changed.read_text() + "\n")
    second = seen()
    assert second != first
    os.utime(changed, (1, 1))
    assert seen() not in (first, second)
    (copy / "new.py").write_text("")
    assert seen() not in (first, second)


# ---- broken entries -------------------------------------------------------------------------------------------------


def simple() -> float:
    """Return the cost after two steps of a small program."""
    x, w = T.fvector("x"), symgrad.shared(np.arange(5, dtype="float32"), "w")
    f = symgrad.function([x], T.sum(T.tanh(x * w)), updates=[(w, w - x)])
    ones = np.ones(5, "float32")
    return float(f(ones)) + float(f(ones))


@pytest.mark.parametrize("place", [0, 20, 60, 100, 130, 200, -1])
def test_a_damaged_entry_is_as_good_as_none(place: int) -> None:
    expected = simple()
    folder = Path(configured_cache().folder)
    for path in folder.iterdir():
        data = bytearray(path.read_bytes())
        data[min(place, len(data) - 1)] ^= 0x55
        path.write_bytes(data)
    assert [entry.label for entry in configured_cache().entries()] == []
    assert simple() == expected
    assert "a program" in [entry.label for entry in configured_cache().entries()]


@pytest.mark.parametrize("text", [
    "", "nonsense", "[]", "7", "{}", '{"unsupported": null}', '{"codes": [], "kernels": [], "steps": [99]}',
    '{"codes": [], "kernels": [[]], "steps": [], "calls": [], "copies": []}',
    '{"codes": "0", "kernels": [], "steps": [[1, 2]], "calls": [], "copies": []}',
])  # fmt: skip
def test_an_entry_of_something_else_is_made_again(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = simple()
    get = Cache.get

    def odd(cache: Cache, key: str) -> bytes | None:
        found = get(cache, key)
        return text.encode() if found is not None and found[:1] == b"{" and b'"steps"' in found else found

    monkeypatch.setattr(Cache, "get", odd)
    assert simple() == expected


def test_a_program_whose_code_is_gone_is_compiled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = simple()
    asked = []

    def gone(*given: Any) -> None:
        asked.append(given)

    monkeypatch.setattr(making, "load_kept", gone)
    assert simple() == expected and len(asked) == 1


def test_without_a_cache_nothing_is_kept() -> None:
    with symgrad.config.change_flags(cache_size=0):
        assert simple() == simple()
        assert not os.path.exists(configured_cache().folder)


# ---- what a warm start needs ----------------------------------------------------------------------------------------

WRITERS = ("llvmlite", "llvmlite.binding", "symgrad.lowering.fusion", "symgrad.kernels.ir.grammar",
           "symgrad.backends.native.selection", "symgrad.backends.native.emit", "symgrad.backends.native.llvm.text",
           "symgrad.backends.native.llvm.linker", "symgrad.backends.native.scalars", "symgrad.backends.native.runtime",
           "symgrad.backends.native.pool", "symgrad.backends.native.products.kernels",
           "symgrad.backends.native.convolutions", "symgrad.backends.native.randomness")  # fmt: skip


def test_a_warm_start_imports_nothing_that_writes_kernels(tmp_path: Path) -> None:
    code = f"""
import json, sys
sys.path.insert(0, {str(ROOT)!r})
import numpy as np
from benchmarks.symgrad_steps import training_graph
from benchmarks.workloads import WORKLOADS
graph = training_graph(WORKLOADS["network3-dropout"], np.ones((20, 784), "float32"), np.zeros(20, int))
train = graph.compile()
costs = [float(train(0)), float(train(1))]
print(json.dumps([costs, [name for name in {WRITERS!r} if name in sys.modules]]))
"""
    environment = os.environ | {"SYMGRAD_FLAGS": f"backend=native,cache_dir={tmp_path / 'cache'}"}
    runs = [
        json.loads(subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE,
                                  check=True, timeout=120).stdout)
        for _ in range(2)
    ]  # fmt: skip
    assert len(runs[0][1]) > 10 and runs[1][1] == []
    assert runs[0][0] == runs[1][0]


# ---- looking inside -------------------------------------------------------------------------------------------------


def network() -> tuple[Any, Any]:
    x = T.fmatrix("x")
    w = symgrad.shared(np.random.RandomState(0).normal(size=(5, 4)).astype("float32"), name="w")
    y = T.tanh(T.dot(x, w) * 2)  # the first line
    z = T.softmax(y + 1)  # the second line
    return symgrad.function([x], [z, z[1:, ::2]], updates=[(w, w * 0.5)], name="net"), w


BATCH = np.random.RandomState(1).normal(size=(7, 5)).astype("float32")


def test_the_texts_of_a_program_from_the_cache_are_those_of_before() -> None:
    texts = []
    for _ in range(2):
        f, _ = network()
        f(BATCH)
        (program,) = [program for _, program in f._programs.values()]
        texts.append((f.source(), program.llvm, program.memory))
    assert texts[0] == texts[1]
    assert "# the first line" in texts[1][0] and "define i32 @" in texts[1][1]


def test_debug_shows_the_text_of_a_program_from_the_cache(capfd: pytest.CaptureFixture[str]) -> None:
    network()[0](BATCH)
    with symgrad.config.change_flags(debug="llvm,source"):
        network()[0](BATCH)
    shown = capfd.readouterr().err
    assert "define i32 @fused_" in shown and "# the second line" in shown


def test_a_profile_of_a_program_from_the_cache_has_the_same_kernels_and_lines(
    nothing_written: Callable[[], None],
) -> None:
    rows = []
    for number in range(2):
        f, _ = network()
        with f.profile() as profile:
            f(BATCH)
        rows.append([(row.name, [str(line) for line in row.lines], row.flops, row.bytes) for row in profile.rows])
        if not number:
            nothing_written()
    assert sorted(rows[0]) == sorted(rows[1])
    assert any("the first line" in line for _, lines, _, _ in rows[1] for line in lines)


def test_errors_of_a_program_from_the_cache_name_the_users_line(nothing_written: Callable[[], None]) -> None:
    def run() -> str:
        x, labels = T.fmatrix("x"), T.ivector("labels")
        cost = -T.mean(T.log(T.softmax(x))[T.arange(3), labels])  # the cost's line
        f = symgrad.function([x, labels], cost)
        f(np.ones((3, 4), "float32"), np.array([0, 1, 2], "int32"))
        with pytest.raises(IndexError) as caught:
            f(np.ones((3, 4), "float32"), np.array([0, 1, 4], "int32"))
        return str(caught.value)

    first = run()
    nothing_written()
    assert run() == first and "# the cost's line" in first


def test_debug_mode_names_lines_after_a_warm_start(monkeypatch: pytest.MonkeyPatch) -> None:
    from symgrad.debug import checks

    def run(mode: str) -> Any:
        x = T.fvector("x")
        y = T.tanh(x) * 3  # the line
        f = symgrad.function([x], T.exp(y), mode=mode)
        return f(np.ones(4, "float32"))

    expected = run("default")
    assert same([expected], [run("default")])
    np.testing.assert_allclose(run("DebugMode"), expected, rtol=1e-6)
    evaluate = checks.evaluate
    monkeypatch.setattr(checks, "evaluate", lambda *given: [1.01 * value for value in evaluate(*given)])
    with pytest.raises(KernelDifferenceError, match="# the line"):
        run("DebugMode")
