"""A deep belief network: machines pretrained one by one, then finetuned as one network."""

from __future__ import print_function

import digits
import numpy
from boltzmann_machine import RBM
from logistic_regression import LogisticRegression, shared_dataset
from mlp import HiddenLayer

import theano
import theano.tensor as T
from theano.sandbox.rng_mrg import MRG_RandomStreams


class DBN(object):
    def __init__(self, numpy_rng, theano_rng=None, n_ins=144, hidden_layers_sizes=[40, 40], n_outs=10):
        self.sigmoid_layers = []
        self.rbm_layers = []
        self.params = []
        self.n_layers = len(hidden_layers_sizes)
        if not theano_rng:
            theano_rng = MRG_RandomStreams(numpy_rng.randint(2 ** 30))
        self.x = T.matrix('x')
        self.y = T.ivector('y')
        for i in range(self.n_layers):
            input_size = n_ins if i == 0 else hidden_layers_sizes[i - 1]
            layer_input = self.x if i == 0 else self.sigmoid_layers[-1].output
            sigmoid_layer = HiddenLayer(rng=numpy_rng, input=layer_input, n_in=input_size,
                                        n_out=hidden_layers_sizes[i], activation=T.nnet.sigmoid)
            self.sigmoid_layers.append(sigmoid_layer)
            self.params.extend(sigmoid_layer.params)
            self.rbm_layers.append(
                RBM(numpy_rng=numpy_rng, theano_rng=theano_rng, input=layer_input, n_visible=input_size,
                    n_hidden=hidden_layers_sizes[i], W=sigmoid_layer.W, hbias=sigmoid_layer.b))
        self.logLayer = LogisticRegression(input=self.sigmoid_layers[-1].output, n_in=hidden_layers_sizes[-1],
                                           n_out=n_outs)
        self.params.extend(self.logLayer.params)
        self.finetune_cost = self.logLayer.negative_log_likelihood(self.y)
        self.errors = self.logLayer.errors(self.y)

    def pretraining_functions(self, train_set_x, batch_size, k):
        index = T.lscalar('index')
        learning_rate = T.scalar('lr')
        batch_begin = index * batch_size
        batch_end = batch_begin + batch_size
        pretrain_fns = []
        for rbm in self.rbm_layers:
            cost, updates = rbm.get_cost_updates(learning_rate, persistent=None, k=k)
            fn = theano.function(inputs=[index, theano.In(learning_rate, value=0.1)], outputs=cost, updates=updates,
                                 givens={self.x: train_set_x[batch_begin:batch_end]})
            pretrain_fns.append(fn)
        return pretrain_fns


def main(batch_size=20):
    datasets = [shared_dataset(split) for split in digits.splits()]
    train_set_x, train_set_y = datasets[0]
    n_train_batches = train_set_x.get_value(borrow=True).shape[0] // batch_size
    dbn = DBN(numpy_rng=numpy.random.RandomState(123))
    pretraining_fns = dbn.pretraining_functions(train_set_x=train_set_x, batch_size=batch_size, k=1)
    for i in range(dbn.n_layers):
        means = []
        for epoch in range(4):
            c = []
            for batch_index in range(n_train_batches):
                c.append(pretraining_fns[i](index=batch_index, lr=0.05))
            means.append(numpy.mean(c))
        print('Pre-training layer %i, cost ' % i, means)
        assert means[-1] > means[0]
    index = T.lscalar('index')
    gparams = T.grad(dbn.finetune_cost, dbn.params)
    updates = []
    for param, gparam in zip(dbn.params, gparams):
        updates.append((param, param - gparam * 0.5))
    train_fn = theano.function(
        inputs=[index], outputs=dbn.finetune_cost, updates=updates,
        givens={
            dbn.x: train_set_x[index * batch_size: (index + 1) * batch_size],
            dbn.y: train_set_y[index * batch_size: (index + 1) * batch_size]
        })
    costs = [numpy.mean([train_fn(b) for b in range(n_train_batches)]) for epoch in range(20)]
    print(costs[0], costs[-1])
    assert costs[-1] < 0.7 * costs[0], costs


if __name__ == '__main__':
    main()
