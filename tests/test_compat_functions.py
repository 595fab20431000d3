"""``theano.function`` and shared variables: inputs with defaults, states, containers, copies, modes, monitors."""

from __future__ import annotations

import copy
import importlib
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from symgrad.compat.theano_names.activation import activated


@pytest.fixture(autouse=True)
def theano() -> Iterator[Any]:
    with activated() as module:
        yield module


@pytest.fixture
def T(theano: Any) -> Any:
    return theano.tensor


@pytest.fixture
def accumulate(theano: Any, T: Any) -> Any:
    """Return a function of x, a with a default, and a state s to which their product is added."""
    x, a, s = T.dscalars("x", "a", "s")
    made = theano.function([x, theano.In(a, value=1.0), theano.In(s, value=0.0, update=s + a * x)], s + a * x)
    return made, x, a, s


def test_defaults_by_position_and_name(theano: Any, T: Any) -> None:
    x, y, w = T.dscalars("x", "y", "w")
    f = theano.function([x, theano.In(y, value=1), theano.In(w, value=2, name="by_name")], (x + y) * w)
    assert [float(f(33)), float(f(33, 2)), float(f(33, 0, 1))] == [68, 70, 33]
    assert float(f(33, by_name=1)) == 34 and float(f(33, by_name=1, y=0)) == 33
    for bad in (lambda: f(), lambda: f(1, 2, 3, 4), lambda: f(1, q=2), lambda: f(1, x=2)):
        with pytest.raises(TypeError):
            bad()


def test_names_that_several_inputs_have_must_not_be_used(theano: Any, T: Any) -> None:
    a, b = T.dscalar("x"), T.dscalar("x")
    f = theano.function([a, b], a - b)
    assert f(3, 1) == 2
    with pytest.raises(TypeError, match="several inputs named 'x'"):
        f(3, x=1)
    with pytest.raises(TypeError, match="name must be a string"):
        theano.In(a, name=())


def test_states_are_kept_and_can_be_looked_at(accumulate: Any) -> None:
    f, _x, a, s = accumulate
    assert f[a] == 1 and f[s] == 0
    assert f(3.0) == 3 and f(3.0, a=2.0) == 9 and f[s] == 9
    f[s] = 20.0
    f.value["a"] = 5.0
    assert f.container[s].value == 20 and f(1.0) == 25
    assert "s" in f and a in f and "q" not in f
    assert f(1.0, 1.0, 100.0) == 101 and f[s] == 101
    with pytest.raises(TypeError, match="Unknown input or state"):
        f["q"]


def test_a_changed_default_holds_also_behind_a_named_argument(theano: Any, T: Any) -> None:
    x, y, z = T.dscalars("x", "y", "z")
    f = theano.function([x, y, theano.In(z, value=1.0)], x + 10 * y + 100 * z)
    f["z"] = 2.0
    assert f(1, y=2) == 221


def test_functions_share_a_state_through_its_container(theano: Any, T: Any, accumulate: Any) -> None:
    f, x, a, s = accumulate
    g = theano.function([x, theano.In(a, value=1.0), theano.In(s, value=f.container[s], update=s - a * x)], s - a * x)
    f(5.0)
    assert g[s] == 5
    g(2.0)
    assert f[s] == 3


def test_copies_have_states_of_their_own(accumulate: Any) -> None:
    f, _x, a, s = accumulate
    f(3.0)
    f[a] = 2.0
    g = copy.copy(f)
    assert g[s] == f[s] == 3 and g.container[s].storage is not f.container[s].storage
    assert g(1.0) == f(1.0) == 5
    f(1.0)
    assert g[s] == 5 and f[s] == 7
    for other in (copy.deepcopy(f), pickle.loads(pickle.dumps(f))):
        assert other["s"] == f[s] and other["a"] == 2
        assert s not in other
        assert other(1.0) == f[s] + 2


def test_copy_swaps_and_drops_updates(theano: Any, T: Any) -> None:
    x = T.iscalar("x")
    total, other = theano.shared(0), theano.shared(0)
    add = theano.function([x], total, updates=[(total, total + x)])
    add(10)
    elsewhere = add.copy(swap={total: other})
    elsewhere(100)
    assert total.get_value() == 10 and other.get_value() == 100
    still = add.copy(delete_updates=True)
    assert still(9000) == 10 and total.get_value() == 10


def test_attributes_of_functions(theano: Any, T: Any) -> None:
    x = T.dvector("x")
    s = theano.shared(2.0)
    f = theano.function([theano.In(x, value=np.ones(2))], [x * s, x], name="f", profile=True)
    assert f.name == "f" and f.n_returned_outputs == 2 and not f.unpack_single and not f.return_none
    assert f.get_shared() == [s] and f.maker.fgraph.inputs == [x, s] and len(f.outputs) == 2
    assert [node.op for node in f.maker.fgraph.toposort()] == [T.mul.op]
    assert f.maker.inputs[0].variable is x and f.maker.outputs[0].variable is f.outputs[0]
    np.testing.assert_array_equal(f.fn()[0], [2, 2])
    np.testing.assert_array_equal(f.fn(n_calls=3)[0], [2, 2])
    np.testing.assert_array_equal(f.output_storage[0][0], [2, 2])
    np.testing.assert_array_equal(f(output_subset=[1])[0], [1, 1])
    assert f.profile.fct_callcount == 1
    f.trust_input = True
    f.free()
    f.sync_shared()
    np.testing.assert_array_equal(f([3.0])[0], [6])


