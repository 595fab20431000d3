"""Regression by a Gaussian process: hyperparameters from the marginal likelihood, then predictions with their errors."""

from __future__ import print_function

import numpy

import theano
import theano.tensor as T
import theano.tensor.nlinalg as nlinalg
import theano.tensor.slinalg as slinalg


def data(count=40, seed=3):
    rng = numpy.random.RandomState(seed)
    x = numpy.sort(rng.uniform(-3, 3, count)).astype(theano.config.floatX)
    y = numpy.sin(2 * x) + 0.1 * rng.normal(size=count)
    return x, y.astype(theano.config.floatX)


class GaussianProcess(object):
    """Squared exponential covariance: length, height and noise, as logarithms."""

    def __init__(self):
        self.params = theano.shared(numpy.zeros(3, dtype=theano.config.floatX), name='params')
        self.x, self.y, self.new_x = T.vectors('x', 'y', 'new_x')
        covariance = self.kernel(self.x, self.x) + T.exp(2 * self.params[2]) * T.identity_like(
            self.kernel(self.x, self.x))
        self.chol = slinalg.Cholesky(lower=True)(covariance)
        whitened = slinalg.solve_lower_triangular(self.chol, self.y)
        self.cost = (T.dot(whitened, whitened) / 2 + T.sum(T.log(nlinalg.extract_diag(self.chol)))
                     + self.x.shape[0] * numpy.log(2 * numpy.pi) / 2)
        alpha = slinalg.solve_upper_triangular(self.chol.T, whitened)
        across = self.kernel(self.new_x, self.x)
        self.mean = T.dot(across, alpha)
        spread = slinalg.Solve(A_structure='lower_triangular', lower=True)(self.chol, across.T)
        self.variance = T.exp(2 * self.params[1]) - T.sum(T.sqr(spread), axis=0)

    def kernel(self, left, right):
        distance = T.sqr(left.dimshuffle(0, 'x') - right.dimshuffle('x', 0))
        return T.exp(2 * self.params[1] - distance / (2 * T.exp(2 * self.params[0])))


def train(n_steps=150, learning_rate=0.01):
    process = GaussianProcess()
    gradient = T.grad(process.cost, process.params)
    step = theano.function(
        [process.x, process.y], [process.cost, gradient],
        updates=[(process.params, process.params - learning_rate * T.clip(gradient, -10, 10))])
    predict = theano.function([process.x, process.y, process.new_x], [process.mean, process.variance])
    hessian = theano.function([process.x, process.y], theano.gradient.hessian(process.cost, process.params))
    x, y = data()
    history = [step(x, y) for _ in range(n_steps)]
    new_x = numpy.linspace(-2.5, 2.5, 50).astype(theano.config.floatX)
    return history, process.params.get_value(), hessian(x, y), predict(x, y, new_x), new_x


if __name__ == '__main__':
    history, params, _, (mean, _), new_x = train()
    print('from %f to %f with %s' % (history[0][0], history[-1][0], params))
