"""Stable forms: expressions that would overflow, or lose all digits, computed so that they don't."""

from __future__ import annotations

from typing import Any

from symgrad.graph.variables import Apply
from symgrad.ops.advanced_subtensor import AdvancedIncSubtensor, AdvancedSubtensor
from symgrad.ops.elementwise_op import Elementwise
from symgrad.ops.promotion import is_complex
from symgrad.ops.reduction import sum as sum_over
from symgrad.ops.softmax import LogSoftmax, Softmax, SoftmaxGradient
from symgrad.ops.subtensor import Subtensor
from symgrad.rewriting.engine import Context, rule
from symgrad.rewriting.patterns import call, fills, is_function, is_number, is_zeros, made_by, made_by_function


@rule("stabilize", Elementwise, functions=("log",),
      reason="the softmax of a far smaller element underflows to 0, whose logarithm is -inf")  # fmt: skip
def log_of_softmax_is_log_softmax(node: Apply, context: Context) -> Any:
    if not is_function(node, "log"):
        return None
    softmax = made_by(node.inputs[0], Softmax)
    return None if softmax is None else LogSoftmax(softmax.op.axis)(softmax.inputs[0])  # type: ignore[attr-defined]


@rule("stabilize", Elementwise, functions=("log",),
      reason="the same, where the labels' probabilities are picked before the logarithm")  # fmt: skip
def log_of_picked_softmax_is_picked_log_softmax(node: Apply, context: Context) -> Any:
    if not is_function(node, "log"):
        return None
    picked = made_by(node.inputs[0], AdvancedSubtensor) or made_by(node.inputs[0], Subtensor)
    softmax = None if picked is None else made_by(picked.inputs[0], Softmax)
    if picked is None or softmax is None:
        return None
    return picked.op(LogSoftmax(softmax.op.axis)(softmax.inputs[0]), *picked.inputs[1:])  # type: ignore[attr-defined]


@rule("stabilize", SoftmaxGradient, reason="c / p overflows where p underflows, though the product with p is harmless")
def softmax_gradient_of_log_is_log_softmax_gradient(node: Apply, context: Context) -> Any:
    cotangent, p = node.inputs
    axis = node.op.axis  # type: ignore[attr-defined]
    quotient = made_by_function(cotangent, "true_divide")
    if quotient is not None and quotient.inputs[1] is p and fills(quotient.inputs[0], p):
        inner = quotient.inputs[0]
    else:
        inner = _scattered_numerator(cotangent, p)
    if inner is None:
        return None
    return call("subtract", inner, call("multiply", p, sum_over(inner, axis=axis, keepdims=True)))


def _scattered_numerator(cotangent: Any, p: Any) -> Any:
    """Of ``zeros[index] += c / p[index]`` return ``zeros[index] += c``."""
    scattered = made_by(cotangent, AdvancedIncSubtensor)
    if scattered is None or not is_zeros(scattered.inputs[0]):
        return None
    quotient = made_by_function(scattered.inputs[1], "true_divide")
    picked = None if quotient is None else made_by(quotient.inputs[1], AdvancedSubtensor)
    if quotient is None or picked is None or picked.inputs[0] is not p:
        return None
    same_index = picked.op.index == scattered.op.index and picked.inputs[1:] == scattered.inputs[2:]  # type: ignore[attr-defined]
    return scattered.op(scattered.inputs[0], quotient.inputs[0], *scattered.inputs[2:]) if same_index else None


@rule("stabilize", Elementwise, functions=("log", "log1p"),
      reason="1 + exp(x) overflows where the result is just x")  # fmt: skip
def log_of_one_plus_exp_is_softplus(node: Apply, context: Context) -> Any:
    exponential = None
    if is_function(node, "log1p"):
        exponential = made_by_function(node.inputs[0], "exp")
    elif is_function(node, "log"):
        addition = made_by_function(node.inputs[0], "add")
        for one, other in () if addition is None else (addition.inputs, addition.inputs[::-1]):
            if is_number(one, 1) and fills(other, node.inputs[0]):
                exponential = made_by_function(other, "exp")
    if exponential is None or is_complex(exponential.inputs[0].type.dtype):  # type: ignore[attr-defined]
        return None
    return call("softplus", exponential.inputs[0])


def _exponent_in_one_plus_exp(variable: Any) -> Any:
    """Of ``1 + exp(w)`` return w, else None; the sigmoid is of real w only."""
    addition = None if is_complex(variable.type.dtype) else made_by_function(variable, "add")
    for one, other in () if addition is None else (addition.inputs, addition.inputs[::-1]):
        exponential = made_by_function(other, "exp")
        if exponential is not None and is_number(one, 1) and fills(other, variable):
            return exponential.inputs[0]
    return None


@rule("stabilize", Elementwise, functions=("true_divide", "reciprocal"),
      reason="exp overflows far from 0, sigmoid doesn't; and its logarithm and gradient have stable forms")  # fmt: skip
