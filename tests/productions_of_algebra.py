"""Productions of linear algebra, Fourier transforms, networks' layers, and loops."""

from __future__ import annotations

from typing import Any

import direct
import numpy as np
from productions_of_numbers import axis_of
from random_programs import MARGIN, Builder, production

# ---- products -------------------------------------------------------------------------------------------------------


@production(3)
def einsum(b: Builder) -> str:
    x = b.pick_float(1, 3)
    shape = b.values[x].shape
    letters = "abcd"[: len(shape)]
    shared = [letter for letter in letters if b.chance(0.5)]
    own = b.random.choice(["", "y"])
    other = [*shared, *own]
    b.random.shuffle(other)
    sizes = tuple(shape[letters.index(k)] if k in letters else b.random.randint(1, 3) for k in other)
    b.require(all(not b.pattern(x)[letters.index(k)] for k in shared))
    y = b.fresh(sizes, b.values[x].dtype.name, ones=False)
    kept = [k for k in {*letters, *other} if b.chance(0.6)]
    kept.sort()
    b.random.shuffle(kept)
    text = f"einsum('{letters},{''.join(other)}->{''.join(kept)}', {x}, {y})"
    return b.add(f"T.{text}", f"np.{text}")


@production(1)
def einsum_of_one(b: Builder) -> str:
    x = b.pick_float(2, 2)
    rows, columns = b.values[x].shape
    texts = ["ij->ji", "ij->j", "ij->"] + (["ii->i", "ii->", "ii"] if rows == columns else [])
    text = b.random.choice(texts)
    return b.add(f"T.einsum('{text}', {x})", f"np.einsum('{text}', {x}).copy()")


@production(1)
def inner_product(b: Builder) -> str:
    x = b.pick_float(1, 2)
    y = b.fresh((*b.shape(0, 1), b.values[x].shape[-1]), b.values[x].dtype.name, ones=False)
    name = b.random.choice(["T.inner({x}, {y})", "T.linalg.kron({x}, {y})"])
    if "kron" in name:
        b.require(b.values[x].ndim == b.values[y].ndim == 2)
        return b.add(name.format(x=x, y=y), f"np.kron({x}, {y})")
    return b.add(name.format(x=x, y=y), f"np.inner({x}, {y})")


# ---- linear algebra -------------------------------------------------------------------------------------------------


def matrix(b: Builder) -> str:
    """Return the name of a square matrix far from singular: made from one that is there, or new."""
    found = [n for n, v in b.values.items() if v.ndim == 2 and v.shape[0] == v.shape[1] > 0 and v.dtype.kind == "f"
             and v.dtype != np.float16]  # fmt: skip
    size = b.random.randint(1, 3)
    x = b.random.choice(found) if found and b.chance(0.6) else b.fresh((size, size), b.dtype("f"), ones=False)
    b.require(b.values[x].dtype != np.float16)
    size = len(b.values[x])
    return b.add(f"T.tanh({x}) + {size + 1} * T.eye({x}.shape[0], dtype={x}.dtype)",
                 f"np.tanh({x}) + {size + 1} * np.eye({size}, dtype={x}.dtype)")  # fmt: skip


