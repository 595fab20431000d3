"""An encoder and a decoder with attention: gated recurrences with strict scans, a sampler, clipped gradients, adam."""

from collections import OrderedDict
import warnings

import numpy

import theano
import theano.tensor as tensor
from theano.sandbox.rng_mrg import MRG_RandomStreams as RandomStreams

profile = False
floatX = theano.config.floatX


def itemlist(tparams):
    return [vv for kk, vv in tparams.items()]


def _p(pp, name):
    return '%s_%s' % (pp, name)


def norm_weight(nin, nout=None, scale=0.1):
    return (scale * numpy.random.randn(nin, nin if nout is None else nout)).astype(floatX)


def param_init_gru(params, prefix, nin, dim):
    params[_p(prefix, 'W')] = numpy.concatenate([norm_weight(nin, dim), norm_weight(nin, dim)], axis=1)
    params[_p(prefix, 'b')] = numpy.zeros((2 * dim,)).astype(floatX)
    params[_p(prefix, 'U')] = numpy.concatenate([norm_weight(dim), norm_weight(dim)], axis=1)
    params[_p(prefix, 'Wx')] = norm_weight(nin, dim)
    params[_p(prefix, 'Ux')] = norm_weight(dim)
    params[_p(prefix, 'bx')] = numpy.zeros((dim,)).astype(floatX)
    return params


def _slice(_x, n, dim):
    if _x.ndim == 3:
        return _x[:, :, n * dim:(n + 1) * dim]
    return _x[:, n * dim:(n + 1) * dim]


def gru_layer(tparams, state_below, prefix='gru', mask=None):
    nsteps = state_below.shape[0]
    n_samples = state_below.shape[1] if state_below.ndim == 3 else 1
    dim = tparams[_p(prefix, 'Ux')].shape[1]
    if mask is None:
        mask = tensor.alloc(1., state_below.shape[0], 1)
    state_below_ = tensor.dot(state_below, tparams[_p(prefix, 'W')]) + tparams[_p(prefix, 'b')]
    state_belowx = tensor.dot(state_below, tparams[_p(prefix, 'Wx')]) + tparams[_p(prefix, 'bx')]

    def _step_slice(m_, x_, xx_, h_, U, Ux):
        preact = tensor.dot(h_, U)
        preact += x_
        r = tensor.nnet.sigmoid(_slice(preact, 0, dim))
        u = tensor.nnet.sigmoid(_slice(preact, 1, dim))
        preactx = tensor.dot(h_, Ux)
        preactx = preactx * r
        preactx = preactx + xx_
        h = tensor.tanh(preactx)
        h = u * h_ + (1. - u) * h
        h = m_[:, None] * h + (1. - m_)[:, None] * h_
        return h

    seqs = [mask, state_below_, state_belowx]
    init_states = [tensor.alloc(numpy.asarray(0., floatX), n_samples, dim)]
    shared_vars = [tparams[_p(prefix, 'U')], tparams[_p(prefix, 'Ux')]]
    rval, updates = theano.scan(_step_slice, sequences=seqs, outputs_info=init_states, non_sequences=shared_vars,
                                name=_p(prefix, '_layers'), n_steps=nsteps, profile=profile, strict=True)
    return [rval]


