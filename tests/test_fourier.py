"""Fourier transforms: NumPy's values for all sizes, axes and norms, Theano's layout, and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T
from symgrad.errors import DTypeError, RangeError, ShapeError

NORMS = st.sampled_from([None, "backward", "ortho", "forward"])
PRECISION = st.sampled_from(["float32", "float64"])


def numbers(*shape: int, dtype: str = "float64", seed: int = 0) -> np.ndarray:
    random = np.random.default_rng([*shape, seed])
    x = random.normal(size=shape)
    return (x + 1j * random.normal(size=shape) if dtype.startswith("c") else x).astype(dtype)


def compare(build: Callable[[Any], Any], function: Callable[[Any], Any], value: np.ndarray) -> None:
    """Compare with NumPy, for known sizes and for open ones."""
    for x in oracle.variables_for(value):
        y = build(x)
        expected = np.asarray(function(value))
        found = symgrad.function([x], y)(value)
        oracle.check_type(y.type, found)
        oracle.assert_same(found, expected, 1e-4 if expected.dtype in ("float32", "complex64") else 1e-10)


@settings(max_examples=30)
@given(
    st.sampled_from(["fft", "ifft", "rfft", "irfft"]), st.sampled_from([(5,), (6,), (2, 3), (4, 1, 7), (0, 4)]),
    st.one_of(st.none(), st.integers(1, 9)), st.integers(0, 2), NORMS, PRECISION, st.booleans(),
)  # fmt: skip
def test_one_axis(name: str, shape: Any, n: Any, axis: int, norm: Any, dtype: str, is_complex: bool) -> None:
    axis = axis % len(shape)
    if shape[axis] == 0 or (name == "irfft" and n is None and shape[axis] < 2):
        return
    if is_complex and name != "rfft":
        dtype = "complex64" if dtype == "float32" else "complex128"
    function = getattr(np.fft, name)
    compare(
        lambda x: getattr(T.fft, name)(x, n, axis, norm), lambda x: function(x, n, axis, norm),
        numbers(*shape, dtype=dtype),
    )  # fmt: skip


@settings(max_examples=30)
@given(
    st.sampled_from(["fftn", "ifftn", "rfftn", "irfftn", "fft2", "ifft2", "rfft2", "irfft2"]),
    st.sampled_from([None, (0, 1), (2, 0), (-1, 1)]), st.sampled_from([None, (4, 5), (1, 6)]), NORMS, PRECISION,
)  # fmt: skip
def test_several_axes(name: str, axes: Any, sizes: Any, norm: Any, dtype: str) -> None:
    function = getattr(np.fft, name)
    if sizes is not None and axes is None:
        axes = (1, 2)
    arguments = {"s": sizes, "norm": norm} if axes is None else {"s": sizes, "axes": axes, "norm": norm}
    value = numbers(3, 4, 5, dtype=dtype)
    compare(lambda x: getattr(T.fft, name)(x, **arguments), lambda x: function(x, **arguments), value)


def test_sizes_may_be_symbolic() -> None:
    x, n = T.dvector("x"), T.lscalar("n")
    function = symgrad.function([x, n], [T.fft.fft(x, n), T.fft.rfft(x, n), T.fft.irfft(x, n)])
    value = numbers(5)
    for size in (1, 4, 5, 8):
        whole, half, back = function(value, size)
        oracle.assert_same(whole, np.fft.fft(value, size))
        oracle.assert_same(half, np.fft.rfft(value, size))
        oracle.assert_same(back, np.fft.irfft(value, size))


@pytest.mark.parametrize("shape", [(2, 5), (2, 6), (3, 4, 5), (2, 3, 1, 4)])
@pytest.mark.parametrize("norm", [None, "ortho", "no_norm"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_real_and_imaginary_parts_in_a_last_axis(shape: tuple[int, ...], norm: Any, dtype: str) -> None:
    value = numbers(*shape, dtype=dtype)
    axes = range(1, len(shape))
    whole = np.fft.rfftn(value, axes=axes, norm="ortho" if norm == "ortho" else None)
    compare(lambda x: T.fft.rfft_parts(x, norm), lambda _: np.stack([whole.real, whole.imag], axis=-1), value)

    def back(x: Any) -> Any:
        return T.fft.irfft_parts(T.fft.rfft_parts(x, norm), norm, is_odd=shape[-1] % 2 == 1)

    count = np.prod(shape[1:]) if norm == "no_norm" else 1
    compare(back, lambda x: x * x.dtype.type(count), value)


@pytest.mark.parametrize("size", [1, 2, 5, 6])
def test_shifts_and_frequencies(size: int) -> None:
    value = numbers(size, 3)
    for name in ("fftshift", "ifftshift"):
        function = getattr(np.fft, name)
        for axes in (None, 0, [1]):
            compare(
                lambda x, name=name, axes=axes: getattr(T.fft, name)(x, axes),
                lambda x, function=function, axes=axes: function(x, axes), value,
            )  # fmt: skip
    n = T.lscalar("n")
    for name in ("fftfreq", "rfftfreq"):
        expected = getattr(np.fft, name)(size, 0.5).astype(symgrad.config.floatX)
        np.testing.assert_array_equal(getattr(T.fft, name)(n, 0.5).eval({n: size}), expected)
        np.testing.assert_array_equal(getattr(T.fft, name)(size, 0.5).eval(), expected)


def modulus(z: Any) -> Any:
    """Return something real and smooth of all elements, in which no two play the same part."""
    weights = T.cumsum(T.ones_like(T.real(z)).flatten()).reshape(z.shape)
    return (T.real(z) ** 2 * weights + T.sin(T.imag(z)) * weights).sum()


REAL: dict[str, Callable[..., Any]] = {
    "fft": lambda x: modulus(T.fft.fft(x, axis=0, norm="ortho")),
    "fft of another size": lambda x: modulus(T.fft.fft(x, 7)),
    "rfft": lambda x: modulus(T.fft.rfft(x)),
    "rfft of an even size": lambda x: modulus(T.fft.rfft(x, 6, 0, "forward")),
    "rfftn": lambda x: modulus(T.fft.rfftn(x)),
    "irfft": lambda x: T.fft.irfft(x, norm="ortho"),
    "irfft of an odd size": lambda x: T.fft.irfft(x, 7),
    "parts": T.fft.rfft_parts,
    "inverse of parts": lambda x: T.fft.irfft_parts(T.stack([x, 2 * x[::-1]], axis=-1), is_odd=True),
    "shift": T.fft.fftshift,
    "convolution": lambda x: T.fft.irfft(T.fft.rfft(x, 9) * T.fft.rfft(x[0], 9), 9),
    "second": lambda x: symgrad.grad((T.fft.irfft(T.fft.rfft(x) ** 2, 5) ** 2).sum(), x),
}


@pytest.mark.parametrize("name", list(REAL))
def test_gradients_of_real_transforms(name: str) -> None:
    value = numbers(3, 5)
    symgrad.verify_grad(REAL[name], [value], n_tests=1, rng=np.random.default_rng(0))
    x, v = T.dmatrices("x", "v")
    y = REAL[name](x)
    forward, backward = symgrad.Rop(y, x, v).sum(), (symgrad.grad(y.sum(), x) * v).sum()
    one, other = symgrad.function([x, v], [forward, backward])(value, numbers(3, 5, seed=1))
    assert one == pytest.approx(other, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", ["fft2", "ifft2", "ifft", "irfft2", "irfft"])
def test_gradients_of_complex_numbers(name: str) -> None:
    def cost(x: Any, y: Any) -> Any:
        return modulus(getattr(T.fft, name)(T.complex(x, y)) + 0j)

    symgrad.verify_grad(cost, [numbers(3, 4), numbers(3, 4, seed=1)], n_tests=1, rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda: T.fft.fft(T.dvector(), norm="best"), RangeError, "norm"),
        (lambda: T.fft.rfft(T.zvector()), DTypeError, "Use fft"),
        (lambda: T.fft.fft(T.dvector(), axis=1), ShapeError, "axis 1"),
        (lambda: T.fft.fft(T.dscalar()), ShapeError, "axis"),
        (lambda: T.fft.fft2(T.dmatrix(), axes=(0, 0)), ShapeError, "each once"),
        (lambda: T.fft.fftn(T.dmatrix(), s=(3,), axes=(0, 1)), ShapeError, "1 sizes for 2 axes"),
        (lambda: T.fft.rfft_parts(T.dvector()), ShapeError, "batch"),
        (lambda: T.fft.rfft_parts(T.zmatrix()), DTypeError, "real numbers"),
        (lambda: T.fft.irfft_parts(T.dtensor3(), is_odd=3), RangeError, "True or False"),
        (lambda: T.fft.fft(T.tensor("float64", (0,))), ShapeError, "size 0"),
    ],
)
def test_mistakes_are_explained(build: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        build()
    assert "test_fourier.py" in str(caught.value)


def test_empty_axes_are_explained_when_they_come() -> None:
    x = T.dvector("x")
    function = symgrad.function([x], T.fft.rfft(x))
    with pytest.raises(ShapeError, match="size 0") as caught:
        function(np.zeros(0))
    assert "test_fourier.py" in str(caught.value)
