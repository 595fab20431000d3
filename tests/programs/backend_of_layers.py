"""A backend of functions on tensors, in the manner of those by which model libraries hid Theano."""

from contextlib import contextmanager
import inspect

import numpy as np

import theano
from theano import tensor as T
from theano.ifelse import ifelse
from theano.printing import Print
from theano.sandbox.rng_mrg import MRG_RandomStreams as RandomStreams
from theano.sandbox.softsign import softsign as T_softsign
from theano.tensor.nnet.nnet import softsign as T_softsign_of_nnet
from theano.tensor.signal import pool

try:
    import theano.sparse as th_sparse_module
except ImportError:
    th_sparse_module = None
try:
    from theano.tensor.nnet.nnet import softsign as T_softsign  # noqa: F811
except ImportError:
    from theano.sandbox.softsign import softsign as T_softsign  # noqa: F811

_FLOATX = 'float32'
_EPSILON = 1e-7
theano.config.floatX = _FLOATX
_LEARNING_PHASE = T.scalar(dtype='uint8', name='keras_learning_phase')
NAME_SCOPE_STACK = []


def floatx():
    return _FLOATX


def epsilon():
    return _EPSILON


def learning_phase():
    return _LEARNING_PHASE


def is_sparse(tensor):
    return th_sparse_module and isinstance(tensor.type, th_sparse_module.SparseType)


def to_dense(tensor):
    if is_sparse(tensor):
        return th_sparse_module.dense_from_sparse(tensor)
    else:
        return tensor


@contextmanager
def name_scope(name):
    NAME_SCOPE_STACK.append(name)
    yield
    NAME_SCOPE_STACK.pop()


def _prepare_name(name, default):
    prefix = '/'.join(NAME_SCOPE_STACK)
    if name is None:
        return prefix + '/' + default
    return prefix + '/' + name


def variable(value, dtype=None, name=None):
    if dtype is None:
        dtype = floatx()
    if hasattr(value, 'tocoo'):
        variable = th_sparse_module.as_sparse_variable(value, name=_prepare_name(name, 'variable'))
    else:
        if isinstance(value, (theano.tensor.TensorVariable, theano.tensor.sharedvar.TensorSharedVariable,
                              theano.tensor.TensorConstant)):
            value = value.eval()
        value = np.asarray(value, dtype=dtype)
        variable = theano.shared(value=value, name=_prepare_name(name, 'variable'), strict=False)
    variable._keras_shape = value.shape
    variable._uses_learning_phase = False
    return variable


def constant(value, dtype=None, shape=None, name=None):
    if dtype is None:
        dtype = floatx()
    if shape is None:
        shape = ()
    np_value = value * np.ones(shape)
    const = T.constant(np_value, dtype=dtype, name=_prepare_name(name, 'constant'))
    const._keras_shape = shape
    const._uses_learning_phase = False
    return const


def is_placeholder(x):
    return hasattr(x, '_theano_placeholder') and x._theano_placeholder


def placeholder(shape=None, ndim=None, dtype=None, sparse=False, name=None):
    if dtype is None:
        dtype = floatx()
    if shape is not None and ndim is None:
        ndim = len(shape)
    name = _prepare_name(name, 'placeholder')
    broadcast = (False,) * ndim
    if sparse:
        x = th_sparse_module.csr_matrix(name=name, dtype=dtype)
    else:
        x = T.TensorType(dtype, broadcast)(name)
    x._keras_shape = tuple([None for _ in range(ndim)]) if shape is None else shape
    x._uses_learning_phase = False
    x._theano_placeholder = True
    return x


def eval(x):
    return to_dense(x).eval()


def int_shape(x):
    return x._keras_shape if hasattr(x, '_keras_shape') else None


def ones_like(x, dtype=None, name=None):
    return T.ones_like(x, dtype=dtype or floatx())


def random_uniform_variable(shape, low, high, dtype=None, name=None):
    return variable(np.random.uniform(low=low, high=high, size=shape), dtype=dtype, name=name)


def dot(x, y):
    if is_sparse(x):
        out = th_sparse_module.basic.structured_dot(x, y)
    else:
        out = T.dot(x, y)
    return out


def batch_dot(x, y, axes=None):
    if isinstance(axes, int):
        axes = (axes, axes)
    if axes is None:
        axes = [x.ndim - 1, y.ndim - 2]
    out = T.batched_tensordot(x, y, axes=axes)
    if out.ndim == 1:
        out = out.dimshuffle(0, 'x')
    return out