@production(4)
def linear_algebra(b: Builder) -> str:
    a = matrix(b)
    right = b.fresh((len(b.values[a]), *b.shape(0, 1)), b.values[a].dtype.name, ones=False)
    symbolic, numeric = b.random.choice([
        ("T.linalg.inv({a})", "np.linalg.inv({a})"), ("T.linalg.det({a})", "np.linalg.det({a})"),
        ("T.linalg.slogdet({a})[1]", "np.linalg.slogdet({a})[1]"),
        ("T.linalg.solve({a}, {r})", "np.linalg.solve({a}, {r})"),
        ("T.linalg.cholesky(T.dot({a}, {a}.T))", "np.linalg.cholesky({a} @ {a}.T)"),
        ("T.linalg.solve_triangular(T.tril({a}), {r}, lower=True)", "np.linalg.solve(np.tril({a}), {r})"),
        ("T.linalg.pinv({a})", "np.linalg.pinv({a})"), ("T.linalg.expm({a} / 4)", "scipy.linalg.expm({a} / 4)"),
        ("T.linalg.matrix_power({a}, 3)", "{a} @ {a} @ {a}"), ("T.linalg.matrix_power({a}, -1)", "np.linalg.inv({a})"),
        ("T.linalg.trace({a})", "np.trace({a})"), ("T.linalg.qr({a})[1] ** 2", "np.linalg.qr({a})[1] ** 2"),
        ("T.linalg.multi_dot([{a}, {a}, {r}])", "{a} @ {a} @ {r}"),
        ("T.linalg.lstsq({a}, {r})[0]", "np.linalg.solve({a}, {r})"),
        ("T.linalg.block_diag({a}, {a})", "scipy.linalg.block_diag({a}, {a})"),
        ("T.linalg.sqrtm(T.dot({a}, {a}.T))", ""),
        ("T.linalg.svdvals({a})", "np.linalg.svd({a}, compute_uv=False)"),
        ("T.linalg.eigvalsh({a} + {a}.T)", "np.linalg.eigvalsh({a} + {a}.T)"),
        ("T.linalg.inv(T.stack([{a}, {a} * 2]))", "np.linalg.inv(np.stack([{a}, {a} * 2]))"),
    ])  # fmt: skip
    if "svdvals" in symbolic or "eigvalsh" in symbolic:
        b.require(direct.gap(b.value(numeric.format(a=a, r=right)), (0,)) > 10 * MARGIN)
    return b.add(symbolic.format(a=a, r=right), numeric.format(a=a, r=right))


# ---- Fourier transforms ---------------------------------------------------------------------------------------------


@production(3)
def fourier(b: Builder) -> str:
    x = b.pick(lambda v: v.ndim > 0 and v.size > 0 and v.dtype != np.float16, "fc")
    axis = axis_of(b, x)
    size = b.values[x].shape[axis]
    count: Any = b.random.choice([None, size + 1, max(1, size - 1)])
    norm = b.random.choice([None, "ortho", "forward"])
    name = b.random.choice(["fft", "ifft"] + (["rfft", "rfft"] if b.values[x].dtype.kind == "f" else ["irfft"]))
    if name == "irfft":
        b.require((count or size) > 1)
    text = f"fft.{name}({x}, {count}, {axis}, {norm!r})"
    kind = b.values[x].dtype
    wanted = kind.name if kind.kind == "c" and name != "irfft" else None
    dtype = wanted or {"float32": "complex64", "float64": "complex128", "complex64": "float32",
                       "complex128": "float64"}[kind.name]  # fmt: skip
    return b.add(f"T.{text}", f"np.{text}.astype('{dtype}')")


# ---- networks -------------------------------------------------------------------------------------------------------