def test_arguments_that_are_refused(theano: Any, T: Any) -> None:
    x = T.dscalar("x")
    s = theano.shared(np.zeros((2, 2)))
    with pytest.raises(TypeError, match="contained in a list"):
        theano.function(x, x)
    with pytest.raises(TypeError, match="either a boolean or a list"):
        theano.function([], s, no_default_updates=s)
    with pytest.raises(TypeError, match="same type as the original shared variable"):
        theano.function([], [], updates=[(s, s.sum().dimshuffle("x", "x"))])
    with pytest.raises(AssertionError, match="strings"):
        theano.function([x], {1: x})
    with pytest.raises(ValueError, match="needs a first value"):
        theano.function([theano.In(x, update=x + 1)], x)


# ---- shared variables ----


def test_types_of_shared_variables(theano: Any, T: Any) -> None:
    from theano import generic

    assert theano.shared(7).type == T.lscalar and theano.shared(7.0).type == T.dscalar
    assert theano.shared(np.float32(7)).type == T.fscalar
    held = theano.shared(["any", "thing"])
    assert held.type == generic and held.get_value() == ["any", "thing"]
    held.set_value(88)
    assert held.get_value() == 88
    with pytest.raises(TypeError):
        theano.shared(7, bad_keyword=False)
    with pytest.raises(TypeError):
        theano.shared(T.dscalar())


def test_strictness_of_shared_variables(theano: Any) -> None:
    strict = theano.shared(np.zeros(2, "int16"), strict=True)
    loose = theano.shared(np.int64(7), allow_downcast=True)
    plain = theano.shared(np.int8(7))
    loose.set_value(8.23)
    assert loose.get_value() == 8
    for variable, value in ((strict, [1, 2]), (plain, 8.23), (plain, 300), (plain, np.zeros(3, "int8"))):
        with pytest.raises(TypeError):
            variable.set_value(value)
    assert plain.get_value() == 7 and plain.container.storage[0] == 7


def test_shared_variables_by_type(theano: Any, T: Any) -> None:
    from theano.tensor.sharedvar import TensorSharedVariable

    u = theano.compile.SharedVariable(name="u", type=T.dvector, value=[1, 2], strict=False)
    assert isinstance(u, TensorSharedVariable) and u.get_value().dtype == np.float64
    value = theano._asarray([5, 6], dtype="float64")
    u.set_value(value, borrow=True)
    assert u.get_value(borrow=True) is value


# ---- modes ----


def test_modes(theano: Any, T: Any) -> None:
    x = T.dscalar("x")
    for mode in ("FAST_RUN", "FAST_COMPILE", "DebugMode", theano.Mode("py", None), theano.Mode(linker="vm"),
                 theano.compile.get_default_mode().excluding("fusion").including("canonicalize")):  # fmt: skip
        assert theano.function([x], T.exp(T.log(x)), mode=mode)(2.0) == pytest.approx(2)
    with pytest.raises(Exception, match="No predefined mode"):
        theano.function([x], x, mode="FAST_WALK")


def test_a_monitor_sees_every_node(theano: Any, T: Any) -> None:
    seen: list[Any] = []

    def before(number: int, node: Any, thunk: Any) -> None:
        seen.append((number, str(node.op), [float(cell[0]) for cell in thunk.inputs]))

    def after(number: int, node: Any, thunk: Any) -> None:
        seen.append(float(thunk.outputs[0][0]))

    x = T.dscalar("x")
    s = theano.shared(1.0)
    f = theano.function([x], T.exp(x) * s, mode=theano.compile.MonitorMode(before, after), updates=[(s, s + 1)])
    assert f(0.0) == 1 and f(0.0) == 2
    assert seen[0] == (0, "exp", [0.0]) and seen[1] == 1.0
    assert s.get_value() == 3


@pytest.mark.parametrize(("value", "word"), [(-1.0, "nan"), (0.0, "inf"), (np.nan, "nan")])
def test_a_nan_guard_raises_an_assertion_error(theano: Any, T: Any, value: float, word: str) -> None:
    from theano.compile.nanguardmode import NanGuardMode

    x = T.dscalar("x")
    f = theano.function([x], T.log(x), mode=NanGuardMode(nan_is_error=True, inf_is_error=True, big_is_error=True))
    assert f(1.0) == 0
    with pytest.raises(AssertionError, match=word):
        f(value)
    big = theano.function([x], x * x, mode=NanGuardMode(big_is_error=True))
    with pytest.raises(AssertionError, match="above 1e"):
        big(1e6)