def gather(reference, indices):
    y = reference[indices]
    if hasattr(reference, '_keras_shape') and hasattr(indices, '_keras_shape'):
        y._keras_shape = indices._keras_shape + reference._keras_shape[1:]
    return y


def std(x, axis=None, keepdims=False):
    return T.std(x, axis=axis, keepdims=keepdims)


def logsumexp(x, axis=None, keepdims=False):
    return T.log(T.sum(T.exp(x), axis=axis, keepdims=keepdims))


def any_(x, axis=None, keepdims=False):
    return T.any(x, axis=axis, keepdims=keepdims)


def concatenate(tensors, axis=-1):
    if py_all([is_sparse(x) for x in tensors]):
        axis = axis % tensors[0].ndim
        return th_sparse_module.basic.vstack(tensors, format='csr') if axis == 0 else th_sparse_module.basic.hstack(
            tensors, format='csr')
    return T.concatenate([to_dense(x) for x in tensors], axis=axis)


py_all = all


def permute_dimensions(x, pattern):
    return x.dimshuffle(tuple(pattern))


def repeat_elements(x, rep, axis):
    return T.repeat(x, rep, axis=axis)


def resize_images(x, height_factor, width_factor):
    return repeat_elements(repeat_elements(x, height_factor, axis=2), width_factor, axis=3)


def repeat(x, n):
    assert x.ndim == 2
    x = x.dimshuffle((0, 'x', 1))
    return T.extra_ops.repeat(x, n, axis=1)


def batch_flatten(x):
    return T.reshape(x, (x.shape[0], T.prod(x.shape[1:])))


def expand_dims(x, axis=-1):
    pattern = [i for i in range(x.type.ndim)]
    if axis < 0:
        axis = len(pattern) if x.type.ndim == 0 else axis % x.type.ndim + 1
    pattern.insert(axis, 'x')
    return x.dimshuffle(pattern)


def squeeze(x, axis):
    shape = list(x.shape)
    shape.pop(axis)
    return T.reshape(x, tuple(shape))


def temporal_padding(x, padding=(1, 1)):
    input_shape = x.shape
    output = T.zeros((input_shape[0], input_shape[1] + padding[0] + padding[1], input_shape[2]))
    return T.set_subtensor(output[:, padding[0]:x.shape[1] + padding[0], :], x)


def spatial_2d_padding(x, padding=((1, 1), (1, 1))):
    input_shape = x.shape
    output_shape = (input_shape[0], input_shape[1], input_shape[2] + sum(padding[0]), input_shape[3] + sum(padding[1]))
    output = T.zeros(output_shape)
    indices = (slice(None), slice(None), slice(padding[0][0], input_shape[2] + padding[0][0]),
               slice(padding[1][0], input_shape[3] + padding[1][0]))
    return T.set_subtensor(output[indices], x)


def one_hot(indices, num_classes):
    input_shape = tuple((indices.shape[i] for i in range(indices.ndim)))
    indices = T.flatten(indices)
    oh = T.extra_ops.to_one_hot(indices, num_classes)
    oh = T.reshape(oh, input_shape + (num_classes,))
    return oh


def reverse(x, axes):
    if isinstance(axes, int):
        axes = [axes]
    elif isinstance(axes, tuple):
        axes = list(axes)
    for i in range(len(axes)):
        if axes[i] == -1:
            axes[i] = x.ndim - 1
    slices = []
    for i in range(x.ndim):
        if i in axes:
            slices.append(slice(None, None, -1))
        else:
            slices.append(slice(None, None, None))
    return x[tuple(slices)]


def in_top_k(predictions, targets, k):
    predictions_top_k = T.argsort(predictions)[:, -k:]
    result, _ = theano.map(lambda prediction, target: any_(T.eq(prediction, target)),
                           sequences=[predictions_top_k, targets])
    return result


def get_value(x):
    if not hasattr(x, 'get_value'):
        raise TypeError('get_value() can only be called on a variable. If you have an expression instead, use eval().')
    return x.get_value()


def batch_set_value(tuples):
    for x, value in tuples:
        x.set_value(np.asarray(value, dtype=x.dtype))


class Function(object):
    def __init__(self, inputs, outputs, updates=[], name=None, **kwargs):
        unique_variables_to_update = {}
        for v, nv in updates:
            if v not in unique_variables_to_update:
                unique_variables_to_update[v] = nv
        updates = unique_variables_to_update.items()
        self.function = theano.function(inputs, outputs, updates=updates, allow_input_downcast=True,
                                        on_unused_input='ignore', name=name, **kwargs)
        self.name = name

    def __call__(self, inputs):
        assert isinstance(inputs, (list, tuple))
        return self.function(*inputs)