def gru_cond_layer(tparams, state_below, prefix, mask=None, context=None, one_step=False, init_state=None,
                   context_mask=None):
    assert context, 'Context must be provided'
    if one_step:
        assert init_state, 'previous state must be provided'
    nsteps = state_below.shape[0]
    n_samples = state_below.shape[1] if state_below.ndim == 3 else 1
    if mask is None:
        mask = tensor.alloc(1., state_below.shape[0], 1)
    dim = tparams[_p(prefix, 'Ux')].shape[1]
    if init_state is None:
        init_state = tensor.alloc(0., n_samples, dim)
    assert context.ndim == 3, 'Context must be 3-d: #annotation x #sample x dim'
    pctx_ = tensor.dot(context, tparams[_p(prefix, 'Wc_att')]) + tparams[_p(prefix, 'b_att')]
    state_belowx = tensor.dot(state_below, tparams[_p(prefix, 'Wx')]) + tparams[_p(prefix, 'bx')]
    state_below_ = tensor.dot(state_below, tparams[_p(prefix, 'W')]) + tparams[_p(prefix, 'b')]

    def _step_slice(m_, x_, xx_, h_, ctx_, alpha_, pctx_, cc_, U, Wc, W_comb_att, U_att, c_tt, Ux, Wcx):
        pstate_ = tensor.dot(h_, W_comb_att)
        pctx__ = pctx_ + pstate_[None, :, :]
        pctx__ = tensor.tanh(pctx__)
        alpha = tensor.dot(pctx__, U_att) + c_tt
        alpha = alpha.reshape([alpha.shape[0], alpha.shape[1]])
        alpha = tensor.exp(alpha)
        if context_mask:
            alpha = alpha * context_mask
        alpha = alpha / alpha.sum(0, keepdims=True)
        ctx_ = (cc_ * alpha[:, :, None]).sum(0)
        preact = tensor.dot(h_, U)
        preact += x_
        preact += tensor.dot(ctx_, Wc)
        preact = tensor.nnet.sigmoid(preact)
        r = _slice(preact, 0, dim)
        u = _slice(preact, 1, dim)
        preactx = tensor.dot(h_, Ux)
        preactx *= r
        preactx += xx_
        preactx += tensor.dot(ctx_, Wcx)
        h = tensor.tanh(preactx)
        h = u * h_ + (1. - u) * h
        h = m_[:, None] * h + (1. - m_)[:, None] * h_
        return h, ctx_, alpha.T

    seqs = [mask, state_below_, state_belowx]
    shared_vars = [tparams[_p(prefix, name)] for name in ('U', 'Wc', 'W_comb_att', 'U_att', 'c_tt', 'Ux', 'Wcx')]
    if one_step:
        return _step_slice(*(seqs + [init_state, None, None, pctx_, context] + shared_vars))
    rval, updates = theano.scan(
        _step_slice, sequences=seqs,
        outputs_info=[init_state, tensor.alloc(numpy.asarray(0., floatX), n_samples, context.shape[2]),
                      tensor.alloc(numpy.asarray(0., floatX), n_samples, context.shape[0])],
        non_sequences=[pctx_, context] + shared_vars, name=_p(prefix, '_layers'), n_steps=nsteps, profile=profile,
        strict=not context_mask)
    return rval


def init_params(options):
    params = OrderedDict()
    params['Wemb'] = norm_weight(options['n_words_src'], options['dim_word'])
    params['Wemb_dec'] = norm_weight(options['n_words'], options['dim_word'])
    params = param_init_gru(params, 'encoder', options['dim_word'], options['dim'])
    params = param_init_gru(params, 'encoder_r', options['dim_word'], options['dim'])
    ctxdim, dim = 2 * options['dim'], options['dim']
    params['ff_state_W'] = norm_weight(ctxdim, dim)
    params['ff_state_b'] = numpy.zeros((dim,)).astype(floatX)
    params = param_init_gru(params, 'decoder', options['dim_word'], dim)
    for name, shape in (('Wc', (ctxdim, 2 * dim)), ('Wcx', (ctxdim, dim)), ('W_comb_att', (dim, ctxdim)),
                        ('Wc_att', (ctxdim, ctxdim)), ('U_att', (ctxdim, 1))):
        params[_p('decoder', name)] = norm_weight(*shape)
    params['decoder_b_att'] = numpy.zeros((ctxdim,)).astype(floatX)
    params['decoder_c_tt'] = numpy.zeros((1,)).astype(floatX)
    params['ff_logit_W'] = norm_weight(dim, options['n_words'])
    params['ff_logit_b'] = numpy.zeros((options['n_words'],)).astype(floatX)
    return params


def encode(tparams, options, x, x_mask=None):
    xr = x[::-1]
    emb = tparams['Wemb'][x.flatten()].reshape([x.shape[0], x.shape[1], options['dim_word']])
    embr = tparams['Wemb'][xr.flatten()].reshape([x.shape[0], x.shape[1], options['dim_word']])
    proj = gru_layer(tparams, emb, 'encoder', mask=x_mask)
    projr = gru_layer(tparams, embr, 'encoder_r', mask=None if x_mask is None else x_mask[::-1])
    return tensor.concatenate([proj[0], projr[0][::-1]], axis=proj[0].ndim - 1)


