"""A variational autoencoder with importance weights, and adversaries that share a function's graph by `theano.clone`."""

import numpy as np

import theano
import theano.tensor as T
from theano.sandbox.rng_mrg import MRG_RandomStreams
from theano.tensor.nnet import sigmoid, softplus


def sharedX(value, name=None):
    return theano.shared(np.asarray(value, dtype=theano.config.floatX), name=name)


def init(rng, *shape):
    return sharedX(rng.normal(0, np.sqrt(1.0 / shape[0]), shape))


class VAE(object):
    def __init__(self, n_in, n_hidden, n_latent, seed=1, L=3):
        rng = np.random.RandomState(seed)
        self.srng = MRG_RandomStreams(seed)
        self.params = {
            'W_h': init(rng, n_in, n_hidden), 'b_h': sharedX(np.zeros(n_hidden)), 'W_mu': init(rng, n_hidden, n_latent),
            'W_sigma': init(rng, n_hidden, n_latent), 'W_d': init(rng, n_latent, n_hidden), 'W_x': init(rng, n_hidden, n_in),
            'b_x': sharedX(np.zeros(n_in))}
        p = self.params
        x = T.matrix('x')
        epoch = T.scalar('epoch')
        h = T.tanh(T.dot(x, p['W_h']) + p['b_h'].dimshuffle('x', 0))
        mu, log_sigma = T.dot(h, p['W_mu']), 0.5 * T.dot(h, p['W_sigma'])
        eps = self.srng.normal((L, mu.shape[0], mu.shape[1]), dtype=theano.config.floatX)
        z = mu.dimshuffle('x', 0, 1) + T.exp(log_sigma).dimshuffle('x', 0, 1) * eps
        y = sigmoid(T.dot(T.tanh(T.dot(z, p['W_d'])), p['W_x']) + p['b_x'])
        log_px = -T.nnet.binary_crossentropy(y, T.shape_padleft(x) * T.ones_like(y)).sum(axis=2)
        kl = 0.5 * T.sum(1 + 2 * log_sigma - mu ** 2 - T.exp(2 * log_sigma), axis=1)
        bound = log_px.mean(axis=0) + kl
        log_q = -0.5 * (eps ** 2).sum(axis=2) - log_sigma.sum(axis=1).dimshuffle('x', 0)
        log_p = -0.5 * (z ** 2).sum(axis=2)
        weights = log_px + log_p - log_q
        top = weights.max(axis=0, keepdims=True)
        tighter = (T.log(T.exp(weights - top).mean(axis=0, keepdims=True)) + top)[0]
        grads = dict(zip(p, T.grad(-bound.mean(), list(p.values()))))
        m = {k: sharedX(np.zeros_like(v.get_value())) for k, v in p.items()}
        v = {k: sharedX(np.zeros_like(w.get_value())) for k, w in p.items()}
        updates = []
        gamma = T.sqrt(1 - 0.999 ** epoch) / (1 - 0.9 ** epoch)
        for k in p:
            new_m, new_v = 0.9 * m[k] + 0.1 * grads[k], 0.999 * v[k] + 0.001 * grads[k] ** 2
            updates += [(m[k], new_m), (v[k], new_v), (p[k], p[k] - 0.01 * gamma * new_m / (T.sqrt(new_v) + 1e-8))]
        self.update = theano.function([x, epoch], bound.mean(), updates=updates)
        self.likelihood = theano.function([x], [bound.mean(), tighter.mean()])
        self.encode = theano.function([x], mu)
        self.decode = theano.function([z], y)


def check_autoencoder():
    rng = np.random.RandomState(2)
    classes = rng.uniform(size=(4, 12)) > 0.5
    data = (rng.uniform(size=(60, 12)) < np.where(classes[rng.randint(0, 4, 60)], 0.95, 0.05)).astype(theano.config.floatX)
    vae = VAE(12, 10, 2)
    bounds = [vae.update(data, n + 1) for n in range(150)]
    assert np.mean(bounds[-10:]) > np.mean(bounds[:3]) + 2, (bounds[0], bounds[-1])
    bound, tighter = np.mean([vae.likelihood(data) for n in range(20)], axis=0)
    assert tighter > bound
    codes = vae.encode(data)
    decoded = vae.decode(np.repeat(codes[None], 3, axis=0))
    assert ((decoded[0] > 0.5) == data).mean() > 0.8
    print('bound %.2f -> %.2f, with importance weights %.2f' % (bounds[0], bound, tighter))


def check_adversaries():
    rng = np.random.RandomState(3)
    srng = MRG_RandomStreams(4)
    W1, b1, W2 = init(rng, 1, 8), sharedX(np.zeros(8)), init(rng, 8, 1)
    V1, c1, V2 = init(rng, 1, 8), sharedX(np.linspace(-2, 2, 8)), init(rng, 8, 1)
    x, noise = T.matrix('x'), srng.uniform((50, 1), -1, 1)
    generated = T.dot(T.nnet.elu(T.dot(noise, W1) + b1), W2)
    judged = sigmoid(T.dot(T.tanh(T.dot(x, V1) + c1), V2))
    judged_fake = theano.clone(judged, replace={x: generated}, strict=False)
    cost_d = -(T.log(judged + 1e-6).mean() + T.log(1 - judged_fake + 1e-6).mean())
    cost_g = -T.log(judged_fake + 1e-6).mean()
    params_g, params_d = [W1, b1, W2], [V1, c1, V2]
    grads_g, grads_d = T.grad(cost_g, params_g), T.grad(cost_d, params_d)
    lrt = sharedX(0.1)
    train_d = theano.function([x], cost_d, updates=[(p, p - lrt * g) for p, g in zip(params_d, grads_d)])
    train_g = theano.function([], cost_g, updates=[(p, p - lrt * g) for p, g in zip(params_g, grads_g)])
    sample = theano.function([], generated)
    before = V1.get_value()
    train_g()
    np.testing.assert_array_equal(V1.get_value(), before)  # each step moves its own parameters only
    for n in range(300):
        train_d(rng.normal(2.0, 0.3, (50, 1)).astype(theano.config.floatX))
        train_g()
        lrt.set_value(np.asarray(lrt.get_value() * 0.997, theano.config.floatX))
    made = np.concatenate([sample() for n in range(10)])
    assert 1 < made.mean() < 3, made.mean()
    assert not np.array_equal(sample(), sample())
    print('generated %.2f +- %.2f' % (made.mean(), made.std()))


def check_softplus_bounds():
    x = T.vector()
    f = theano.function([x], [softplus(x), T.log1p(T.exp(x)), -T.log(sigmoid(-x))])
    for found in f(np.asarray([-800, 0, 800], theano.config.floatX)):
        np.testing.assert_allclose(found, [0, np.log(2), 800], rtol=1e-6)


def main():
    check_autoencoder()
    check_adversaries()
    check_softplus_bounds()


if __name__ == '__main__':
    main()