def _raise_invalid_arg(key):
    raise ValueError('Invalid argument "%s" passed to K.function with Theano backend' % key)


def function(inputs, outputs, updates=[], **kwargs):
    if len(kwargs) > 0:
        signature = inspect.signature(theano.function)
        for key in kwargs.keys():
            if key not in signature.parameters:
                _raise_invalid_arg(key)
    return Function(inputs, outputs, updates=updates, **kwargs)


def gradients(loss, variables):
    return T.grad(loss, variables)


def stop_gradient(variables):
    return theano.gradient.disconnected_grad(variables)


def rnn(step_function, inputs, initial_states, go_backwards=False, mask=None, constants=None, unroll=False):
    ndim = inputs.ndim
    axes = [1, 0] + list(range(2, ndim))
    inputs = inputs.dimshuffle(axes)
    if constants is None:
        constants = []
    if mask is not None:
        if mask.ndim == ndim - 1:
            mask = expand_dims(mask)
        mask = mask.dimshuffle(axes)

        def get_matching_mask(mask_t, ref_tensor_t):
            ndim = ref_tensor_t.ndim
            for _ in range(ndim - 2):
                mask_t = expand_dims(mask_t)
            add_shape = ref_tensor_t.shape[1:]
            reps = T.concatenate([[1], add_shape], 0)
            return T.tile(mask_t, reps, ndim=ndim)

        initial_output = step_function(inputs[0], initial_states + constants)[0] * 0
        initial_output = T.unbroadcast(initial_output, 0, 1)
        if len(initial_states) > 0:
            initial_states[0] = T.unbroadcast(initial_states[0], 0, 1)

        def _step(inputs, mask, output_tm1, *states):
            outputs, new_states = step_function(inputs, states)
            output_mask = get_matching_mask(mask, outputs)
            outputs = T.switch(output_mask, outputs, output_tm1)
            return_states = []
            for state, new_state in zip(states, new_states):
                state_mask = get_matching_mask(mask, state)
                return_states.append(T.switch(state_mask, new_state, state))
            return [outputs] + return_states

        results, _ = theano.scan(_step, sequences=[inputs, mask], outputs_info=[initial_output] + initial_states,
                                 non_sequences=constants, go_backwards=go_backwards)
    else:
        if len(initial_states) > 0:
            initial_states[0] = T.unbroadcast(initial_states[0], 0, 1)

        def _step(inputs, *states):
            outputs, new_states = step_function(inputs, states)
            return [outputs] + new_states

        results, _ = theano.scan(_step, sequences=inputs, outputs_info=[None] + initial_states,
                                 non_sequences=constants, go_backwards=go_backwards)
    if isinstance(results, list):
        outputs = results[0]
        states = results[1:]
    else:
        outputs = results
        states = []
    outputs = T.squeeze(outputs)
    last_output = outputs[-1]
    axes = [1, 0] + list(range(2, outputs.ndim))
    outputs = outputs.dimshuffle(axes)
    states = [T.squeeze(state[-1]) for state in states]
    return last_output, outputs, states


def switch(condition, then_expression, else_expression):
    if callable(then_expression):
        then_expression = then_expression()
    if callable(else_expression):
        else_expression = else_expression()
    cond_ndim = condition.ndim if hasattr(condition, 'ndim') else 0
    if cond_ndim < then_expression.ndim:
        for _ in range(then_expression.ndim - cond_ndim):
            condition = expand_dims(condition)
    return T.switch(condition, then_expression, else_expression)


def in_train_phase(x, alt, training=None):
    if training is None:
        training = learning_phase()
        uses_learning_phase = True
    else:
        uses_learning_phase = False
    if training is True:
        return x() if callable(x) else x
    elif training is False:
        return alt() if callable(alt) else alt
    if callable(x):
        x = x()
    if callable(alt):
        alt = alt()
    x = ifelse(training, x, alt)
    if uses_learning_phase:
        x._uses_learning_phase = True
    return x


