"""Logistic regression by minibatches of shared data, with early stopping, in the style of the tutorials of its time."""

from __future__ import print_function

import sys

import digits
import numpy

import theano
import theano.tensor as T


class LogisticRegression(object):
    """Multi-class logistic regression."""

    def __init__(self, input, n_in, n_out):
        self.W = theano.shared(value=numpy.zeros((n_in, n_out), dtype=theano.config.floatX), name='W', borrow=True)
        self.b = theano.shared(value=numpy.zeros((n_out,), dtype=theano.config.floatX), name='b', borrow=True)
        self.p_y_given_x = T.nnet.softmax(T.dot(input, self.W) + self.b)
        self.y_pred = T.argmax(self.p_y_given_x, axis=1)
        self.params = [self.W, self.b]
        self.input = input

    def negative_log_likelihood(self, y):
        return -T.mean(T.log(self.p_y_given_x)[T.arange(y.shape[0]), y])

    def errors(self, y):
        if y.ndim != self.y_pred.ndim:
            raise TypeError('y should have the same shape as self.y_pred', ('y', y.type, 'y_pred', self.y_pred.type))
        if y.dtype.startswith('int'):
            return T.mean(T.neq(self.y_pred, y))
        else:
            raise NotImplementedError()


def shared_dataset(data_xy, borrow=True):
    data_x, data_y = data_xy
    shared_x = theano.shared(numpy.asarray(data_x, dtype=theano.config.floatX), borrow=borrow)
    shared_y = theano.shared(numpy.asarray(data_y, dtype=theano.config.floatX), borrow=borrow)
    return shared_x, T.cast(shared_y, 'int32')


def train(learning_rate=0.5, n_epochs=20, batch_size=20):
    datasets = [shared_dataset(split) for split in digits.splits()]
    (train_set_x, train_set_y), (valid_set_x, valid_set_y), (test_set_x, test_set_y) = datasets
    n_train_batches = train_set_x.get_value(borrow=True).shape[0] // batch_size
    n_valid_batches = valid_set_x.get_value(borrow=True).shape[0] // batch_size

    index = T.lscalar()
    x = T.matrix('x')
    y = T.ivector('y')
    classifier = LogisticRegression(input=x, n_in=digits.SIDE ** 2, n_out=10)
    cost = classifier.negative_log_likelihood(y)

    def on_batches(data_x, data_y):
        return {
            x: data_x[index * batch_size: (index + 1) * batch_size],
            y: data_y[index * batch_size: (index + 1) * batch_size],
        }

    test_model = theano.function(inputs=[index], outputs=classifier.errors(y), givens=on_batches(test_set_x, test_set_y))
    validate_model = theano.function(
        inputs=[index], outputs=classifier.errors(y), givens=on_batches(valid_set_x, valid_set_y)
    )
    g_W = T.grad(cost=cost, wrt=classifier.W)
    g_b = T.grad(cost=cost, wrt=classifier.b)
    updates = [(classifier.W, classifier.W - learning_rate * g_W), (classifier.b, classifier.b - learning_rate * g_b)]
    train_model = theano.function(
        inputs=[index], outputs=cost, updates=updates, givens=on_batches(train_set_x, train_set_y)
    )

    costs = []
    best_validation_loss = numpy.inf
    for epoch in range(n_epochs):
        for minibatch_index in range(n_train_batches):
            costs.append(train_model(minibatch_index))
        this_validation_loss = numpy.mean([validate_model(i) for i in range(n_valid_batches)])
        if this_validation_loss < best_validation_loss:
            best_validation_loss = this_validation_loss
            test_score = numpy.mean([test_model(i) for i in range(n_valid_batches)])
    print('best validation error %f %%, with test error %f %%' % (best_validation_loss * 100., test_score * 100.))
    return numpy.array(costs), best_validation_loss, classifier.W.get_value(), classifier.b.get_value()


if __name__ == '__main__':
    train()
    print(sys.argv[1:])
