"""Stacked denoising autoencoders: layer-wise pretraining, then the whole network; weights are shared between both."""

from __future__ import print_function

import timeit

import digits
import numpy
from logistic_regression import LogisticRegression, shared_dataset
from mlp import HiddenLayer

import theano
import theano.tensor as T
from theano.sandbox.rng_mrg import MRG_RandomStreams
from theano.tensor.shared_randomstreams import RandomStreams


class dA(object):
    def __init__(self, numpy_rng, theano_rng=None, input=None, n_visible=144, n_hidden=50, W=None, bhid=None,
                 bvis=None):
        self.n_visible = n_visible
        self.n_hidden = n_hidden
        if not theano_rng:
            theano_rng = RandomStreams(numpy_rng.randint(2 ** 30))
        if not W:
            W = theano.shared(numpy.asarray(numpy_rng.uniform(-.1, .1, (n_visible, n_hidden)),
                                            dtype=theano.config.floatX), name='W', borrow=True)
        if not bvis:
            bvis = theano.shared(value=numpy.zeros(n_visible, dtype=theano.config.floatX), borrow=True)
        if not bhid:
            bhid = theano.shared(value=numpy.zeros(n_hidden, dtype=theano.config.floatX), name='b', borrow=True)
        self.W = W
        self.b = bhid
        self.b_prime = bvis
        self.W_prime = self.W.T
        self.theano_rng = theano_rng
        self.x = input
        self.params = [self.W, self.b, self.b_prime]

    def get_cost_updates(self, corruption_level, learning_rate):
        tilde_x = self.theano_rng.binomial(size=self.x.shape, n=1, p=1 - corruption_level,
                                           dtype=theano.config.floatX) * self.x
        y = T.nnet.sigmoid(T.dot(tilde_x, self.W) + self.b)
        z = T.nnet.sigmoid(T.dot(y, self.W_prime) + self.b_prime)
        cost = T.mean(T.nnet.binary_crossentropy(z, self.x).sum(axis=1))
        gparams = T.grad(cost, self.params)
        return cost, [(param, param - learning_rate * gparam) for param, gparam in zip(self.params, gparams)]