def build_model(tparams, options):
    x = tensor.matrix('x', dtype='int64')
    x_mask = tensor.matrix('x_mask', dtype=floatX)
    y = tensor.matrix('y', dtype='int64')
    y_mask = tensor.matrix('y_mask', dtype=floatX)
    n_timesteps_trg, n_samples = y.shape[0], x.shape[1]
    ctx = encode(tparams, options, x, x_mask)
    ctx_mean = (ctx * x_mask[:, :, None]).sum(0) / x_mask.sum(0)[:, None]
    init_state = tensor.tanh(tensor.dot(ctx_mean, tparams['ff_state_W']) + tparams['ff_state_b'])
    emb = tparams['Wemb_dec'][y.flatten()].reshape([n_timesteps_trg, n_samples, options['dim_word']])
    emb_shifted = tensor.zeros_like(emb)
    emb_shifted = tensor.set_subtensor(emb_shifted[1:], emb[:-1])
    emb = emb_shifted
    proj = gru_cond_layer(tparams, emb, 'decoder', mask=y_mask, context=ctx, context_mask=x_mask, init_state=init_state)
    logit = tensor.dot(proj[0], tparams['ff_logit_W']) + tparams['ff_logit_b']
    logit_shp = logit.shape
    probs = tensor.nnet.softmax(logit.reshape([logit_shp[0] * logit_shp[1], logit_shp[2]]))
    y_flat = y.flatten()
    y_flat_idx = tensor.arange(y_flat.shape[0]) * options['n_words'] + y_flat
    cost = -tensor.log(probs.flatten()[y_flat_idx])
    cost = cost.reshape([y.shape[0], y.shape[1]])
    cost = (cost * y_mask).sum(0)
    return x, x_mask, y, y_mask, proj[2], cost


def build_sampler(tparams, options, trng):
    x = tensor.matrix('x', dtype='int64')
    ctx = encode(tparams, options, x)
    ctx_mean = ctx.mean(0)
    init_state = tensor.tanh(tensor.dot(ctx_mean, tparams['ff_state_W']) + tparams['ff_state_b'])
    f_init = theano.function([x], [init_state, ctx], name='f_init', profile=profile)
    y = tensor.vector('y_sampler', dtype='int64')
    state = tensor.matrix('init_state', dtype=floatX)
    emb = tensor.switch(y[:, None] < 0, tensor.alloc(0., 1, tparams['Wemb_dec'].shape[1]), tparams['Wemb_dec'][y])
    proj = gru_cond_layer(tparams, emb, 'decoder', context=ctx, one_step=True, init_state=state,
                          mask=tensor.alloc(1., emb.shape[0]))
    next_state = proj[0]
    next_probs = tensor.nnet.softmax(tensor.dot(next_state, tparams['ff_logit_W']) + tparams['ff_logit_b'])
    next_sample = trng.multinomial(pvals=next_probs).argmax(1)
    f_next = theano.function([y, ctx, state], [next_probs, next_sample, next_state], name='f_next', profile=profile)
    return f_init, f_next


def adam(lr, tparams, grads, inp, cost):
    gshared = [theano.shared(p.get_value() * 0., name='%s_grad' % k) for k, p in tparams.items()]
    gsup = [(gs, g) for gs, g in zip(gshared, grads)]
    f_grad_shared = theano.function(inp, cost, updates=gsup, profile=profile)
    lr0, b1, b2, e = 0.02, 0.1, 0.001, 1e-8
    updates = []
    i = theano.shared(numpy.asarray(0., dtype=floatX))
    i_t = i + 1.
    fix1 = 1. - b1 ** (i_t)
    fix2 = 1. - b2 ** (i_t)
    lr_t = lr0 * (tensor.sqrt(fix2) / fix1)
    for p, g in zip(tparams.values(), gshared):
        m = theano.shared(p.get_value() * 0.)
        v = theano.shared(p.get_value() * 0.)
        m_t = (b1 * g) + ((1. - b1) * m)
        v_t = (b2 * tensor.sqr(g)) + ((1. - b2) * v)
        g_t = m_t / (tensor.sqrt(v_t) + e)
        p_t = p - (lr_t * g_t)
        updates.append((m, m_t))
        updates.append((v, v_t))
        updates.append((p, p_t))
    updates.append((i, i_t))
    f_update = theano.function([lr], [], updates=updates, on_unused_input='ignore', profile=profile)
    return f_grad_shared, f_update