def quotient_of_one_plus_exp_is_sigmoid(node: Apply, context: Context) -> Any:
    """``1 / (1 + exp(w))`` is ``sigmoid(-w)``, ``exp(w) / (1 + exp(w))`` is ``sigmoid(w)``."""
    exponent = _exponent_in_one_plus_exp(node.inputs[-1])
    if exponent is None:
        return None
    if is_function(node, "reciprocal") or is_number(node.inputs[0], 1):
        return call("sigmoid", call("negative", exponent)) if fills(exponent, node.outputs[0]) else None
    exponential = made_by_function(node.inputs[0], "exp")
    return call("sigmoid", exponent) if exponential is not None and exponential.inputs[0] is exponent else None


@rule("stabilize", Elementwise, functions=("multiply",),
      reason="the gradient of 1 / (1 + exp(w)) multiplies 0 with inf far from 0")  # fmt: skip
def exp_over_one_plus_exp_in_a_product_is_sigmoid(node: Apply, context: Context) -> Any:
    """``(c * (-p / (1 + exp(w)))) * exp(w)`` is ``-(c * (p * sigmoid(w)))``; c may be missing."""
    for product, factor in (node.inputs, node.inputs[::-1]):
        exponential = made_by_function(factor, "exp")
        if exponential is None:
            continue
        inner = made_by_function(product, "multiply")
        pairs = [(None, product)] if inner is None else [inner.inputs, inner.inputs[::-1]]
        for cotangent, quotient in pairs:
            slope = _slope_of_sigmoid(quotient, exponential.inputs[0])
            if slope is not None and (cotangent is None or fills(cotangent, node.outputs[0])):
                return call("negative", slope if cotangent is None else call("multiply", cotangent, slope))
    return None


def _slope_of_sigmoid(quotient: Any, exponent: Any) -> Any:
    """Of ``-p / (1 + exp(exponent))`` return ``p * sigmoid(exponent)``, else None."""
    division = made_by_function(quotient, "true_divide")
    numerator = None if division is None else made_by_function(division.inputs[0], "negative")
    if division is None or numerator is None or _exponent_in_one_plus_exp(division.inputs[1]) is not exponent:
        return None
    return call("multiply", numerator.inputs[0], call("sigmoid", exponent))


@rule("stabilize", Elementwise, functions=("log",),
      reason="sigmoid underflows to 0, or rounds to 1, where its logarithm is still exact")  # fmt: skip
def log_of_sigmoid_is_softplus(node: Apply, context: Context) -> Any:
    if not is_function(node, "log"):
        return None
    sigmoid = made_by_function(node.inputs[0], "sigmoid")
    if sigmoid is not None:
        return call("negative", call("softplus", call("negative", sigmoid.inputs[0])))
    difference = made_by_function(node.inputs[0], "subtract")
    if difference is not None and is_number(difference.inputs[0], 1) and fills(difference.inputs[1], node.inputs[0]):
        sigmoid = made_by_function(difference.inputs[1], "sigmoid")
    return None if sigmoid is None else call("negative", call("softplus", sigmoid.inputs[0]))


@rule("stabilize", Elementwise, functions=("multiply",),
      reason="c / s overflows where s underflows; its product with s * (1 - s) doesn't")  # fmt: skip
def quotient_by_sigmoid_cancels_in_its_gradient(node: Apply, context: Context) -> Any:
    """``(a / s + b / (1 - s) ...) * (s * (1 - s))`` is ``a * (1 - s) + b * s ...``: binary cross-entropy's gradient."""
    if not is_function(node, "multiply"):
        return None
    for cotangent, slope in (node.inputs, node.inputs[::-1]):
        product = made_by_function(slope, "multiply")
        for s, rest in () if product is None else (product.inputs, product.inputs[::-1]):
            if made_by_function(s, "sigmoid") and _is_complement(rest, s) and fills(s, slope):
                return _cancelled(cotangent, s, rest, depth=6)
    return None


def _is_complement(variable: Any, s: Any) -> bool:
    """Whether a variable is ``1 - s``, also as ``sigmoid(x)`` of ``s = sigmoid(-x)``."""
    difference = made_by_function(variable, "subtract")
    if difference is not None:
        return is_number(difference.inputs[0], 1) and difference.inputs[1] is s
    one, other = made_by_function(variable, "sigmoid"), made_by_function(s, "sigmoid")
    if one is None or other is None:
        return False
    pairs = ((one.inputs[0], other.inputs[0]), (other.inputs[0], one.inputs[0]))
    negations = [(made_by_function(x, "negative"), y) for x, y in pairs]
    return any(negation is not None and negation.inputs[0] is y for negation, y in negations)


def _cancelled(cotangent: Any, s: Any, rest: Any, depth: int) -> Any:
    """Return ``cotangent * s * rest`` with divisions by s and rest cancelled; None if one term has neither."""
    node = cotangent.owner
    if node is None or depth == 0:
        return None
    if is_function(node, "true_divide") and fills(node.inputs[0], s):
        numerator, denominator = node.inputs
        if denominator is s:
            return call("multiply", numerator, rest)
        if denominator is rest or _is_complement(denominator, s):
            return call("multiply", numerator, s)
    if is_function(node, "negative", "add", "subtract") and all(fills(term, s) for term in node.inputs):
        terms = [_cancelled(term, s, rest, depth - 1) for term in node.inputs]
        return None if any(term is None for term in terms) else node.op(*terms)
    return None
