"""A contractive autoencoder: the Frobenius norm of the hidden units' Jacobian is part of the cost."""

from __future__ import print_function

import digits
import numpy
from logistic_regression import shared_dataset

import theano
import theano.tensor as T


class cA(object):
    def __init__(self, numpy_rng, input=None, n_visible=144, n_hidden=20, n_batchsize=1, W=None, bhid=None, bvis=None):
        self.n_visible = n_visible
        self.n_hidden = n_hidden
        self.n_batchsize = n_batchsize
        if not W:
            bound = 4 * numpy.sqrt(6. / (n_hidden + n_visible))
            initial_W = numpy.asarray(
                numpy_rng.uniform(low=-bound, high=bound, size=(n_visible, n_hidden)), dtype=theano.config.floatX)
            W = theano.shared(value=initial_W, name='W', borrow=True)
        if not bvis:
            bvis = theano.shared(value=numpy.zeros(n_visible, dtype=theano.config.floatX), borrow=True)
        if not bhid:
            bhid = theano.shared(value=numpy.zeros(n_hidden, dtype=theano.config.floatX), name='b', borrow=True)
        self.W = W
        self.b = bhid
        self.b_prime = bvis
        self.W_prime = self.W.T
        if input is None:
            self.x = T.dmatrix(name='input')
        else:
            self.x = input
        self.params = [self.W, self.b, self.b_prime]

    def get_hidden_values(self, input):
        return T.nnet.sigmoid(T.dot(input, self.W) + self.b)

    def get_jacobian(self, hidden, W):
        return T.reshape(hidden * (1 - hidden),
                         (self.n_batchsize, 1, self.n_hidden)) * T.reshape(W, (1, self.n_visible, self.n_hidden))

    def get_reconstructed_input(self, hidden):
        return T.nnet.sigmoid(T.dot(hidden, self.W_prime) + self.b_prime)

    def get_cost_updates(self, contraction_level, learning_rate):
        y = self.get_hidden_values(self.x)
        z = self.get_reconstructed_input(y)
        J = self.get_jacobian(y, self.W)
        self.L_rec = - T.sum(self.x * T.log(z) + (1 - self.x) * T.log(1 - z), axis=1)
        self.L_jacob = T.sum(J ** 2) // self.n_batchsize
        self.J_norm = T.sum(J ** 2) / self.n_batchsize
        cost = T.mean(self.L_rec) + contraction_level * T.mean(self.J_norm)
        gparams = T.grad(cost, self.params)
        updates = []
        for param, gparam in zip(self.params, gparams):
            updates.append((param, param - learning_rate * gparam))
        return (cost, updates)


def main(learning_rate=0.05, training_epochs=3, batch_size=10, contraction_level=.1):
    train_set_x, train_set_y = shared_dataset(digits.splits(train=100)[0])
    n_train_batches = train_set_x.get_value(borrow=True).shape[0] // batch_size
    index = T.lscalar()
    x = T.matrix('x')
    rng = numpy.random.RandomState(123)
    ca = cA(numpy_rng=rng, input=x, n_batchsize=batch_size)
    cost, updates = ca.get_cost_updates(contraction_level=contraction_level, learning_rate=learning_rate)
    train_ca = theano.function(
        [index],
        [T.mean(ca.L_rec), ca.L_jacob, ca.J_norm],
        updates=updates,
        givens={x: train_set_x[index * batch_size: (index + 1) * batch_size]}
    )
    W = ca.W.get_value()
    first = train_set_x.get_value()[:batch_size]
    hidden = 1 / (1 + numpy.exp(-first.dot(W)))
    norm = ((hidden * (1 - hidden)) ** 2).dot((W ** 2).sum(axis=0)).sum() / batch_size
    epochs = []
    for epoch in range(training_epochs):
        c = []
        for batch_index in range(n_train_batches):
            c.append(train_ca(batch_index))
        c_array = numpy.vstack(c)
        epochs.append(c_array)
        print('epoch %d, reconstruction cost %f, jacobian norm %f' % (
            epoch, numpy.mean(c_array[0]), numpy.mean(numpy.sqrt(c_array[1]))))
    numpy.testing.assert_allclose(epochs[0][0, 2], norm, rtol=1e-6)
    numpy.testing.assert_allclose(epochs[0][0, 1], numpy.floor(norm))
    totals = [(e[:, 0] + contraction_level * e[:, 2]).mean() for e in epochs]
    assert totals[2] < totals[1] < totals[0], totals


if __name__ == '__main__':
    main()
