"""Patches, upsampling, transposed convolutions, pooling under old and new names, saliency and style."""

import numpy
import scipy.signal

import theano
import theano.tensor as T
from theano.tensor.nnet import conv2d, neighbours
from theano.tensor.nnet.abstract_conv import (
    AbstractConv2d_gradInputs, AbstractConv2d_gradWeights, bilinear_upsampling, conv2d_grad_wrt_inputs,
    conv2d_grad_wrt_weights, get_conv_output_shape)
from theano.tensor.nnet.neighbours import images2neibs, neibs2images
from theano.tensor.signal import conv as signal_conv
from theano.tensor.signal import downsample, pool
from theano.tensor.signal.downsample import max_pool_2d
from theano.tensor.signal.pool import Pool, pool_2d, pool_3d


def floatX(x):
    return numpy.asarray(x, dtype=theano.config.floatX)


def close(found, wanted, tolerance=1e-5):
    numpy.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


rng = numpy.random.RandomState(7)


def check_patches():
    images = T.tensor4('images')
    value = floatX(rng.rand(2, 3, 6, 8))
    neibs = images2neibs(images, neib_shape=(3, 4))
    f = theano.function([images], neibs)
    found = f(value)
    assert found.shape == (2 * 3 * 2 * 2, 12)
    close(found[1], value[0, 0, :3, 4:].ravel())
    back = neibs2images(neibs, (3, 4), images.shape)
    close(theano.function([images], back)(value), value)
    overlapping = images2neibs(images, (2, 2), neib_step=(1, 1), mode='valid')
    assert theano.function([images], overlapping)(value).shape == (2 * 3 * 5 * 7, 4)
    ignoring = images2neibs(images, (4, 5), mode='ignore_borders')
    assert theano.function([images], ignoring)(value).shape == (6, 20)
    try:
        theano.function([images], images2neibs(images, (4, 5)))(value)
        raise AssertionError('sizes that do not divide')
    except ValueError:
        pass
    wrapped = neighbours.Images2Neibs('wrap_centered')(images, (3, 3), (1, 1))
    found = theano.function([images], wrapped)(value)
    assert found.shape == (2 * 3 * 48, 9)
    close(found[0], numpy.take(numpy.take(value[0, 0], [-1, 0, 1], 0), [-1, 0, 1], 1).ravel())
    g = T.grad((images2neibs(images, (3, 4)) ** 2).sum(), images)
    close(theano.function([images], g)(value), 2 * value)


def check_pooling():
    x = T.tensor4('x')
    value = floatX(rng.rand(2, 2, 7, 9))
    spellings = [
        pool_2d(x, (2, 3), ignore_border=True), pool_2d(input=x, ws=(2, 3), ignore_border=True),
        pool_2d(x, ds=(2, 3), ignore_border=True), max_pool_2d(x, (2, 3), ignore_border=True),
        downsample.max_pool_2d(input=x, ds=(2, 3), ignore_border=True), pool_2d(x, ws=(2, 3), stride=(2, 3), ignore_border=True),
        pool_2d(x, ds=(2, 3), st=(2, 3), padding=(0, 0), ignore_border=True, mode='max'),
        Pool(ignore_border=True, mode='max')(x, (2, 3)), downsample.DownsampleFactorMax((2, 3), ignore_border=True)(x)]
    want = value[:, :, :6].reshape(2, 2, 3, 2, 3, 3).max(axis=(3, 5))
    for found in theano.function([x], spellings)(value):
        close(found, want)
    partial = theano.function([x], pool_2d(x, (2, 3), ignore_border=False))(value)
    assert partial.shape == (2, 2, 4, 3)
    close(partial[:, :, 3], value[:, :, 6].reshape(2, 2, 3, 3).max(-1))
    for mode in ('max', 'sum', 'average_inc_pad', 'average_exc_pad'):
        for stride in (None, (1, 1), (3, 2)):
            out = pool_2d(x, (3, 3), ignore_border=True, stride=stride, pad=(1, 1), mode=mode)
            found = theano.function([x], out)(value)
            assert list(found.shape) == Pool.out_shape(value.shape, (3, 3), ignore_border=True, stride=stride, pad=(1, 1))
            theano.gradient.verify_grad(lambda v: pool_2d(v, (3, 3), ignore_border=True, stride=stride, pad=(1, 1), mode=mode),
                                        [rng.permutation(2 * 1 * 5 * 4).reshape(2, 1, 5, 4) * 1.0],
                                        rng=numpy.random.RandomState(1), n_tests=1)
    v = T.tensor5('v')
    cube = floatX(rng.rand(1, 2, 4, 4, 6))
    close(theano.function([v], pool_3d(v, ws=(2, 2, 3), ignore_border=True, mode='sum'))(cube),
          cube.reshape(1, 2, 2, 2, 2, 2, 2, 3).sum(axis=(3, 5, 7)))
    symbolic = T.ivector('ws')
    try:
        assert theano.function([x, symbolic], pool_2d(x, symbolic, ignore_border=True))(value, [2, 2]).shape == (2, 2, 3, 4)
    except (TypeError, ValueError) as e:  # sizes of windows that only the call knows may be refused, in clear words
        assert 'ws' in str(e) or 'window' in str(e), e
    try:
        pool_2d(x, (2, 2), ignore_border=False, pad=(1, 1))
        raise AssertionError('padding needs ignore_border')
    except (NotImplementedError, ValueError):
        pass