class SdA(object):
    def __init__(self, numpy_rng, theano_rng=None, n_ins=144, hidden_layers_sizes=(50, 50), n_outs=10):
        self.sigmoid_layers = []
        self.dA_layers = []
        self.params = []
        self.n_layers = len(hidden_layers_sizes)
        assert self.n_layers > 0
        if not theano_rng:
            theano_rng = RandomStreams(numpy_rng.randint(2 ** 30))
        self.x = T.matrix('x')
        self.y = T.ivector('y')
        for i in range(self.n_layers):
            if i == 0:
                input_size = n_ins
                layer_input = self.x
            else:
                input_size = hidden_layers_sizes[i - 1]
                layer_input = self.sigmoid_layers[-1].output
            sigmoid_layer = HiddenLayer(rng=numpy_rng, input=layer_input, n_in=input_size,
                                        n_out=hidden_layers_sizes[i], activation=T.nnet.sigmoid)
            self.sigmoid_layers.append(sigmoid_layer)
            self.params.extend(sigmoid_layer.params)
            dA_layer = dA(numpy_rng=numpy_rng, theano_rng=theano_rng, input=layer_input, n_visible=input_size,
                          n_hidden=hidden_layers_sizes[i], W=sigmoid_layer.W, bhid=sigmoid_layer.b)
            self.dA_layers.append(dA_layer)
        self.logLayer = LogisticRegression(input=self.sigmoid_layers[-1].output, n_in=hidden_layers_sizes[-1],
                                           n_out=n_outs)
        self.params.extend(self.logLayer.params)
        self.finetune_cost = self.logLayer.negative_log_likelihood(self.y)
        self.errors = self.logLayer.errors(self.y)

    def pretraining_functions(self, train_set_x, batch_size):
        index = T.lscalar('index')
        corruption_level = T.scalar('corruption')
        learning_rate = T.scalar('lr')
        batch_begin = index * batch_size
        batch_end = batch_begin + batch_size
        pretrain_fns = []
        for dA_layer in self.dA_layers:
            cost, updates = dA_layer.get_cost_updates(corruption_level, learning_rate)
            fn = theano.function(
                inputs=[
                    index,
                    theano.In(corruption_level, value=0.2),
                    theano.In(learning_rate, value=0.1)
                ],
                outputs=cost,
                updates=updates,
                givens={self.x: train_set_x[batch_begin: batch_end]}
            )
            pretrain_fns.append(fn)
        return pretrain_fns

    def build_finetune_functions(self, datasets, batch_size, learning_rate):
        (train_set_x, train_set_y), (valid_set_x, valid_set_y), (test_set_x, test_set_y) = datasets
        n_valid_batches = valid_set_x.get_value(borrow=True).shape[0] // batch_size
        n_test_batches = test_set_x.get_value(borrow=True).shape[0] // batch_size
        index = T.lscalar('index')
        gparams = T.grad(self.finetune_cost, self.params)
        updates = [(param, param - gparam * learning_rate) for param, gparam in zip(self.params, gparams)]

        def on(x, y):
            return {self.x: x[index * batch_size: (index + 1) * batch_size],
                    self.y: y[index * batch_size: (index + 1) * batch_size]}

        train_fn = theano.function(inputs=[index], outputs=self.finetune_cost, updates=updates,
                                   givens=on(train_set_x, train_set_y), name='train')
        test_score_i = theano.function([index], self.errors, givens=on(test_set_x, test_set_y), name='test')
        valid_score_i = theano.function([index], self.errors, givens=on(valid_set_x, valid_set_y), name='valid')

        def valid_score():
            return [valid_score_i(i) for i in range(n_valid_batches)]

        def test_score():
            return [test_score_i(i) for i in range(n_test_batches)]

        return train_fn, valid_score, test_score


def main(mrg=False):
    batch_size = 20
    datasets = [shared_dataset(split) for split in digits.splits()]
    n_train_batches = datasets[0][0].get_value(borrow=True).shape[0] // batch_size
    numpy_rng = numpy.random.RandomState(89677)
    theano_rng = MRG_RandomStreams(89677) if mrg else None
    sda = SdA(numpy_rng=numpy_rng, theano_rng=theano_rng, hidden_layers_sizes=[40, 30])
    start_time = timeit.default_timer()
    corruption_levels = [.1, .2]
    for i in range(sda.n_layers):
        fn = sda.pretraining_functions(train_set_x=datasets[0][0], batch_size=batch_size)[i]
        means = []
        for epoch in range(3):
            c = []
            for batch_index in range(n_train_batches):
                c.append(fn(index=batch_index, corruption=corruption_levels[i], lr=0.05))
            means.append(numpy.mean(c))
            print('Pre-training layer %i, epoch %d, cost %f' % (i, epoch, numpy.mean(c, dtype='float64')))
        assert means[-1] < means[0], means
        fn(0)
        fn(1, 0.5)
    before = sda.dA_layers[0].W.get_value()
    train_fn, validate_model, test_model = sda.build_finetune_functions(datasets, batch_size, learning_rate=0.5)
    costs = [[train_fn(b) for b in range(n_train_batches)] for epoch in range(12)]
    assert numpy.mean(costs[-1]) < 0.8 * numpy.mean(costs[0]), (numpy.mean(costs[0]), numpy.mean(costs[-1]))
    assert not numpy.allclose(before, sda.dA_layers[0].W.get_value())  # finetuning moved the autoencoder's weights
    assert sda.dA_layers[0].W is sda.sigmoid_layers[0].W
    print('validation %f, test %f, %.1f s' % (
        numpy.mean(validate_model()), numpy.mean(test_model()), timeit.default_timer() - start_time))


if __name__ == '__main__':
    main()
