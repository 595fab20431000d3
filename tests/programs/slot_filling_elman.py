"""An Elman network that labels words by context windows; embeddings are put back onto the unit sphere after each step."""

from __future__ import print_function

from collections import OrderedDict
import copy
import os
import random
import shutil
import tempfile

import numpy

import theano
from theano import tensor as T


def contextwin(l, win):
    assert (win % 2) == 1
    assert win >= 1
    l = list(l)
    lpadded = win // 2 * [-1] + l + win // 2 * [-1]
    out = [lpadded[i:(i + win)] for i in range(len(l))]
    assert len(out) == len(l)
    return out


class RNNSLU(object):
    def __init__(self, nh, nc, ne, de, cs):
        self.emb = theano.shared(name='embeddings',
                                 value=0.2 * numpy.random.uniform(-1.0, 1.0,
                                                                  (ne + 1, de)).astype(theano.config.floatX))
        self.wx = theano.shared(name='wx',
                                value=0.2 * numpy.random.uniform(-1.0, 1.0,
                                                                 (de * cs, nh)).astype(theano.config.floatX))
        self.wh = theano.shared(name='wh',
                                value=0.2 * numpy.random.uniform(-1.0, 1.0, (nh, nh)).astype(theano.config.floatX))
        self.w = theano.shared(name='w',
                               value=0.2 * numpy.random.uniform(-1.0, 1.0, (nh, nc)).astype(theano.config.floatX))
        self.bh = theano.shared(name='bh', value=numpy.zeros(nh, dtype=theano.config.floatX))
        self.b = theano.shared(name='b', value=numpy.zeros(nc, dtype=theano.config.floatX))
        self.h0 = theano.shared(name='h0', value=numpy.zeros(nh, dtype=theano.config.floatX))
        self.params = [self.emb, self.wx, self.wh, self.w, self.bh, self.b, self.h0]

        idxs = T.imatrix()
        x = self.emb[idxs].reshape((idxs.shape[0], de * cs))
        y_sentence = T.ivector('y_sentence')

        def recurrence(x_t, h_tm1):
            h_t = T.nnet.sigmoid(T.dot(x_t, self.wx) + T.dot(h_tm1, self.wh) + self.bh)
            s_t = T.nnet.softmax(T.dot(h_t, self.w) + self.b)
            return [h_t, s_t]

        [h, s], _ = theano.scan(fn=recurrence, sequences=x, outputs_info=[self.h0, None], n_steps=x.shape[0])
        p_y_given_x_sentence = s[:, 0, :]
        y_pred = T.argmax(p_y_given_x_sentence, axis=1)

        lr = T.scalar('lr')
        sentence_nll = -T.mean(T.log(p_y_given_x_sentence)[T.arange(x.shape[0]), y_sentence])
        sentence_gradients = T.grad(sentence_nll, self.params)
        sentence_updates = OrderedDict((p, p - lr * g) for p, g in zip(self.params, sentence_gradients))
        self.classify = theano.function(inputs=[idxs], outputs=y_pred)
        self.sentence_train = theano.function(inputs=[idxs, y_sentence, lr], outputs=sentence_nll,
                                              updates=sentence_updates)
        self.normalize = theano.function(
            inputs=[],
            updates={self.emb: self.emb / T.sqrt((self.emb ** 2).sum(axis=1)).dimshuffle(0, 'x')}
        )

    def train(self, x, y, window_size, learning_rate):
        cwords = contextwin(x, window_size)
        words = list(map(lambda x: numpy.asarray(x).astype('int32'), cwords))
        labels = y
        nll = self.sentence_train(words, labels, learning_rate)
        self.normalize()
        return nll

    def save(self, folder):
        for param in self.params:
            numpy.save(os.path.join(folder, param.name + '.npy'), param.get_value())

    def load(self, folder):
        for param in self.params:
            param.set_value(numpy.load(os.path.join(folder, param.name + '.npy')))


def main():
    numpy.random.seed(345)
    random.seed(345)
    vocsize, nclasses = 12, 3
    # the label of a word says how it compares with the word before it
    lex = [numpy.random.randint(0, vocsize, 6) for n in range(30)]
    labels = [numpy.sign(numpy.diff(numpy.concatenate([s[:1], s]))).astype('int32') + 1 for s in lex]
    rnn = RNNSLU(nh=15, nc=nclasses, ne=vocsize, de=5, cs=3)
    nll = []
    for e in range(10):
        order = list(range(len(lex)))
        random.shuffle(order)
        nll.append(numpy.mean([rnn.train(lex[i], list(labels[i]), 3, 0.3) for i in order]))
    numpy.testing.assert_allclose((rnn.emb.get_value() ** 2).sum(axis=1), 1, rtol=1e-5)
    assert nll[-1] < 0.7 * nll[0], nll
    assert abs(nll[0] - numpy.log(3)) < 0.2
    predictions = [rnn.classify(numpy.asarray(contextwin(s, 3)).astype('int32')) for s in lex]
    accuracy = numpy.mean([p == l for p, l in zip(predictions, labels)])
    print('nll %f -> %f, accuracy %f' % (nll[0], nll[-1], accuracy))
    assert accuracy > 0.6
    best = copy.deepcopy(rnn)
    folder = tempfile.mkdtemp()
    try:
        rnn.save(folder)
        rnn.train(lex[0], labels[0], 3, 0.5)
        assert not numpy.array_equal(best.w.get_value(), rnn.w.get_value())
        rnn.load(folder)
        numpy.testing.assert_array_equal(best.w.get_value(), rnn.w.get_value())
    finally:
        shutil.rmtree(folder)


if __name__ == '__main__':
    main()