def gen_sample(f_init, f_next, x, maxlen=6):
    sample, sample_score = [], 0
    next_state, ctx0 = f_init(x)
    next_w = -1 * numpy.ones((1,)).astype('int64')
    for ii in range(maxlen):
        next_p, _, next_state = f_next(next_w, ctx0, next_state)
        nw = next_p[0].argmax()
        sample.append(nw)
        sample_score -= numpy.log(next_p[0, nw])
        if nw == 0:
            break
        next_w = numpy.array([nw], 'int64')
    return sample, sample_score


def prepare_data(seqs):
    lengths = [len(s) + 1 for s in seqs]
    x = numpy.zeros((max(lengths), len(seqs))).astype('int64')
    mask = numpy.zeros(x.shape).astype(floatX)
    for idx, s in enumerate(seqs):
        x[:len(s), idx] = s
        mask[:len(s) + 1, idx] = 1.
    return x, mask


def main(clip_c=1., decay_c=1e-6, steps=60):
    numpy.random.seed(3)
    options = dict(dim_word=6, dim=8, n_words_src=7, n_words=7)
    tparams = OrderedDict((kk, theano.shared(value, name=kk)) for kk, value in init_params(options).items())
    trng = RandomStreams(1234)
    x, x_mask, y, y_mask, alphas, cost = build_model(tparams, options)
    inps = [x, x_mask, y, y_mask]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        f_init, f_next = build_sampler(tparams, options, trng)
    f_log_probs = theano.function(inps, cost, profile=profile)
    cost = cost.mean()
    if decay_c > 0.:
        decay = theano.shared(numpy.float64(decay_c).astype(floatX), name='decay_c')
        weight_decay = 0.
        for kk, vv in tparams.items():
            weight_decay += (vv ** 2).sum()
        weight_decay *= decay
        cost += weight_decay
    grads = tensor.grad(cost, wrt=itemlist(tparams))
    if clip_c > 0.:
        g2 = 0.
        for g in grads:
            g2 += (g ** 2).sum()
        new_grads = []
        for g in grads:
            new_grads.append(tensor.switch(g2 > (clip_c ** 2), g / tensor.sqrt(g2) * clip_c, g))
        grads = new_grads
    lr = tensor.scalar(name='lr')
    f_grad_shared, f_update = adam(lr, tparams, grads, inps, cost)
    rng = numpy.random.RandomState(1)
    sources = [list(rng.randint(1, 7, rng.randint(2, 4))) for n in range(40)]
    targets = [[7 - w for w in s] for s in sources]  # each word has one translation
    batch = prepare_data(sources) + prepare_data(targets)
    costs = []
    for step in range(steps):
        costs.append(f_grad_shared(*batch))
        f_update(0.01)
        assert not numpy.isnan(costs[-1])
    assert costs[-1] < 0.6 * costs[0], (costs[0], costs[-1])
    weights = theano.function(inps, alphas, on_unused_input='ignore')(*batch)
    numpy.testing.assert_allclose((weights.sum(axis=2) - 1) * batch[3][:, :], 0, atol=1e-5)
    assert abs(weights * (1 - batch[1].T)).max() == 0  # no attention where there is no word
    # the sampler says of a sentence what the model says
    source = numpy.array(sources[0] + [0])[:, None]
    sample, score = gen_sample(f_init, f_next, source)
    same = numpy.array(sample)[:, None]
    log_prob = f_log_probs(source, numpy.ones(source.shape, floatX), same, numpy.ones(same.shape, floatX))
    numpy.testing.assert_allclose(log_prob[0], score, rtol=1e-3)
    print('cost %.3f -> %.3f, %s is %s' % (costs[0], costs[-1], sources[0], sample))


if __name__ == '__main__':
    main()