def normalize_batch_in_training(x, gamma, beta, reduction_axes, epsilon=1e-3):
    dev = theano.config.device
    use_cudnn = x.ndim < 5 and reduction_axes == [0, 2, 3] and (dev.startswith('cuda') or dev.startswith('gpu'))
    assert not use_cudnn
    broadcast_shape = [x.shape[i] if i not in reduction_axes else 1 for i in range(x.ndim)]
    try:
        normed, mean, stdinv = T.nnet.bn.batch_normalization_train(
            x, gamma.reshape(broadcast_shape), beta.reshape(broadcast_shape), tuple(reduction_axes), epsilon)
        return normed, T.flatten(mean), T.flatten(1 / T.sqr(stdinv))
    except AttributeError:
        raise


def batch_normalization(x, mean, var, beta, gamma, epsilon=1e-3):
    ndim = x.ndim
    axis = 1
    shuffle_pattern = ['x'] * ndim
    shuffle_pattern[axis] = 0
    return T.nnet.bn.batch_normalization_test(
        x, gamma.dimshuffle(shuffle_pattern), beta.dimshuffle(shuffle_pattern), mean.dimshuffle(shuffle_pattern),
        var.dimshuffle(shuffle_pattern), 'spatial' if ndim == 4 else (0,) + tuple(range(2, ndim)), epsilon)


def relu(x, alpha=0., max_value=None):
    x = T.nnet.relu(x, alpha)
    if max_value is not None:
        x = T.minimum(x, max_value)
    return x


def categorical_crossentropy(target, output, from_logits=False):
    if from_logits:
        output = T.nnet.softmax(output)
    else:
        output /= output.sum(axis=-1, keepdims=True)
    output = T.clip(output, epsilon(), 1.0 - epsilon())
    return T.nnet.categorical_crossentropy(output, target)


def sparse_categorical_crossentropy(target, output, from_logits=False):
    target = T.cast(T.flatten(target), 'int32')
    target = T.extra_ops.to_one_hot(target, nb_class=output.shape[-1])
    target = T.reshape(target, output.shape)
    return categorical_crossentropy(target, output, from_logits)


def binary_crossentropy(target, output, from_logits=False):
    if from_logits:
        output = T.nnet.sigmoid(output)
    output = T.clip(output, epsilon(), 1.0 - epsilon())
    return T.nnet.binary_crossentropy(output, target)


def dropout(x, level, noise_shape=None, seed=None):
    rng = RandomStreams(seed=seed)
    retain_prob = 1. - level
    if noise_shape is None:
        random_tensor = rng.binomial(x.shape, p=retain_prob, dtype=x.dtype)
    else:
        random_tensor = rng.binomial(noise_shape, p=retain_prob, dtype=x.dtype)
        random_tensor = T.patternbroadcast(random_tensor, [dim == 1 for dim in noise_shape])
    x *= random_tensor
    x /= retain_prob
    return x


def l2_normalize(x, axis=None):
    square_sum = T.sum(T.square(x), axis=axis, keepdims=True)
    norm = T.sqrt(T.maximum(square_sum, epsilon()))
    return x / norm


def _preprocess_border_mode(padding):
    return {'same': 'half', 'valid': 'valid', 'full': 'full'}[padding]