@production(2)
def convolution_of_any_kind(b: Builder) -> str:
    axes = b.random.choice([1, 1, 2, 3])
    groups = b.random.choice([1, 1, 2])
    channels, banks = groups * b.random.randint(1, 2), groups * b.random.randint(1, 2)
    sizes = tuple(b.random.randint(3, 5 if axes < 3 else 3) for _ in range(axes))
    dtype = b.dtype("f")
    x = b.fresh((b.random.randint(1, 2), channels, *sizes), dtype, ones=False)
    w = b.fresh((banks, channels // groups, *(b.random.randint(1, 2) for _ in range(axes))), dtype, ones=False)
    stride, spread = [tuple(b.random.choice([1, 1, 2]) for _ in range(axes)) for _ in range(2)]
    mode: Any = b.random.choice(["valid", "full", "half", 1])
    flip = b.chance(0.5)
    values: dict[str, Any] = {"subsample": stride, "filter_dilation": spread}
    if axes == 1:
        values = {name: value[0] for name, value in values.items()}
    options = ", ".join(f"{name}={value}" for name, value in values.items())
    style = b.random.random()
    if axes == 1 and style < 0.2 and groups == 1:
        return b.add(f"T.nnet.causal_conv1d({x}, {w}, subsample={stride[0]}, filter_dilation={spread[0]})")
    groups_text = f", num_groups={groups}" if groups > 1 else ""
    if axes > 1 and style < 0.3 and mode in ("valid", "half"):
        w = b.fresh((channels, banks // groups, *(b.random.randint(1, 2) for _ in range(axes))), dtype, ones=False)
        window = b.values[w].shape[2:]
        pads = [0 if mode == "valid" else n // 2 for n in window]
        made = tuple((n - 1) * s + k - 2 * p for n, s, k, p in zip(sizes, stride, window, pads, strict=True))
        shape = (None, banks, *made)
        return b.add(f"T.nnet.conv{axes}d_transpose({x}, {w}, {shape}, border_mode={mode!r}, input_dilation={stride}, "
                     f"filter_flip={flip}{groups_text})")  # fmt: skip
    return b.add(f"T.nnet.conv{axes}d({x}, {w}, border_mode={mode!r}, filter_flip={flip}, {options}{groups_text})")


@production(2)
def pooling_of_any_kind(b: Builder) -> str:
    axes = b.random.choice([2, 2, 3])
    shape = (*b.shape(0, 2)[:2], *(b.random.randint(2, 4) for _ in range(axes)))
    x = b.fresh(shape, b.dtype("f"), ones=False)
    b.require(b.values[x].size > 0)
    ndim = b.values[x].ndim
    mode = b.random.choice(["max", "sum", "average_inc_pad", "average_exc_pad"])
    if mode == "max":
        b.require(direct.gap(b.values[x], tuple(range(ndim - axes, ndim))) > MARGIN / 10)
    window = tuple(b.random.randint(1, 2) for _ in range(axes))
    stride = tuple(b.random.randint(1, 2) for _ in range(axes))
    if b.chance(0.2) and axes == 2:
        b.require(direct.gap(b.values[x], tuple(range(ndim - axes, ndim))) > MARGIN / 10)
        return b.add(f"T.nnet.max_pool_2d_same_size({x}, {window})")
    return b.add(f"T.nnet.pool_{axes}d({x}, {window}, {b.chance(0.4)}, {stride}, mode={mode!r})")


@production(2)
def normalization(b: Builder) -> str:
    if b.chance(0.3):
        x = b.fresh((b.random.randint(1, 2), b.random.randint(1, 4), 2, 2), b.dtype("f"), ones=False)
        return b.add(f"T.nnet.local_response_normalization({x}, 0.1, 2, 0.75, {b.random.choice([3, 5])})")
    found = [n for n, v in b.values.items() if v.ndim in (2, 3, 4) and v.dtype.kind == "f" and v.size and len(v) > 1]
    b.require(bool(found))
    x = b.random.choice(found)
    value = b.values[x]
    b.require(value.dtype != np.float16 and value.var(0).min() > 0.1)
    shape = (1, *value.shape[1:])
    dtype = value.dtype.name
    b.require(not any(b.pattern(x)))
    gamma, beta = b.fresh(shape[1:], dtype, ones=False), b.fresh(shape[1:], dtype, ones=False)
    gamma, beta = f"T.shape_padleft({gamma})", f"T.shape_padleft({beta})"
    if b.chance(0.7):
        return b.add(f"T.nnet.batch_normalization_train({x}, {gamma}, {beta})[{b.random.choice([0, 0, 0, 1, 2])}]")
    return b.add(f"T.nnet.batch_normalization_test({x}, {gamma}, {beta}, {beta}, T.sqr({gamma}) + 0.5)")


@production(2)
def patches(b: Builder) -> str:
    x = b.fresh((b.random.randint(1, 2), b.random.randint(1, 2), 4, b.random.choice([2, 4])), b.dtype("f"), ones=False)
    symbolic = b.random.choice([
        "T.nnet.images2neibs({x}, (2, 2))", "T.nnet.images2neibs({x}, (2, 1), (1, 1))",
        "T.nnet.images2neibs({x}, (3, 1), (2, 1), 'ignore_borders')",
        "T.nnet.neibs2images(T.nnet.images2neibs({x}, (2, 2)), (2, 2), {x}.shape)",
        "T.nnet.bilinear_upsampling({x}, 2)", "T.nnet.images2neibs({x}, (1, 1), (1, 1), 'wrap_centered')",
    ])  # fmt: skip
    return b.add(symbolic.format(x=x))


@production(2)
def loss(b: Builder) -> str:
    x = b.pick_float(2, 2)
    rows, classes = b.values[x].shape
    b.require(np.abs(b.values[x]) < 20)
    labels = b.fresh((rows,), b.dtype("i"), 0, classes - 1, ones=False)
    bias = b.fresh((classes,), b.values[x].dtype.name, ones=False)
    target = b.fresh((rows, classes), b.values[x].dtype.name, 0, 1, ones=False)
    b.require(b.meet(x, target) and not any(b.pattern(x)))
    symbolic = b.random.choice([
        "T.nnet.crossentropy_softmax_1hot({x}, {y})[0]", "T.nnet.crossentropy_softmax_1hot_with_bias({x}, {b}, {y})[0]",
        "T.nnet.softmax_with_bias({x}, {b})", "T.nnet.sigmoid_binary_crossentropy({x}, {t})",
        "T.nnet.categorical_crossentropy(T.softmax({x}), {t})",
        "T.nnet.crossentropy_categorical_1hot(T.softmax({x}), {y})",
        "T.nnet.confusion_matrix({y}, {y})[0]", "T.nnet.prepend_1_to_each_row({x})",
    ])  # fmt: skip
    return b.add(symbolic.format(x=x, y=labels, b=bias, t=target))


# ---- loops, choices, graphs in graphs -------------------------------------------------------------------------------


@production(3)
def loop(b: Builder) -> str:
    x = b.pick_float(1, 3)
    value = b.values[x]
    ndim = value.ndim
    b.require(not any(b.pattern(x)) and value.dtype != np.float16)
    kinds = ["decaying({x})", "backwards({x})", "two_taps({x}, {n})", "neighbours({x})", "powers({x}, {n})"]
    if ndim == 1:
        kinds += ["until_above({x}, {l})", "until_above({x}, {l})"]
    if ndim == 2:
        kinds += ["nested({x})", "last({x}, {w})", "last({x}, {w})"]
    symbolic = b.random.choice(kinds)
    if "taps" in symbolic or "neighbours" in symbolic:
        b.require(len(value) > 1)
    if "neighbours" in symbolic:
        b.require(direct.gap(value, (0,)) > MARGIN and np.abs(value + 1).min() > MARGIN)
    limit = b.random.choice([0.5, 2.0, 20.0])
    if "until" in symbolic:
        b.away(f"np.cumsum({x} ** 2) - {limit}")
    sizes = (value.shape[-1], b.random.randint(1, 3))
    weights = b.fresh(sizes, value.dtype.name, ones=False) if "{w}" in symbolic else ""
    return b.add(symbolic.format(x=x, n=b.random.randint(1, 4), l=limit, w=weights))


@production(2)
def graph_in_graph(b: Builder) -> str:
    x = b.pick_float(0, 3)
    value = b.values[x]
    if value.ndim == 1 and value.dtype != np.float16 and b.chance(0.4) and not any(b.pattern(x)):
        name = b.random.choice(["jacobian_of", "hessian_of"])
        return b.add(f"{name}({x})")
    if value.ndim == 2 and b.chance(0.4) and not any(b.pattern(x)):
        return b.add(f"by_rows({x})")
    if b.chance(0.5):
        y = b.partner(x, value.dtype.name)
        return b.add(f"as_one({x}, {y}, {b.chance(0.5)})", f"np.tanh({x} * {y}) + {x}")
    scalars = [n for n, v in b.values.items() if v.ndim == 0 and v.dtype.kind in "bi"]
    condition = b.random.choice(scalars) if scalars else b.fresh((), b.random.choice(["bool", "int64"]), 0, 1)
    return b.add(f"chosen({condition}, {x})", f"(np.sin({x}) if {condition} else {x} * {x})")
