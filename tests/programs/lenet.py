"""A convolutional network with two stages of convolution and pooling, in the old and in the new spelling."""

import digits
import numpy
from logistic_regression import LogisticRegression, shared_dataset
from mlp import HiddenLayer

import theano
import theano.tensor as T
from theano.tensor.nnet import conv, conv2d
from theano.tensor.signal import downsample, pool


class LeNetConvPoolLayer(object):
    def __init__(self, rng, input, filter_shape, image_shape, poolsize=(2, 2), old_names=False):
        assert image_shape[1] == filter_shape[1]
        self.input = input
        fan_in = numpy.prod(filter_shape[1:])
        fan_out = (filter_shape[0] * numpy.prod(filter_shape[2:]) // numpy.prod(poolsize))
        W_bound = numpy.sqrt(6. / (fan_in + fan_out))
        self.W = theano.shared(
            numpy.asarray(rng.uniform(low=-W_bound, high=W_bound, size=filter_shape), dtype=theano.config.floatX),
            borrow=True
        )
        self.b = theano.shared(value=numpy.zeros((filter_shape[0],), dtype=theano.config.floatX), borrow=True)
        if old_names:
            conv_out = conv.conv2d(input=input, filters=self.W, filter_shape=filter_shape, image_shape=image_shape)
            pooled_out = downsample.max_pool_2d(input=conv_out, ds=poolsize, ignore_border=True)
        else:
            conv_out = conv2d(input=input, filters=self.W, filter_shape=filter_shape, input_shape=image_shape)
            pooled_out = pool.pool_2d(input=conv_out, ws=poolsize, ignore_border=True)
        self.output = T.tanh(pooled_out + self.b.dimshuffle('x', 0, 'x', 'x'))
        self.params = [self.W, self.b]


def train(learning_rate=0.2, n_epochs=4, nkerns=(4, 6), batch_size=50, old_names=False):
    rng = numpy.random.RandomState(23455)
    (train_set_x, train_set_y), (valid_set_x, valid_set_y), _ = [shared_dataset(split) for split in digits.splits()]
    n_train_batches = train_set_x.get_value(borrow=True).shape[0] // batch_size

    index = T.lscalar()
    x = T.matrix('x')
    y = T.ivector('y')
    layer0_input = x.reshape((batch_size, 1, digits.SIDE, digits.SIDE))
    layer0 = LeNetConvPoolLayer(
        rng, input=layer0_input, image_shape=(batch_size, 1, 12, 12), filter_shape=(nkerns[0], 1, 3, 3),
        poolsize=(2, 2), old_names=old_names
    )
    layer1 = LeNetConvPoolLayer(
        rng, input=layer0.output, image_shape=(batch_size, nkerns[0], 5, 5), filter_shape=(nkerns[1], nkerns[0], 2, 2),
        poolsize=(2, 2), old_names=old_names
    )
    layer2_input = layer1.output.flatten(2)
    layer2 = HiddenLayer(rng, input=layer2_input, n_in=nkerns[1] * 2 * 2, n_out=40, activation=T.tanh)
    layer3 = LogisticRegression(input=layer2.output, n_in=40, n_out=10)
    cost = layer3.negative_log_likelihood(y)
    validate_model = theano.function(
        [index], layer3.errors(y),
        givens={
            x: valid_set_x[index * batch_size: (index + 1) * batch_size],
            y: valid_set_y[index * batch_size: (index + 1) * batch_size]
        }
    )
    params = layer3.params + layer2.params + layer1.params + layer0.params
    start = [param.get_value() for param in params]
    grads = T.grad(cost, params)
    updates = [(param_i, param_i - learning_rate * grad_i) for param_i, grad_i in zip(params, grads)]
    train_model = theano.function(
        [index], cost, updates=updates,
        givens={
            x: train_set_x[index * batch_size: (index + 1) * batch_size],
            y: train_set_y[index * batch_size: (index + 1) * batch_size]
        }
    )
    costs = [train_model(i) for epoch in range(n_epochs) for i in range(n_train_batches)]
    errors = numpy.mean([validate_model(i) for i in range(2)])
    return numpy.array(costs), errors, start


if __name__ == '__main__':
    print('validation error %f' % train()[1])
