"""Theano's classes of ops of batch normalization, by `stand_ins.StandIn`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symgrad import tensor as T
from symgrad.compat.theano_names.stand_ins import StandIn
from symgrad.tensor import nnet


def _train(axes: Any = (0,)) -> Callable[..., Any]:
    def of(x: Any, scale: Any, bias: Any, epsilon: Any = 1e-4, *running: Any, **options: Any) -> Any:
        names = ("running_average_factor", "running_mean", "running_var")
        given = dict(zip(names, running, strict=False))
        return nnet.batch_normalization_train(x, scale, bias, tuple(axes), epsilon, **given, **options)

    return of


def _inference(axes: Any = (0,)) -> Callable[..., Any]:
    def of(x: Any, scale: Any, bias: Any, mean: Any, var: Any, epsilon: Any = 1e-4) -> Any:
        return nnet.batch_normalization_test(x, scale, bias, mean, var, tuple(axes), epsilon)

    return of


def _train_gradient(axes: Sequence[int] = (0,)) -> Callable[..., Any]:
    """Return what takes the gradient of a normalized batch to those of batch, scale and bias."""

    def of(x: Any, dy: Any, scale: Any, x_mean: Any, x_invstd: Any, epsilon: Any = 1e-4) -> list[Any]:
        reduced = tuple(axes)
        normal = (x - x_mean) * x_invstd
        along, shared = [T.mean(part, axis=reduced, keepdims=True) for part in (dy * normal, dy)]
        of_scale, of_bias = [T.sum(part, axis=reduced, keepdims=True) for part in (dy * normal, dy)]
        return [scale * x_invstd * (dy - shared - normal * along), of_scale, of_bias]

    return of


AbstractBatchNormTrain = StandIn("AbstractBatchNormTrain", _train)
AbstractBatchNormInference = StandIn("AbstractBatchNormInference", _inference)
AbstractBatchNormTrainGrad = StandIn("AbstractBatchNormTrainGrad", _train_gradient)

__all__ = ["AbstractBatchNormInference", "AbstractBatchNormTrain", "AbstractBatchNormTrainGrad"]
