"""Regions of plans: a program with its own plan as one step of another, run as often as a number in memory says."""

import ctypes

import numpy as np
import pytest

import symgrad
import symgrad.tensor as T
from symgrad.backends.native.entries import runtime
from symgrad.backends.native.objects import api_table
from symgrad.backends.native.records import Header, Move, Step, StepKind

WIDTH = 5


def body_program():
    """The program of one round: ``h' = tanh(x + h / 2)``, and how often it ran in all."""
    x, h = T.fvector("x"), T.fvector("h")
    rounds = symgrad.shared(0, name="rounds")
    with symgrad.config.change_flags(backend="native"):
        f = symgrad.function([x, h], T.tanh(x + 0.5 * h), updates=[(rounds, rounds + 1)])
    f(np.zeros(WIDTH, "float32"), np.zeros(WIDTH, "float32"))
    rounds.set_value(0)
    f(np.zeros(WIDTH, "float32"), np.zeros(WIDTH, "float32"))
    (program,) = [found[1] for found in f._programs.values()]
    return f, program, rounds


def run_region(program, count, sequence, states):
    """Run a program whose only step is a region: round k reads row k of both arrays, and writes row k + 1 of states."""
    slots = np.array([sequence.ctypes.data, states.ctypes.data, count.ctypes.data], np.int64)
    moves = program.table.moves()
    starts = [(0, 0, sequence.strides[0]), (1, 0, states.strides[0]), (1, states.strides[0], states.strides[0])]
    for move, (slot, first, stride) in zip(moves, starts, strict=True):
        move[Move.BASE] = slots[slot:].ctypes.data
        move[Move.ADDRESS], move[Move.STRIDE] = first, stride
    step = np.zeros(Step.SIZE, np.int64)
    step[Step.KIND] = StepKind.REGION
    step[Step.PROGRAM] = program.table.words.ctypes.data
    step[Step.MOVES], step[Step.MOVE_COUNT] = moves.ctypes.data, len(moves)
    step[Step.COUNT] = slots[2:].ctypes.data
    words = np.zeros(Header.SIZE, np.int64)
    words[Header.CALLS] = api_table().ctypes.data
    words[Header.STEPS], words[Header.STEP_COUNT] = step.ctypes.data, 1
    run = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(runtime()["symgrad_run"])
    return run(words.ctypes.data)


@pytest.mark.parametrize("count", [0, 1, 2, 37])
def test_a_loop_is_a_program_whose_operands_step_on(count):
    function, program, rounds = body_program()
    before = int(rounds.get_value())
    sequence = np.random.RandomState(count).randn(max(count, 1), WIDTH).astype("float32")
    states = np.full((count + 1, WIDTH), np.nan, "float32")
    states[0] = 0.25
    assert run_region(program, np.array(count), sequence, states) == 0
    expected = np.full(WIDTH, 0.25)
    for row in range(count):
        expected = np.tanh(sequence[row] + 0.5 * expected)
        np.testing.assert_allclose(states[row + 1], expected, rtol=1e-5)
    assert int(rounds.get_value()) == before + count
    assert program.table.words[Header.ROUNDS] == count or count == 0
    assert function is not None


def test_a_failing_round_stops_the_region():
    table, labels = symgrad.shared(np.arange(6.0, dtype="float32"), name="table"), T.lvector("k")
    with symgrad.config.change_flags(backend="native"):
        f = symgrad.function([labels], table[labels])
    f(np.array([1, 2]))
    (program,) = [found[1] for found in f._programs.values()]
    picked = np.array([[0, 5], [3, 3], [1, 6], [0, 0]])
    results = np.full((4, 2), -1, "float32")
    slots = np.array([picked.ctypes.data, results.ctypes.data, np.int64(4)], np.int64)
    moves = program.table.moves()
    for number, array in enumerate((picked, results)):
        moves[number, Move.BASE] = slots[number:].ctypes.data
        moves[number, Move.STRIDE] = array.strides[0]
    run = ctypes.CFUNCTYPE(
        ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64,
        ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64,
    )(runtime()["symgrad_repeat"])  # fmt: skip
    finished = ctypes.c_int64(0)
    code = run(program.table.words.ctypes.data, 4, moves.ctypes.data, len(moves), 0, None, ctypes.byref(finished), 0)
    assert code != 0 and finished.value == 2
    assert results.tolist() == [[0, 5], [3, 3], [-1, -1], [-1, -1]]
