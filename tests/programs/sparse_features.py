"""Words decide what a text is about: logistic regression on sparse rows; weights decay as often as there are words."""

from __future__ import print_function

import numpy
import scipy.sparse

import theano
import theano.sparse
import theano.tensor as T
from theano import sparse


def texts(count=80, words=30, seed=1):
    rng = numpy.random.RandomState(seed)
    counts = rng.poisson(0.2, (count, words))
    truth = rng.normal(size=words)
    labels = (counts.dot(truth) > 0).astype('int32')
    return scipy.sparse.csr_matrix(counts, dtype=theano.config.floatX), labels


class Model(object):
    def __init__(self, n_in):
        self.x = sparse.csr_matrix(name='x', dtype=theano.config.floatX)
        self.y = T.ivector('y')
        self.w = theano.shared(numpy.zeros(n_in, dtype=theano.config.floatX), name='w')
        self.b = theano.shared(numpy.asarray(0.0, dtype=theano.config.floatX), name='b')
        scaled = sparse.structured_log(sparse.structured_add(self.x, 1))
        activation = sparse.structured_dot(scaled, self.w.dimshuffle(0, 'x')).flatten() + self.b
        self.p = T.nnet.sigmoid(activation)
        present = sparse.sp_sum(sparse.sp_ones_like(self.x), axis=0)
        self.penalty = 0.01 * T.sum(T.sqr(self.w) * present) / self.x.shape[0]
        self.cost = T.nnet.binary_crossentropy(self.p, self.y).mean() + self.penalty


def train(n_epochs=200, learning_rate=1.0):
    x, labels = texts()
    model = Model(x.shape[1])
    grads = T.grad(model.cost, [model.w, model.b])
    updates = [(p, p - learning_rate * g) for p, g in zip([model.w, model.b], grads)]
    step = theano.function([model.x, model.y], model.cost, updates=updates)
    error = theano.function([model.x, model.y], T.mean(T.neq(model.p > 0.5, model.y)))
    saliency = theano.function([model.x, model.y], T.grad(model.cost, model.x))
    costs = [float(step(x, labels)) for _ in range(n_epochs)]
    return costs, float(error(x, labels)), model.w.get_value(), saliency(x, labels)


if __name__ == '__main__':
    costs, error, _, _ = train()
    print('from %f to %f, %f wrong' % (costs[0], costs[-1], error))