def test_ops_made_with_equal_parameters_are_equal_and_can_be_pickled(theano: Any) -> None:
    sort = importlib.import_module("theano.tensor.sort")
    extra = importlib.import_module("theano.tensor.extra_ops")
    stable = sort.SortOp("mergesort", [])
    assert stable == sort.SortOp("mergesort", []) and hash(stable) == hash(sort.SortOp("mergesort", []))
    assert stable != sort.SortOp("quicksort", []) and stable != sort.ArgSortOp("mergesort", [])
    assert isinstance(stable, sort.SortOp) and not isinstance(stable, sort.ArgSortOp)
    unique = extra.Unique(True)
    assert unique.return_index is True and unique.return_inverse is False
    assert pickle.loads(pickle.dumps(unique)) == unique
    assert not hasattr(unique, "nothing")


def test_ops_return_lists_where_asked(theano: Any) -> None:
    extra = importlib.import_module("theano.tensor.extra_ops")
    values = np.array([2.0, 1.0, 2.0])
    (alone,) = extra.Unique()(values, return_list=True)
    elements, counts = extra.Unique(return_counts=True)(values, return_list=True)
    np.testing.assert_array_equal(alone.eval(), [1, 2])
    np.testing.assert_array_equal(elements.eval(), [1, 2])
    np.testing.assert_array_equal(counts.eval(), [1, 2])


def test_ops_of_products_and_positions(theano: Any) -> None:
    extra = importlib.import_module("theano.tensor.extra_ops")
    elemwise = importlib.import_module("theano.tensor.elemwise")
    values = np.array([[2.0, 0.0], [3.0, 4.0]])
    np.testing.assert_array_equal(extra.CumOp(axis=0, mode="mul")(values).eval(), values.cumprod(0))
    np.testing.assert_array_equal(extra.CumOp(axis=1)(values).eval(), values.cumsum(1))
    with pytest.raises(ValueError, match="add, mul"):
        extra.CumOp(mode="sub")
    np.testing.assert_array_equal(elemwise.ProdWithoutZeros(axis=1)(values).eval(), [2, 12])
    rows, columns = extra.UnravelIndex()([5, 1], (2, 3))
    np.testing.assert_array_equal([rows.eval(), columns.eval()], [[1, 0], [2, 1]])
    np.testing.assert_array_equal(extra.RavelMultiIndex()([1, 0], [2, 1], (2, 3)).eval(), [5, 1])


def test_gradient_ops_of_symmetric_matrices(theano: Any) -> None:
    nlinalg, slinalg = [importlib.import_module(f"theano.tensor.{name}") for name in ("nlinalg", "slinalg")]
    T = theano.tensor
    a = T.dmatrix("a")
    square = np.random.default_rng(0).normal(size=(3, 3))
    square = square @ square.T
    w, v = nlinalg.eigh(a)
    made = nlinalg.EighGrad("L")(a, w, v, T.ones_like(w), T.zeros_like(v))
    np.testing.assert_allclose(made.eval({a: square}), np.eye(3), atol=1e-9)  # the sum of eigenvalues is the trace
    first, second = slinalg.EigvalshGrad()(a, np.eye(3), np.ones(3))
    np.testing.assert_allclose(first.eval({a: square}), np.eye(3), atol=1e-9)
    assert second.ndim == 2


def test_casts_and_closeness_of_basic(theano: Any) -> None:
    basic = importlib.import_module("theano.tensor.basic")
    assert basic._convert_to_int8(theano.tensor.dvector("x")).dtype == "int8"
    assert basic._allclose(1.0, 1.0 + 1e-7) and not basic._allclose(1.0, 1.1)


def test_a_container_shares_the_state_of_another_function(theano: Any, T: Any, accumulate: Any) -> None:
    f, x, _, s = accumulate
    g = theano.function([x, theano.In(s, value=f.container[s])], s + x)
    f(2)
    assert float(g[s]) == 2 and float(g(1)) == 3 and float(f[s]) == 2


def test_updates_of_inputs_are_of_their_type(theano: Any, T: Any) -> None:
    with pytest.raises(TypeError, match="update"):
        theano.In(T.dscalar("a"), value=0.0, update=T.dvector("b"))
    kept = theano.shared(1.0)
    with pytest.raises(TypeError, match="shared variable"):
        theano.function([theano.In(kept, update=kept + 1)], [])


def test_outputs_of_a_dict_are_sorted(theano: Any, T: Any) -> None:
    x, y = T.dscalars("x", "y")
    f = theano.function([x, y], {"y": y, "x": x})
    assert f.output_keys == ["x", "y"] and f.outputs[0].name == "x" and list(f(1, 2)) == ["x", "y"]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_of_pickle(theano: Any, accumulate: Any, protocol: int) -> None:
    f = accumulate[0]
    f(2)
    f.trust_input = True
    g, shared = pickle.loads(pickle.dumps((f, theano.shared(np.ones(2))), protocol))
    assert float(g(1)) == 3 and g.trust_input and shared.get_value().sum() == 2


def test_a_type_that_only_says_what_it_equals_can_be_hashed(theano: Any) -> None:
    class Marked(theano.gof.Type):  # type: ignore[name-defined,misc]
        def __init__(self, mark: int) -> None:
            self.mark = mark

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Marked) and other.mark == self.mark

    assert len({Marked(1), Marked(1), Marked(2)}) == 2