def conv2d(x, kernel, strides=(1, 1), padding='valid', image_shape=None, filter_shape=None, dilation_rate=(1, 1)):
    kernel = kernel.dimshuffle((3, 2, 0, 1))
    conv_out = T.nnet.conv2d(x, kernel, border_mode=_preprocess_border_mode(padding), subsample=strides,
                             input_shape=image_shape, filter_shape=filter_shape, filter_dilation=dilation_rate)
    if padding == 'same':
        if filter_shape is None or filter_shape[2] % 2 == 0:
            conv_out = conv_out[:, :, :(x.shape[2] + strides[0] - 1) // strides[0], :]
        if filter_shape is None or filter_shape[3] % 2 == 0:
            conv_out = conv_out[:, :, :, :(x.shape[3] + strides[1] - 1) // strides[1]]
    return conv_out


def conv2d_transpose(x, kernel, output_shape, strides=(1, 1), padding='valid', kernel_shape=None):
    flip_filters = False
    kernel = kernel.dimshuffle((3, 2, 0, 1))
    op = T.nnet.abstract_conv.AbstractConv2d_gradInputs(
        imshp=None, kshp=kernel_shape, subsample=strides, border_mode=_preprocess_border_mode(padding),
        filter_flip=not flip_filters)
    return op(kernel, x, output_shape[2:])


def conv3d(x, kernel, strides=(1, 1, 1), padding='valid', dilation_rate=(1, 1, 1)):
    kernel = kernel.dimshuffle((4, 3, 0, 1, 2))
    return T.nnet.conv3d(x, kernel, border_mode=_preprocess_border_mode(padding), subsample=strides, input_shape=None,
                         filter_shape=None, filter_dilation=dilation_rate)


def pool2d(x, pool_size, strides=(1, 1), padding='valid', pool_mode='max'):
    assert pool_size[0] >= 1 and pool_size[1] >= 1
    if padding == 'same':
        w_pad = pool_size[0] - 2 if pool_size[0] > 2 and pool_size[0] % 2 == 1 else pool_size[0] - 1
        h_pad = pool_size[1] - 2 if pool_size[1] > 2 and pool_size[1] % 2 == 1 else pool_size[1] - 1
        pad = (w_pad, h_pad)
    else:
        pad = (0, 0)
    mode = {'max': 'max', 'avg': 'average_exc_pad'}[pool_mode]
    try:
        pool_out = pool.pool_2d(x, ws=pool_size, stride=strides, ignore_border=True, pad=pad, mode=mode)
    except TypeError:
        pool_out = pool.pool_2d(x, ds=pool_size, st=strides, ignore_border=True, padding=pad, mode=mode)
    if padding == 'same':
        expected_width = (x.shape[2] + strides[0] - 1) // strides[0]
        expected_height = (x.shape[3] + strides[1] - 1) // strides[1]
        pool_out = pool_out[:, :, :expected_width, :expected_height]
    return pool_out


def pool3d(x, pool_size, strides=(1, 1, 1), pool_mode='max'):
    output = pool.pool_2d(input=x.dimshuffle(0, 1, 4, 3, 2), ws=(pool_size[1], pool_size[0]),
                          stride=(strides[1], strides[0]), ignore_border=True, mode=pool_mode)
    out2 = pool.pool_2d(input=output.dimshuffle(0, 1, 4, 3, 2), ws=(1, pool_size[2]), stride=(1, strides[2]),
                        ignore_border=True, mode=pool_mode)
    return out2


def random_binomial(shape, p=0.0, dtype=None, seed=None):
    rng = RandomStreams(seed=seed)
    return rng.binomial(shape, p=p, dtype=dtype or floatx())


def truncated_normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
    rng = RandomStreams(seed=seed)
    normal_tensor = rng.normal(size=shape, avg=mean, std=stddev, dtype=dtype or floatx())
    return T.clip(normal_tensor, mean - 2 * stddev, mean + 2 * stddev)


# ---- the cost of sequences, by a recurrence over positions ----

def ctc_interleave_blanks(Y):
    Y_ = T.alloc(-1, Y.shape[0] * 2 + 1)
    Y_ = T.set_subtensor(Y_[T.arange(Y.shape[0]) * 2 + 1], Y)
    return Y_


def ctc_create_skip_idxs(Y):
    skip_idxs = T.arange((Y.shape[0] - 3) // 2) * 2 + 1
    non_repeats = T.neq(Y[skip_idxs], Y[skip_idxs + 2])
    return skip_idxs[non_repeats.nonzero()]


def ctc_update_log_p(skip_idxs, zeros, active, log_p_curr, log_p_prev):
    active_skip_idxs = skip_idxs[(skip_idxs < active).nonzero()]
    active_next = T.cast(T.minimum(T.maximum(active + 1, T.max(T.concatenate([active_skip_idxs, [-1]])) + 2 + 1),
                                   log_p_curr.shape[0]), 'int32')
    common_factor = T.max(log_p_prev[:active])
    p_prev = T.exp(log_p_prev[:active] - common_factor)
    _p_prev = zeros[:active_next]
    _p_prev = T.set_subtensor(_p_prev[:active], p_prev)
    _p_prev = T.inc_subtensor(_p_prev[1:], _p_prev[:-1])
    p_prev = T.inc_subtensor(_p_prev[active_skip_idxs + 2], p_prev[active_skip_idxs])
    updated_log_p_prev = T.log(p_prev) + common_factor
    log_p_next = T.set_subtensor(zeros[:active_next], log_p_curr[:active_next] + updated_log_p_prev)
    return active_next, log_p_next


def ctc_path_probs(predict, Y, alpha=1e-4):
    smoothed_predict = (1 - alpha) * predict[:, Y] + alpha * np.float32(1.) / Y.shape[0]
    L = T.log(smoothed_predict)
    zeros = T.zeros_like(L[0])
    log_first = zeros
    f_skip_idxs = ctc_create_skip_idxs(Y)
    b_skip_idxs = ctc_create_skip_idxs(Y[::-1])

    def step(log_f_curr, log_b_curr, f_active, log_f_prev, b_active, log_b_prev):
        f_active_next, log_f_next = ctc_update_log_p(f_skip_idxs, zeros, f_active, log_f_curr, log_f_prev)
        b_active_next, log_b_next = ctc_update_log_p(b_skip_idxs, zeros, b_active, log_b_curr, log_b_prev)
        return f_active_next, log_f_next, b_active_next, log_b_next

    [f_active, log_f_probs, b_active, log_b_probs], _ = theano.scan(
        step, sequences=[L, L[::-1, ::-1]], outputs_info=[np.int32(1), log_first, np.int32(1), log_first])
    idxs = T.arange(L.shape[1]).dimshuffle('x', 0)
    mask = (idxs < f_active.dimshuffle(0, 'x')) & (idxs < b_active.dimshuffle(0, 'x'))[::-1, ::-1]
    log_probs = log_f_probs + log_b_probs[::-1, ::-1] - L
    return log_probs, mask


def ctc_cost(predict, Y):
    log_probs, mask = ctc_path_probs(predict, ctc_interleave_blanks(Y))
    common_factor = T.max(log_probs)
    total_log_prob = T.log(T.sum(T.exp(log_probs - common_factor)[mask.nonzero()])) + common_factor
    return -(total_log_prob - T.log(log_probs.shape[0].astype(floatx())))  # each step tells the whole probability


def ctc_batch_cost(y_true, y_pred, input_length, label_length):
    def ctc_step(y_true_step, y_pred_step, input_length_step, label_length_step):
        y_pred_step = y_pred_step[0: input_length_step[0]]
        y_true_step = y_true_step[0:label_length_step[0]]
        return ctc_cost(y_pred_step, y_true_step)

    ret, _ = theano.scan(fn=ctc_step, outputs_info=None, sequences=[y_true, y_pred, input_length, label_length])
    ret = ret.dimshuffle('x', 0)
    return ret


def map_fn(fn, elems, name=None):
    return theano.map(fn, elems, name=name)[0]


def foldl(fn, elems, initializer=None):
    if initializer is None:
        initializer = elems[0]
        elems = elems[1:]
    fn2 = lambda x, acc: fn(acc, x)
    return theano.foldl(fn2, elems, initializer)[0]


# ---- checks ----


def close(found, wanted, tolerance=1e-4):
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


def check_basics():
    v = np.random.rand(3, 4).astype('float32')
    x = variable(v, name='x')
    assert x.name == '/x' and x._keras_shape == (3, 4) and eval(x).dtype == np.float32
    with name_scope('outer'):
        assert variable(1.0, name='w').name == 'outer/w'
    p = placeholder(shape=(None, 4))
    assert is_placeholder(p) and int_shape(p) == (None, 4)
    f = function([p], [p * 2, expand_dims(p).shape, expand_dims(p, 0).shape, squeeze(expand_dims(p, 1), 1)],
                 name='f', profile=False)
    doubled, last, first, same = f([v])
    close(doubled, 2 * v)
    assert (tuple(last), tuple(first), same.shape) == ((3, 4, 1), (1, 3, 4), (3, 4))
    try:
        function([p], p, feed_dict=3)
        raise AssertionError()
    except ValueError:
        pass
    close(eval(logsumexp(x, axis=1)), np.log(np.exp(v).sum(1)))
    close(eval(std(x, axis=0, keepdims=True)), v.std(0, keepdims=True))
    close(eval(repeat(x, 3)), np.repeat(v[:, None], 3, 1))
    close(eval(reverse(x, (0, -1))), v[::-1, ::-1])
    close(eval(one_hot(T.constant(np.array([[0, 2], [1, 1]])), 3)), np.eye(3)[[[0, 2], [1, 1]]])
    close(eval(gather(x, T.constant(np.array([2, 0])))), v[[2, 0]])
    close(eval(T.extra_ops.cumsum(x, axis=1)), v.cumsum(1))
    close(eval(T.extra_ops.cumprod(x, axis=0)), v.cumprod(0))
    close(eval(batch_flatten(variable(np.ones((2, 3, 4))))), np.ones((2, 12)))
    close(eval(temporal_padding(variable(np.ones((1, 2, 1))), (1, 2)))[0, :, 0], [0, 1, 1, 0, 0])
    close(eval(spatial_2d_padding(variable(np.ones((1, 1, 2, 2))))).sum(), 4)
    close(eval(resize_images(variable(np.ones((1, 1, 2, 3))), 2, 3)).shape, (1, 1, 4, 9))
    close(eval(T_softsign(x)), v / (1 + v))
    close(eval(T_softsign_of_nnet(x)), v / (1 + v))
    close(eval(relu(x - 0.5, 0.1, 0.3)), np.minimum(np.where(v > 0.5, v - 0.5, 0.1 * (v - 0.5)), 0.3))
    close(eval(l2_normalize(x, axis=-1)), v / np.linalg.norm(v, axis=-1, keepdims=True))
    a, b = np.random.rand(2, 3, 4), np.random.rand(2, 4, 5)
    close(eval(batch_dot(variable(a), variable(b))), np.matmul(a, b))
    close(eval(batch_dot(variable(a), variable(a), axes=2)), np.matmul(a, a.transpose(0, 2, 1)))
    close(eval(in_top_k(x, T.constant(np.array([0, 1, 2])), 4)), [1, 1, 1])
    close(eval(map_fn(lambda r: r.sum(), x)), v.sum(1))
    close(eval(foldl(lambda acc, r: acc + r, x)), v.sum(0))
    close(eval(Print('quiet', global_fn=lambda op, value: None)(x)), v)
    assert eval(constant(2, shape=(2, 2))).tolist() == [[2, 2], [2, 2]]
    batch_set_value([(x, v + 1)])
    close(get_value(x), v + 1)
    x._uses_learning_phase = True
    grads = gradients(T.sum(T.square(stop_gradient(x) * x)), [x])
    close(function([], grads)([])[0], 2 * (v + 1) ** 3)


def check_training_phase():
    x = placeholder((None, 5))
    noisy = in_train_phase(dropout(x, 0.5, seed=3), x)
    assert noisy._uses_learning_phase
    f = function([x, learning_phase()], [noisy])
    ones = np.ones((40, 5))
    (kept,), (plain,) = f([ones, 1]), f([ones, 0])
    assert set(np.unique(kept)) == {0, 2}
    close(plain, ones)
    close(eval(dropout(variable(np.ones((6, 3))), 0.5, noise_shape=(6, 1), seed=1)).std(axis=1), np.zeros(6))
    assert abs(eval(truncated_normal((200,), seed=2))).max() <= 2
    assert set(eval(random_binomial((50,), 0.5, seed=1))) == {0, 1}


def check_images():
    x, kernel = np.random.rand(2, 3, 7, 8), np.random.rand(3, 3, 3, 4)
    from scipy.signal import convolve2d
    want = np.array([[sum(convolve2d(im[c], kernel[:, :, c, k], mode='same') for c in range(3)) for k in range(4)]
                     for im in x])
    close(eval(conv2d(variable(x), variable(kernel), padding='same')), want, 1e-3)
    close(eval(conv2d(variable(x), variable(kernel), padding='same', filter_shape=(4, 3, 3, 3))), want, 1e-3)
    close(eval(conv2d(variable(x), variable(kernel), strides=(2, 2), padding='same')).shape, (2, 4, 4, 4))
    close(eval(conv2d(variable(x), variable(kernel), dilation_rate=(2, 2))).shape, (2, 4, 3, 4))
    even = np.random.rand(2, 4, 3, 4)
    assert eval(conv2d(variable(x), variable(even), padding='same')).shape == (2, 4, 7, 8)
    up = eval(conv2d_transpose(variable(np.random.rand(2, 3, 4, 4)), variable(np.random.rand(3, 3, 5, 3)),
                               (2, 5, 8, 8), strides=(2, 2), padding='same'))
    assert up.shape == (2, 5, 8, 8)
    assert eval(conv3d(variable(np.random.rand(1, 2, 5, 5, 5)), variable(np.random.rand(2, 3, 2, 2, 4)),
                       strides=(1, 2, 1))).shape == (1, 4, 4, 2, 4)
    for mode in ('max', 'avg'):
        for padding, shape in (('valid', (2, 3, 3, 3)), ('same', (2, 3, 4, 4))):
            assert eval(pool2d(variable(x), (3, 3), (2, 2), padding, mode)).shape == shape, (mode, padding)
    assert eval(pool3d(variable(np.random.rand(1, 2, 4, 4, 4)), (2, 2, 2), (2, 2, 2))).shape == (1, 2, 2, 2, 2)
    gamma, beta = variable(np.random.rand(3)), variable(np.random.rand(3))
    normed, mean, var = normalize_batch_in_training(variable(x), gamma, beta, [0, 2, 3])
    close(eval(mean), x.mean((0, 2, 3)))
    close(eval(var), x.var((0, 2, 3)) + 1e-3, 1e-3)
    again = batch_normalization(variable(x), variable(x.mean((0, 2, 3))), variable(x.var((0, 2, 3))), beta, gamma)
    close(eval(normed), eval(again), 1e-3)


def check_recurrent():
    np.random.seed(0)
    inputs, W, U = np.random.rand(3, 4, 2), np.random.rand(2, 5) - .5, np.random.rand(5, 5) - .5
    W_var, U_var = variable(W), variable(U)

    def step(x, states):
        h = T.tanh(dot(x, W_var) + dot(states[0], U_var))
        return h, [h]

    x = placeholder(ndim=3)
    initial = [T.zeros((x.shape[0], 5))]
    last, outputs, states = rnn(step, x, list(initial))
    h = np.zeros((3, 5))
    all_h = []
    for t in range(4):
        h = np.tanh(inputs[:, t].dot(W) + h.dot(U))
        all_h.append(h)
    found = function([x], [last, outputs, states[0]])([inputs])
    close(found[0], h)
    close(found[1], np.array(all_h).transpose(1, 0, 2))
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 1, 0]])
    m = placeholder(ndim=2, dtype='uint8')
    last, outputs, states = rnn(step, x, list(initial), mask=m)
    grads = gradients(T.sum(last ** 2), [W_var, U_var])
    masked = function([x, m], [last, outputs] + grads)([inputs, mask])
    close(masked[0][1], found[1][1, 1])
    close(masked[0][0], found[0][0])
    step_size = 1e-2
    sums = []
    for sign in (1, -1):
        bumped = W.copy()
        bumped[0, 1] += sign * step_size
        W_var.set_value(bumped.astype('float32'))
        sums.append((function([x, m], [last])([inputs, mask])[0] ** 2).sum())
    close(masked[2][0, 1], (sums[0] - sums[1]) / (2 * step_size), 1e-2)
    backwards = rnn(step, x, list(initial), go_backwards=True)[0]
    assert function([x], [backwards])([inputs])[0].shape == (3, 5)