def check_convolutions():
    x, w = T.tensor4('x'), T.tensor4('w')
    a, k = floatX(rng.rand(2, 3, 8, 7)), floatX(rng.rand(4, 3, 3, 3))
    for mode in ('valid', 'full', 'half', (1, 2), 1, ((1, 0), (2, 1))):
        for flip in (True, False):
            try:
                out = conv2d(x, w, border_mode=mode, filter_flip=flip)
            except (ValueError, TypeError, NotImplementedError):
                assert mode == ((1, 0), (2, 1))
                continue
            found = theano.function([x, w], out)(a, k)
            pads = {'valid': (0, 0), 'full': (2, 2), 'half': (1, 1), 1: (1, 1)}.get(mode, mode)
            pads = [p if isinstance(p, tuple) else (p, p) for p in pads]
            padded = numpy.pad(a, [(0, 0), (0, 0)] + pads)
            want = numpy.array([[sum(scipy.signal.convolve2d(im[c], f[c] if flip else f[c, ::-1, ::-1], 'valid')
                                     for c in range(3)) for f in k] for im in padded])
            close(found, want)
    for step in ((2, 2), (1, 3)):
        assert list(theano.function([x, w], conv2d(x, w, subsample=step))(a, k).shape) == list(
            get_conv_output_shape(a.shape, k.shape, 'valid', step))
    shapes = dict(input_shape=(2, 3, 8, 7), filter_shape=(4, 3, 3, 3))
    close(theano.function([x, w], conv2d(x, w, **shapes))(a, k), theano.function([x, w], conv2d(x, w))(a, k))
    old = T.nnet.conv.conv2d(input=x, filters=w, filter_shape=(4, 3, 3, 3), image_shape=(2, 3, 8, 7))
    close(theano.function([x, w], old)(a, k), theano.function([x, w], conv2d(x, w))(a, k))
    try:
        theano.function([x, w], conv2d(x, w, input_shape=(2, 3, 9, 7), filter_shape=(4, 3, 3, 3)))(a, k)
        raise AssertionError('a wrong shape')
    except (ValueError, AssertionError) as e:
        assert 'a wrong shape' not in str(e)
    # the transposed convolution is the gradient, however it is spelled
    y = T.tensor4('y')
    for mode, step in (('valid', (1, 1)), ('half', (2, 2)), ('full', (1, 2)), ((1, 1), (2, 1))):
        forward = conv2d(x, w, border_mode=mode, subsample=step)
        size = theano.function([x, w], forward)(a, k).shape
        g = floatX(rng.rand(*size))
        want_x, want_w = theano.function([x, w, y], T.grad(None, [x, w], known_grads={forward: y}))(a, k, g)
        backward = conv2d_grad_wrt_inputs(y, w, input_shape=(2, 3, 8, 7), filter_shape=(4, 3, 3, 3), border_mode=mode,
                                          subsample=step)
        close(theano.function([y, w], backward)(g, k), want_x)
        op = AbstractConv2d_gradInputs(imshp=(None, None, 8, 7), kshp=(4, 3, 3, 3), border_mode=mode, subsample=step)
        close(theano.function([y, w], op(w, y, (8, 7)))(g, k), want_x)
        op = AbstractConv2d_gradInputs(border_mode=mode, subsample=step, filter_flip=True)
        close(theano.function([x, y, w], op(w, y, x.shape[-2:]), on_unused_input='ignore')(a, g, k), want_x)
        weights = conv2d_grad_wrt_weights(x, y, filter_shape=(4, 3, 3, 3), input_shape=(2, 3, 8, 7), border_mode=mode,
                                          subsample=step)
        close(theano.function([x, y], weights)(a, g), want_w)
        op = AbstractConv2d_gradWeights(border_mode=mode, subsample=step)
        close(theano.function([x, y], op(x, y, (3, 3)))(a, g), want_w)
    m, f = T.matrix(), T.matrix()
    image, kernel = floatX(rng.rand(6, 5)), floatX(rng.rand(3, 2))
    for mode in ('valid', 'full'):
        close(theano.function([m, f], signal_conv.conv2d(m, f, border_mode=mode))(image, kernel),
              scipy.signal.convolve2d(image, kernel, mode))
    dilated = theano.function([x, w], conv2d(x, w, filter_dilation=(2, 2)))(a, k)
    spread = numpy.zeros((4, 3, 5, 5))
    spread[:, :, ::2, ::2] = k
    close(dilated, theano.function([x, w], conv2d(x, w))(a, floatX(spread)))
    grouped = theano.function([x, w], conv2d(x, w, num_groups=3))(a, floatX(rng.rand(6, 1, 3, 3)))
    assert grouped.shape == (2, 6, 6, 5)


