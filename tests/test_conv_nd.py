"""Convolution in one, two and three dimensions, its gradients, its transpose, and what is made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import oracle
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T
from symgrad.errors import ShapeError
from symgrad.tensor import nnet

CONVOLUTIONS = {1: nnet.conv1d, 2: nnet.conv2d, 3: nnet.conv3d}
OF_INPUTS = {2: nnet.conv2d_grad_wrt_inputs, 3: nnet.conv3d_grad_wrt_inputs}
OF_WEIGHTS = {2: nnet.conv2d_grad_wrt_weights, 3: nnet.conv3d_grad_wrt_weights}
TRANSPOSED = {2: nnet.conv2d_transpose, 3: nnet.conv3d_transpose}


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@dataclass
class Case:
    """A convolution along `axes` axes: its operands, its arguments, and the zeros that they stand for."""

    axes: int
    image: np.ndarray
    filters: np.ndarray
    arguments: dict[str, Any]
    sides: list[tuple[int, int]]

    def one(self, name: str) -> Any:
        """Arguments of conv1d are numbers."""
        value = self.arguments[name]
        return value[0] if self.axes == 1 and isinstance(value, tuple) else value

    @property
    def keywords(self) -> dict[str, Any]:
        return {name: self.one(name) for name in self.arguments}

    def expected(self) -> np.ndarray:
        """Each pair of channels by SciPy, on images with zeros, with filters spread out, then every stride-th."""
        stride, dilation = self.arguments["subsample"], self.arguments["filter_dilation"]
        padded = np.pad(self.image, [(0, 0), (0, 0), *self.sides])
        window = [(size - 1) * step + 1 for size, step in zip(self.filters.shape[2:], dilation, strict=True)]
        spread = np.zeros((*self.filters.shape[:2], *window))
        spread[(slice(None), slice(None), *[slice(None, None, step) for step in dilation])] = self.filters
        function = scipy.signal.convolve if self.arguments["filter_flip"] else scipy.signal.correlate
        groups, per_group = self.arguments["num_groups"], len(self.filters) // self.arguments["num_groups"]
        channels = padded.shape[1] // groups

        def plane(image: np.ndarray, k: int) -> Any:
            first = k // per_group * channels
            parts = [function(image[first + c], spread[k, c], "valid", "direct") for c in range(channels)]
            return np.sum(parts, axis=0)[tuple([slice(None, None, step) for step in stride])]

        return np.array([[plane(image, k) for k in range(len(spread))] for image in padded])


@st.composite
def cases(draw: Any) -> Case:
    count = draw(st.integers(1, 3))

    def numbers(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.lists(st.integers(low, high), min_size=count, max_size=count)))

    window, stride, dilation, groups = numbers(1, 3), numbers(1, 3), numbers(1, 2), draw(st.integers(1, 2))
    reach = [(size - 1) * step + 1 for size, step in zip(window, dilation, strict=True)]
    sizes = [least + more for least, more in zip(reach, numbers(0, 3), strict=True)]
    mode = draw(st.sampled_from(["valid", "full", "half", "number", "numbers", "sides"]))
    given_sides = {
        "valid": [(0, 0)] * count, "full": [(size - 1,) * 2 for size in reach],
        "half": [(size // 2,) * 2 for size in reach], "number": [(1, 1)] * count,
        "numbers": [(side, side) for side in numbers(0, 2)],
        "sides": list(zip(numbers(0, 2), numbers(0, 2), strict=True)),
    }  # fmt: skip
    sides = given_sides[mode]
    border = {"number": 1, "numbers": tuple(a for a, _ in sides), "sides": tuple(sides)}.get(mode, mode)
    inputs, outputs = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    arguments = {
        "border_mode": border, "subsample": stride, "filter_flip": draw(st.booleans()), "filter_dilation": dilation,
        "num_groups": groups,
    }  # fmt: skip
    image = normal(draw(st.integers(1, 2)), inputs, *sizes, seed=draw(st.integers(0, 99)))
    return Case(count, image, normal(outputs, inputs // groups, *window, seed=7), arguments, sides)


def inputs_for(known: bool, *values: np.ndarray) -> list[Any]:
    return [T.tensor("float64", value.shape if known else (None,) * value.ndim) for value in values]


@given(cases(), st.booleans())
@settings(max_examples=25)
def test_convolution_is_scipy_s(case: Case, known: bool) -> None:
    x, w = inputs_for(known, case.image, case.filters)
    y = CONVOLUTIONS[case.axes](x, w, **case.keywords)
    expected = case.expected()
    if known:
        assert y.type.shape == expected.shape
    oracle.assert_same(symgrad.function([x, w], y)(case.image, case.filters), expected)


@given(cases(), st.booleans())
@settings(max_examples=25)
def test_gradients_are_the_transposes(case: Case, known: bool) -> None:
    """``<conv(x, w), c> = <x, gradient(w, c)> = <w, gradient(x, c)>``; what `grad` gives is what the functions give."""
    values = [case.image, case.filters, normal(*case.expected().shape, seed=3)]
    x, w, c = inputs_for(known, *values)
    y = CONVOLUTIONS[case.axes](x, w, **case.keywords)
    outputs = symgrad.grad((y * c).sum(), [x, w])
    if case.axes > 1:
        shapes = [v.shape if known else variable.shape for v, variable in zip(values, (x, w), strict=False)]
        outputs.append(OF_INPUTS[case.axes](c, w, shapes[0], **case.keywords))
        outputs.append(OF_WEIGHTS[case.axes](x, c, shapes[1], **case.keywords))
    of_image, of_filters, *same = symgrad.function([x, w, c], outputs)(*values)
    product = np.vdot(case.expected(), values[2])
    assert np.vdot(of_image, case.image) == pytest.approx(product, rel=1e-9, abs=1e-9)
    assert np.vdot(of_filters, case.filters) == pytest.approx(product, rel=1e-9, abs=1e-9)
    for found, expected in zip(same, (of_image, of_filters), strict=False):
        oracle.assert_same(found, expected, least_scale=1.0)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_second_derivatives_and_forward_mode(axes: int) -> None:
    image, filters = normal(1, 2, *(4, 3, 5)[:axes]), normal(2, 2, *(2, 1, 2)[:axes], seed=1)

    def build(x: Any, w: Any) -> Any:
        return CONVOLUTIONS[axes](x, w, border_mode=1)

    symgrad.verify_grad(build, [image, filters])
    symgrad.verify_grad(lambda x, w: symgrad.grad((build(x, w) ** 2).sum(), w), [image, filters], abs_tol=1e-4)
    x, w = T.tensor("float64", image.shape), T.tensor("float64", filters.shape)
    tangent = symgrad.Rop(build(x, w), x, x).eval({x: image, w: filters})
    oracle.assert_same(tangent, build(x, w).eval({x: image, w: filters}))


@pytest.mark.parametrize("axes", [2, 3])
def test_transposed_convolution(axes: int) -> None:
    """With stride 2 and no zeros, it puts filters side by side."""
    x, w = normal(1, 2, *[3] * axes), normal(2, 3, *[2] * axes, seed=1)
    shape = (None, None, *[6] * axes)
    found = TRANSPOSED[axes](T.constant(x), T.constant(w), shape, input_dilation=2, filter_flip=False).eval()
    outer = np.tensordot(x, w, [[1], [0]])  # images, their places, channels, the filters' places
    order = [0, 1 + axes, *[axis for place in range(1, 1 + axes) for axis in (place, place + 1 + axes)]]
    np.testing.assert_allclose(found, outer.transpose(order).reshape(1, 3, *[6] * axes))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("options", [{}, {"filter_flip": False, "subsample": (2, 1)}, {"border_mode": (1, 0)},
                                     {"filter_dilation": (1, 2)}])  # fmt: skip
def test_unshared_convolution(groups: int, options: Any) -> None:
    """With the same filters everywhere it is the usual one; with others, each place has its own."""
    image, filters = normal(2, 4, 5, 6), normal(2, 4 // groups, 2, 3, seed=1)
    x, w = inputs_for(True, image, filters)
    shared = nnet.conv2d(x, w, num_groups=groups, **options)
    height, width = shared.type.shape[2:]
    v = T.tensor("float64", (2, height, width, 4 // groups, 2, 3))
    y = nnet.conv2d(x, v, num_groups=groups, unshared=True, **options)
    places = normal(height, width, seed=2)
    weights = normal(2, 2, height, width, seed=3)
    cost = (y * weights).sum()
    arguments = {"num_groups": groups, "unshared": True, **options}
    outputs = [
        y, *symgrad.grad(cost, [x, v]), nnet.conv2d_grad_wrt_inputs(weights, v, image.shape, **arguments),
        nnet.conv2d_grad_wrt_weights(x, weights, v.type.shape, **arguments),
    ]  # fmt: skip
    scaled = np.einsum("kcab,ij->kijcab", filters, places)
    found, of_image, of_filters, *same = symgrad.function([x, v], outputs)(image, scaled)
    np.testing.assert_allclose(found, shared.eval({x: image, w: filters}) * places)
    for value, expected in zip(same, (of_image, of_filters), strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-12)
    assert np.vdot(of_image, image) == pytest.approx(np.vdot(found, weights))
    assert np.vdot(of_filters, scaled) == pytest.approx(np.vdot(found, weights))


def test_unshared_convolution_of_sequences() -> None:
    signal, filters, places = normal(2, 2, 9), normal(3, 2, 3, seed=1), normal(4, seed=2)
    shared = nnet.conv1d(signal, filters, subsample=2)
    scaled = filters[:, None] * places[:, None, None]
    found = nnet.conv1d(signal, scaled, subsample=2, unshared=True).eval()
    np.testing.assert_allclose(found, shared.eval() * places)
    causal = nnet.causal_conv1d(signal, np.repeat(filters[:, None], 9, 1), unshared=True).eval()
    np.testing.assert_allclose(causal, nnet.causal_conv1d(signal, filters).eval())


def test_causal_convolution_sees_the_past_only() -> None:
    signal, filters = normal(1, 2, 9), normal(3, 2, 3, seed=1)
    x = T.tensor("float64", (1, 2, 9))
    y = nnet.causal_conv1d(x, filters, filter_shape=(3, 2, 3), filter_dilation=2)
    assert y.type.shape == (1, 3, 9)
    jacobian = np.stack([symgrad.grad(y[0, :, i].sum(), x).eval({x: signal})[0].any(0) for i in range(9)])
    assert [np.flatnonzero(row).tolist() for row in jacobian] == [
        [i - 2 * a for a in (2, 1, 0) if i - 2 * a >= 0] for i in range(9)
    ]
    assert nnet.causal_conv1d(x, filters, subsample=2).type.shape == (1, 3, 5)
    w = T.dtensor3("w")
    open_sizes = symgrad.function([x, w], nnet.causal_conv1d(x, w, filter_dilation=2))
    np.testing.assert_allclose(open_sizes(signal, filters), y.eval({x: signal}))


@pytest.mark.parametrize(("function", "axes"), [(nnet.separable_conv2d, 2), (nnet.separable_conv3d, 3)])
def test_separable_convolution(function: Any, axes: int) -> None:
    image, depthwise = normal(2, 3, *[5] * axes), normal(6, 1, *[2] * axes, seed=1)
    pointwise = normal(4, 6, *[1] * axes, seed=2)
    found = function(image, depthwise, pointwise, 3, border_mode="half", subsample=2).eval()
    each = CONVOLUTIONS[axes](image, depthwise, border_mode="half", subsample=2, num_groups=3).eval()
    np.testing.assert_allclose(found, np.einsum("kc,nc...->nk...", pointwise.reshape(4, 6), each))
    with pytest.raises(ShapeError, match="pointwise filters are 1"):
        function(image, depthwise, normal(4, 6, *[2] * axes), 3)


def test_convolution_of_signals_has_axes_where_there_are_several() -> None:
    image, filters = normal(2, 5, 6), normal(3, 2, 3)
    one = scipy.signal.convolve2d(image[0], filters[0], "full")
    np.testing.assert_allclose(nnet.signal_conv2d(image[0], filters[0], border_mode="full").eval(), one)
    valid = [[scipy.signal.convolve2d(i, f, "valid") for f in filters] for i in image]
    np.testing.assert_allclose(nnet.signal_conv2d(image[0], filters).eval(), valid[0])
    np.testing.assert_allclose(nnet.signal_conv2d(image, filters[1]).eval(), [part[1] for part in valid])
    np.testing.assert_allclose(nnet.signal_conv2d(image, filters, image_shape=(2, 5, 6)).eval(), valid)
    with pytest.raises(ShapeError, match="two or three axes"):
        nnet.signal_conv2d(T.tensor4(), T.matrix())


@pytest.mark.parametrize("mode", ["valid", "full", ("valid", "full", "half")])
def test_convolution_of_films_has_time_second(mode: Any) -> None:
    films, filters = normal(2, 4, 2, 5, 3), normal(3, 3, 2, 3, 1)
    expected = nnet.conv3d(films.swapaxes(1, 2), filters.swapaxes(1, 2), border_mode=mode).eval()
    np.testing.assert_allclose(nnet.conv3d_of_signals(films, filters, border_mode=mode).eval(), expected.swapaxes(1, 2))


@pytest.mark.parametrize(("p", "q"), [(2, 1), (3, 1), (4, 1), (3, 2), (4, 6)])
def test_bilinear_upsampling_is_linear_interpolation(p: int, q: int) -> None:
    images = normal(2, 3, 4, 5)
    ratio = {"ratio": p} if q == 1 else {"frac_ratio": (p, q)}
    x = T.tensor4(dtype="float64")
    found = symgrad.function([x], nnet.bilinear_upsampling(x, **ratio, use_1D_kernel=False))(images)
    common = np.gcd(p, q)
    p, q = p // common, q // common

    def places(size: int) -> np.ndarray:
        return np.clip((np.arange(-(-size * p // q)) * q - (p - 1) // 2) / p, 0, size - 1)

    rows = np.apply_along_axis(lambda column: np.interp(places(4), np.arange(4), column), 2, images)
    expected = np.apply_along_axis(lambda row: np.interp(places(5), np.arange(5), row), 3, rows)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_upsampling_by_a_whole_ratio_is_a_transposed_convolution_with_the_kernel() -> None:
    image = normal(1, 1, 4, 5)
    edges = np.pad(image, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    for ratio in (2, 3):
        kernel = nnet.bilinear_kernel_2D(ratio).eval().astype("float64")
        pad = 2 * ratio - (ratio - 1) // 2 - 1
        expected = nnet.conv2d_grad_wrt_inputs(
            edges, kernel[None, None], (1, 1, 4 * ratio, 5 * ratio), border_mode=pad, subsample=ratio
        ).eval()
        np.testing.assert_allclose(nnet.bilinear_upsampling(image, ratio).eval(), expected, rtol=1e-6)
    two = nnet.frac_bilinear_upsampling(image, ((2, 1), (3, 1))).eval()
    np.testing.assert_allclose(two[:, :, ::2], nnet.bilinear_upsampling(image, frac_ratio=((1, 1), (3, 1))).eval())


def test_callables_take_their_parameters_first() -> None:
    image, filters = normal(2, 2, 6, 5), normal(3, 2, 3, 2)
    parameters = {"subsample": (2, 1), "border_mode": "half", "filter_flip": False}
    output = nnet.AbstractConv2d(image.shape, filters.shape, **parameters)(image, filters)
    cotangent = normal(*output.type.shape, seed=2)
    gradients = symgrad.grad((output * cotangent).sum(), output.owner.inputs)
    of_image = nnet.AbstractConv2d_gradInputs(kshp=filters.shape, **parameters)(filters, cotangent, (6, 5))
    of_filters = nnet.AbstractConv2d_gradWeights(imshp=image.shape, **parameters)(image, cotangent, T.constant([3, 2]))
    for found, expected in zip((of_image, of_filters), gradients, strict=True):
        np.testing.assert_allclose(found.eval(), expected.eval(), atol=1e-12)
    volume = nnet.AbstractConv3d_gradInputs((None, None, 3, 3, 3), border_mode="full")(
        normal(2, 1, 2, 2, 2), normal(1, 2, 4, 4, 4)
    )
    assert volume.eval().shape == (1, 1, 3, 3, 3)


def test_the_border_of_a_shared_variable_s_sizes_is_checked_when_they_change() -> None:
    filters = symgrad.shared(normal(1, 1, 3, 3))
    x = T.dtensor4()
    f = symgrad.function([x], nnet.conv2d(x, filters, border_mode="half"))
    assert f(normal(1, 1, 5, 5)).shape == (1, 1, 5, 5)
    filters.set_value(normal(1, 1, 5, 5))
    with pytest.raises(ShapeError, match="said to have size 3"):
        f(normal(1, 1, 5, 5))


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda x, w: nnet.conv3d(x, w[0]), "conv3d takes volumes"),
        (lambda x, w: nnet.conv3d(x, w[:, :1]), "a volume of 2 channels and filters for 1"),
        (lambda x, w: nnet.conv3d(x, w, filter_dilation=3), "a filter of size 2 on a volume of size 3"),
        (lambda x, w: nnet.conv3d(x, w, border_mode="same"), "no border_mode 'same'"),
        (lambda x, w: nnet.conv3d(x, w, subsample=(1, 1)), "subsample as one or three integers"),
        (lambda x, w: nnet.conv3d(x, w[:, :1], num_groups=2), "3 filters into 2 groups"),
        (lambda x, w: nnet.conv3d_grad_wrt_inputs(x, w, (1, 2, 4, 4, 4)), "a gradient of size 2 on axis 1"),
        (lambda x, w: nnet.conv3d_grad_wrt_inputs(x, w, (1, 2, None, 4, 4)), "The last 3 of them must be given"),
        (lambda x, w: nnet.conv2d_grad_wrt_weights(x[0], x[0], (2, 2, 2)), "four sizes as filter_shape"),
        (lambda x, w: nnet.conv2d_grad_wrt_inputs(x[0], w[:, :, 0], (1, 2, 4, 4)), "of size 2 on axis 1"),
        (lambda x, w: nnet.conv1d(x, w), "conv1d takes sequences"),
        (lambda x, w: nnet.conv2d(x[0], w[:, 0], unshared=True), "unshared conv2d takes images"),
        (lambda x, w: nnet.bilinear_upsampling(x[0]), "either ratio or frac_ratio"),
        (lambda x, w: nnet.bilinear_upsampling(x[0], ratio=1.5), "a ratio of positive integers"),
        (lambda x, w: nnet.AbstractConv2d_gradInputs()(w[:, :, 0], x[0]), "needs the last 2 sizes"),
    ],
)
def test_convolutions_that_cannot_be(build: Any, text: str) -> None:
    x, w = T.tensor("float32", (1, 2, 3, 3, 3)), T.tensor("float32", (3, 2, 2, 2, 2))
    with pytest.raises(ShapeError, match=text):
        build(x, w)


@pytest.mark.parametrize("border_mode", ["same", -1, (1, 2, 3), (1, -1), ((1, 2), (3, 4, 5)), 1.5, (1, "x"), None])
def test_bad_border_mode_is_named(border_mode: Any) -> None:
    with pytest.raises(ShapeError, match="conv2d has no border_mode"):
        nnet.conv2d(T.tensor4(), T.tensor4(), border_mode=border_mode)


def test_sizes_that_do_not_fit_at_the_call() -> None:
    x, w, c = [T.tensor("float64", (None,) * 4) for _ in range(3)]
    f = symgrad.function([x, w, c], nnet.conv2d_grad_wrt_weights(x, c, w.shape))
    with pytest.raises(ShapeError, match=r"a gradient|cotangent"):
        f(normal(1, 1, 5, 5), normal(1, 1, 3, 3), normal(1, 1, 2, 3))
    volume, filters = [T.tensor("float64", (None,) * 5) for _ in range(2)]
    g = symgrad.function([volume, filters], nnet.conv3d(volume, filters))
    with pytest.raises(ShapeError, match="a filter of size 4 on a volume of size 3"):
        g(normal(1, 1, 3, 5, 5), normal(1, 1, 4, 3, 3))