def check_costs():
    p = np.random.dirichlet(np.ones(4), 5)
    t = np.eye(4)[[0, 1, 2, 3, 0]]
    close(eval(categorical_crossentropy(variable(t), variable(p))), -np.log((p * t).sum(1)))
    close(eval(sparse_categorical_crossentropy(variable([0, 1, 2, 3, 0]), variable(p))), -np.log((p * t).sum(1)))
    close(eval(binary_crossentropy(variable(t), variable(p))), -(t * np.log(p) + (1 - t) * np.log(1 - p)), 1e-3)
    y_pred = np.array([[[.3, .4, .3], [.2, .6, .2], [.5, .1, .4], [.1, .2, .7]]], 'float32')
    y_true = np.array([[0, 1]], 'int32')
    cost = ctc_batch_cost(T.constant(y_true), variable(y_pred), T.constant(np.array([[4]], 'int32')),
                          T.constant(np.array([[2]], 'int32')))
    total = 0  # over all paths that are read as 0, 1
    for path in np.ndindex(3, 3, 3, 3):
        read = [s for n, s in enumerate(path) if n == 0 or s != path[n - 1]]
        if [s for s in read if s != 2] == [0, 1]:
            total += np.prod([y_pred[0, n, s] for n, s in enumerate(path)])
    close(eval(cost)[0, 0], -np.log(total), 1e-2)


def check_sparse():
    from scipy import sparse
    m = sparse.random(4, 5, 0.4, format='csr', random_state=1, dtype='float32')
    w = np.random.rand(5, 3)
    x = placeholder(ndim=2, sparse=True)
    assert is_sparse(x)
    f = function([x], [dot(x, variable(w)), to_dense(x)])
    product, dense = f([m])
    close(product, m.toarray().dot(w))
    close(dense, m.toarray())
    close(eval(to_dense(concatenate([variable(m), variable(m)], axis=0))), np.vstack([m.toarray()] * 2))
    close(eval(to_dense(concatenate([variable(m), variable(m)], axis=1))), np.hstack([m.toarray()] * 2))


def main():
    check_basics()
    check_training_phase()
    check_images()
    check_recurrent()
    check_costs()
    check_sparse()


if __name__ == '__main__':
    main()