def check_upsampling():
    x = T.tensor4('x')
    value = floatX(rng.rand(1, 2, 3, 4))
    repeated = x.repeat(2, axis=2).repeat(2, axis=3)
    up = theano.function([x], repeated)(value)
    close(up, value.repeat(2, 2).repeat(2, 3))
    upscaled = T.zeros((x.shape[0], x.shape[1], x.shape[2] * 2, x.shape[3] * 2), dtype=x.dtype)
    upscaled = T.set_subtensor(upscaled[:, :, ::2, ::2], x)
    close(theano.function([x], upscaled)(value)[:, :, ::2, ::2], value)
    smooth = bilinear_upsampling(x, ratio=2, batch_size=1, num_input_channels=2)
    assert theano.function([x], smooth)(value).shape == (1, 2, 6, 8)
    kron = T.slinalg.kron(x[0, 0], T.ones((2, 2)))
    close(theano.function([x], kron)(value), numpy.kron(value[0, 0], numpy.ones((2, 2))))
    # a deconvolution layer whose output doubles the image, trained on blurred ones
    w = theano.shared(floatX(0.1 * rng.randn(2, 1, 4, 4)), name='w')
    code = T.tensor4('code')
    made = conv2d_grad_wrt_inputs(code, w, input_shape=(None, 1, 8, 8), filter_shape=(2, 1, 4, 4), border_mode=(1, 1),
                                  subsample=(2, 2))
    target = T.tensor4('target')
    cost = T.sqr(made - target).mean()
    train = theano.function([code, target], cost, updates=[(w, w - 0.3 * T.grad(cost, w))])
    codes, targets = floatX(rng.rand(5, 2, 4, 4)), floatX(rng.rand(5, 1, 1, 1) * numpy.ones((5, 1, 8, 8)))
    costs = [train(codes, targets) for step in range(40)]
    assert costs[-1] < 0.7 * costs[0], costs


def check_saliency_and_style():
    w1, w2 = [theano.shared(floatX(0.3 * rng.randn(*s))) for s in ((4, 1, 3, 3), (6, 4, 3, 3))]

    def features(image):
        first = T.nnet.relu(conv2d(image, w1, border_mode='half'))
        second = T.nnet.relu(conv2d(pool_2d(first, (2, 2), mode='average_exc_pad', ignore_border=True), w2, border_mode='half'))
        return first, second

    def gram(x):
        x = x.flatten(ndim=3)
        return T.tensordot(x, x, axes=([2], [2])) if x.ndim == 2 else T.batched_dot(x, x.dimshuffle(0, 2, 1))

    image = theano.shared(floatX(rng.rand(1, 1, 8, 8)), 'image')
    photo, art = T.constant(floatX(rng.rand(1, 1, 8, 8))), T.constant(floatX(rng.rand(1, 1, 8, 8)))
    content = 1. / 2 * ((features(image)[1] - features(photo)[1]) ** 2).sum()
    style = sum(((gram(a) - gram(b)) ** 2).sum() / (4. * 64 ** 2) for a, b in zip(features(image), features(art)))
    variation = (((image[:, :, :-1, :-1] - image[:, :, 1:, :-1]) ** 2 + (image[:, :, :-1, :-1] - image[:, :, :-1, 1:]) ** 2) ** 1.25).sum()
    total = 0.1 * content + style + 1e-3 * variation
    f_loss, f_grad = theano.function([], total), theano.function([], T.grad(total, image))

    def eval_loss(x0):
        image.set_value(floatX(x0.reshape(1, 1, 8, 8)))
        return f_loss().astype('float64')

    def eval_grad(x0):
        image.set_value(floatX(x0.reshape(1, 1, 8, 8)))
        return numpy.array(f_grad()).flatten().astype('float64')

    import scipy.optimize
    start = image.get_value().astype('float64')
    before = eval_loss(start)
    found, after, _ = scipy.optimize.fmin_l_bfgs_b(eval_loss, start.flatten(), fprime=eval_grad, maxfun=25)
    assert after < 0.5 * before, (before, after)
    x = T.tensor4()
    score = features(x)[1].max(axis=(2, 3))
    saliency = theano.grad(score.sum(), wrt=x)
    guided = theano.function([x], [saliency, score.argmax(axis=1)])
    assert guided(floatX(rng.rand(3, 1, 8, 8)))[0].shape == (3, 1, 8, 8)


def main():
    check_patches()
    check_pooling()
    check_convolutions()
    check_upsampling()
    check_saliency_and_style()


if __name__ == '__main__':
    main()
