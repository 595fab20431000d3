"""Layers with parameter tags, regularisers, optimisers and initialisers, in the manner of a small layer library."""

from collections import OrderedDict
from difflib import get_close_matches
import pickle
import warnings

import numpy as np

import theano
import theano.tensor as T
from theano.sandbox.rng_mrg import MRG_RandomStreams as RandomStreams
from theano.tensor.signal import pool as _pool

_rng = np.random


def floatX(arr):
    return np.asarray(arr, dtype=theano.config.floatX)


def shared_empty(dim=2, dtype=None):
    if dtype is None:
        dtype = theano.config.floatX
    shp = tuple([1] * dim)
    return theano.shared(np.zeros(shp, dtype=dtype))


def as_theano_expression(input):
    if isinstance(input, theano.gof.Variable):
        return input
    else:
        try:
            return theano.tensor.as_tensor_variable(input)
        except Exception as e:
            raise TypeError("Input of type %s is not a Theano expression and cannot be wrapped as a Theano constant "
                            "(original exception: %s)" % (type(input), e))


def collect_shared_vars(expressions):
    if isinstance(expressions, theano.Variable):
        expressions = [expressions]
    return [v for v in theano.gof.graph.inputs(reversed(expressions))
            if isinstance(v, theano.compile.SharedVariable)]


def create_param(spec, shape, name=None):
    shape = tuple(shape)
    if any(d <= 0 for d in shape):
        raise ValueError("Cannot create param with a non-positive shape dimension. Tried to create param with shape=%r, "
                         "name=%r" % (shape, name))
    err_prefix = "cannot initialize parameter %s: " % name
    if callable(spec):
        spec = spec(shape)
        err_prefix += "the %s returned by the provided callable"
    else:
        err_prefix += "the provided %s"
    if isinstance(spec, (float, int, np.number, np.generic)):
        spec = floatX(spec)
    if isinstance(spec, np.ndarray):
        if spec.shape != shape:
            raise ValueError("%s has shape %s, should be %s" % (err_prefix % "numpy array", spec.shape, shape))
        bcast = tuple(s == 1 for s in shape)
        spec = theano.shared(spec, broadcastable=bcast)
    if isinstance(spec, theano.Variable):
        if spec.ndim != len(shape):
            raise ValueError("%s has %d dimensions, should be %d" % (err_prefix % "Theano variable", spec.ndim, len(shape)))
        if name:
            spec.name = name
        return spec
    raise TypeError("not a numpy array or a Theano expression")


class GlorotUniform(object):
    def __call__(self, shape):
        n1, n2 = shape[:2]
        receptive_field_size = np.prod(shape[2:])
        std = np.sqrt(2.0 / ((n1 + n2) * receptive_field_size))
        return floatX(_rng.uniform(low=-np.sqrt(3) * std, high=np.sqrt(3) * std, size=shape))


class Layer(object):
    def __init__(self, incoming, name=None):
        if isinstance(incoming, tuple):
            self.input_shape = incoming
            self.input_layer = None
        else:
            self.input_shape = incoming.output_shape
            self.input_layer = incoming
        self.name = name
        self.params = OrderedDict()

    @property
    def output_shape(self):
        shape = self.get_output_shape_for(self.input_shape)
        if any(isinstance(s, T.Variable) for s in shape):
            raise ValueError("%s returned a symbolic output shape from its get_output_shape_for() method: %r" % (
                self.__class__.__name__, shape))
        return shape

    def get_output_shape_for(self, input_shape):
        return input_shape

    def get_output_for(self, input, **kwargs):
        raise NotImplementedError

    def add_param(self, spec, shape, name=None, **tags):
        if name is not None and self.name is not None:
            name = "%s.%s" % (self.name, name)
        param = create_param(spec, shape, name)
        tags['trainable'] = tags.get('trainable', True)
        tags['regularizable'] = tags.get('regularizable', True)
        self.params[param] = set(tag for tag, value in tags.items() if value)
        return param

    def get_params(self, unwrap_shared=True, **tags):
        result = list(self.params.keys())
        only = set(tag for tag, value in tags.items() if value)
        if only:
            result = [param for param in result if not (only - self.params[param])]
        exclude = set(tag for tag, value in tags.items() if not value)
        if exclude:
            result = [param for param in result if not (self.params[param] & exclude)]
        if unwrap_shared:
            return collect_shared_vars(result)
        else:
            return result


class InputLayer(Layer):
    def __init__(self, shape, input_var=None, name=None):
        self.shape = tuple(shape)
        self.name = name
        ndim = len(self.shape)
        if input_var is None:
            input_var_type = T.TensorType(theano.config.floatX, [s == 1 for s in self.shape])
            var_name = ("%s.input" % name) if name is not None else "input"
            input_var = input_var_type(var_name)
        elif input_var.ndim != ndim:
            raise ValueError("shape has %d dimensions, but variable has %d" % (ndim, input_var.ndim))
        self.input_var = input_var
        self.input_layer = None
        self.params = OrderedDict()

    @property
    def output_shape(self):
        return self.shape


class DenseLayer(Layer):
    def __init__(self, incoming, num_units, W=GlorotUniform(), b=0., nonlinearity=T.nnet.relu, num_leading_axes=1,
                 **kwargs):
        super(DenseLayer, self).__init__(incoming, **kwargs)
        self.nonlinearity = nonlinearity
        self.num_units = num_units
        num_inputs = int(np.prod(self.input_shape[num_leading_axes:]))
        self.num_leading_axes = num_leading_axes
        self.W = self.add_param(W, (num_inputs, num_units), name="W")
        self.b = None if b is None else self.add_param(
            (lambda shape: np.full(shape, b, theano.config.floatX)), (num_units,), name="b", regularizable=False)

    def get_output_shape_for(self, input_shape):
        return input_shape[:self.num_leading_axes] + (self.num_units,)

    def get_output_for(self, input, **kwargs):
        if input.ndim > self.num_leading_axes + 1:
            input = input.flatten(self.num_leading_axes + 1)
        activation = T.dot(input, self.W)
        if self.b is not None:
            activation = activation + self.b
        return self.nonlinearity(activation)


class Conv2DLayer(Layer):
    def __init__(self, incoming, num_filters, filter_size, stride=(1, 1), pad=0, nonlinearity=T.nnet.relu,
                 flip_filters=True, convolution=T.nnet.conv2d, **kwargs):
        super(Conv2DLayer, self).__init__(incoming, **kwargs)
        self.num_filters, self.filter_size, self.stride = num_filters, filter_size, stride
        self.pad = pad if isinstance(pad, str) else (pad, pad)
        self.nonlinearity, self.flip_filters, self.convolution = nonlinearity, flip_filters, convolution
        self.W = self.add_param(GlorotUniform(), (num_filters, self.input_shape[1]) + filter_size, name="W")
        self.b = self.add_param(lambda shape: floatX(np.zeros(shape)), (num_filters,), name="b", regularizable=False)

    def get_output_shape_for(self, input_shape):
        pad = ('full' if self.pad == 'full' else 'same' if self.pad == 'same' else self.pad)
        spatial = []
        for n, f, s, axis in zip(input_shape[2:], self.filter_size, self.stride, range(2)):
            if pad == 'full':
                length = n + f - 1
            elif pad == 'same':
                length = n
            else:
                length = n + 2 * pad[axis] - f + 1
            spatial.append((length + s - 1) // s)
        return (input_shape[0], self.num_filters) + tuple(spatial)

    def get_output_for(self, input, **kwargs):
        border_mode = 'half' if self.pad == 'same' else self.pad
        conved = self.convolution(input, self.W, self.input_shape, self.W.get_value().shape, subsample=self.stride,
                                  border_mode=border_mode, filter_flip=self.flip_filters)
        return self.nonlinearity(conved + T.shape_padright(self.b, 2))


class Pool2DLayer(Layer):
    def __init__(self, incoming, pool_size, stride=None, pad=(0, 0), ignore_border=True, mode='max', **kwargs):
        super(Pool2DLayer, self).__init__(incoming, **kwargs)
        self.pool_size, self.stride, self.pad = pool_size, pool_size if stride is None else stride, pad
        self.ignore_border, self.mode = ignore_border, mode

    def get_output_shape_for(self, input_shape):
        return tuple(_pool.Pool.out_shape(input_shape, self.pool_size, ignore_border=self.ignore_border,
                                          stride=self.stride, pad=self.pad))

    def get_output_for(self, input, **kwargs):
        return _pool.pool_2d(input, ws=self.pool_size, stride=self.stride, ignore_border=self.ignore_border, pad=self.pad,
                             mode=self.mode)


class DropoutLayer(Layer):
    def __init__(self, incoming, p=0.5, rescale=True, shared_axes=(), **kwargs):
        super(DropoutLayer, self).__init__(incoming, **kwargs)
        self._srng = RandomStreams(_rng.randint(1, 2147462579))
        self.p = p
        self.rescale = rescale
        self.shared_axes = tuple(shared_axes)

    def get_output_for(self, input, deterministic=False, **kwargs):
        if deterministic or self.p == 0:
            return input
        one = T.constant(1)
        retain_prob = one - self.p
        if self.rescale:
            input /= retain_prob
        mask_shape = self.input_shape
        if any(s is None for s in mask_shape):
            mask_shape = input.shape
        if self.shared_axes:
            shared_axes = tuple(a if a >= 0 else a + input.ndim for a in self.shared_axes)
            mask_shape = tuple(1 if a in shared_axes else s for a, s in enumerate(mask_shape))
        mask = self._srng.binomial(mask_shape, p=retain_prob, dtype=input.dtype)
        if self.shared_axes:
            bcast = tuple(bool(s == 1) for s in mask_shape)
            mask = T.patternbroadcast(mask, bcast)
        return input * mask


class BatchNormLayer(Layer):
    def __init__(self, incoming, axes='auto', epsilon=1e-4, alpha=0.1, **kwargs):
        super(BatchNormLayer, self).__init__(incoming, **kwargs)
        if axes == 'auto':
            axes = (0,) + tuple(range(2, len(self.input_shape)))
        self.axes, self.epsilon, self.alpha = axes, epsilon, alpha
        shape = [size for axis, size in enumerate(self.input_shape) if axis not in self.axes]
        zeros, ones = (lambda s: floatX(np.zeros(s))), (lambda s: floatX(np.ones(s)))
        self.beta = self.add_param(zeros, shape, 'beta', trainable=True, regularizable=False)
        self.gamma = self.add_param(ones, shape, 'gamma', trainable=True, regularizable=True)
        self.mean = self.add_param(zeros, shape, 'mean', trainable=False, regularizable=False)
        self.inv_std = self.add_param(ones, shape, 'inv_std', trainable=False, regularizable=False)

    def get_output_for(self, input, deterministic=False, batch_norm_use_averages=None, batch_norm_update_averages=None,
                       **kwargs):
        input_mean = input.mean(self.axes)
        input_inv_std = T.inv(T.sqrt(input.var(self.axes) + self.epsilon))
        use_averages = deterministic if batch_norm_use_averages is None else batch_norm_use_averages
        mean, inv_std = (self.mean, self.inv_std) if use_averages else (input_mean, input_inv_std)
        update_averages = not deterministic if batch_norm_update_averages is None else batch_norm_update_averages
        if update_averages:
            running_mean = theano.clone(self.mean, share_inputs=False)
            running_inv_std = theano.clone(self.inv_std, share_inputs=False)
            running_mean.default_update = ((1 - self.alpha) * running_mean + self.alpha * input_mean)
            running_inv_std.default_update = ((1 - self.alpha) * running_inv_std + self.alpha * input_inv_std)
            mean += 0 * running_mean
            inv_std += 0 * running_inv_std
        param_axes = iter(range(input.ndim - len(self.axes)))
        pattern = ['x' if input_axis in self.axes else next(param_axes) for input_axis in range(input.ndim)]
        beta = 0 if self.beta is None else self.beta.dimshuffle(pattern)
        gamma = 1 if self.gamma is None else self.gamma.dimshuffle(pattern)
        mean = mean.dimshuffle(pattern)
        inv_std = inv_std.dimshuffle(pattern)
        return (input - mean) * (gamma * inv_std) + beta


class GRULayer(Layer):
    def __init__(self, incoming, num_units, backwards=False, only_return_final=False, grad_clipping=0, unroll_scan=False,
                 mask_var=None, **kwargs):
        super(GRULayer, self).__init__(incoming, **kwargs)
        self.num_units, self.backwards, self.only_return_final = num_units, backwards, only_return_final
        self.grad_clipping, self.mask_var = grad_clipping, mask_var
        num_inputs = int(np.prod(self.input_shape[2:]))
        gates = ('resetgate', 'updategate', 'hidden_update')
        self.W_in = [self.add_param(GlorotUniform(), (num_inputs, num_units), 'W_in_to_' + g) for g in gates]
        self.W_hid = [self.add_param(GlorotUniform(), (num_units, num_units), 'W_hid_to_' + g) for g in gates]
        self.b = [self.add_param(lambda s: floatX(np.zeros(s)), (num_units,), 'b_' + g, regularizable=False)
                  for g in gates]
        self.hid_init = self.add_param(lambda s: floatX(np.zeros(s)), (1, num_units), 'hid_init', trainable=False)

    def get_output_shape_for(self, input_shape):
        if self.only_return_final:
            return input_shape[0], self.num_units
        return input_shape[0], input_shape[1], self.num_units

    def get_output_for(self, input, **kwargs):
        if input.ndim > 3:
            input = T.flatten(input, 3)
        input = input.dimshuffle(1, 0, 2)
        seq_len, num_batch, _ = input.shape
        W_in_stacked = T.concatenate(self.W_in, axis=1)
        W_hid_stacked = T.concatenate(self.W_hid, axis=1)
        b_stacked = T.concatenate(self.b, axis=0)
        input = T.dot(input, W_in_stacked) + b_stacked

        def slice_w(x, n):
            return x[:, n * self.num_units:(n + 1) * self.num_units]

        def step(input_n, hid_previous, *args):
            hid_input = T.dot(hid_previous, W_hid_stacked)
            if self.grad_clipping:
                input_n = theano.gradient.grad_clip(input_n, -self.grad_clipping, self.grad_clipping)
                hid_input = theano.gradient.grad_clip(hid_input, -self.grad_clipping, self.grad_clipping)
            resetgate = T.nnet.sigmoid(slice_w(hid_input, 0) + slice_w(input_n, 0))
            updategate = T.nnet.sigmoid(slice_w(hid_input, 1) + slice_w(input_n, 1))
            hidden_update = T.tanh(slice_w(input_n, 2) + resetgate * slice_w(hid_input, 2))
            return (1 - updategate) * hid_previous + updategate * hidden_update

        def step_masked(input_n, mask_n, hid_previous, *args):
            hid = step(input_n, hid_previous, *args)
            return T.switch(mask_n, hid, hid_previous)

        if self.mask_var is not None:
            sequences = [input, self.mask_var.dimshuffle(1, 0, 'x')]
            step_fun = step_masked
        else:
            sequences = [input]
            step_fun = step
        hid_init = T.dot(T.ones((num_batch, 1)), self.hid_init)
        hid_out = theano.scan(fn=step_fun, sequences=sequences, go_backwards=self.backwards, outputs_info=[hid_init],
                              non_sequences=[W_hid_stacked], truncate_gradient=-1, strict=True)[0]
        if self.only_return_final:
            return hid_out[-1]
        hid_out = hid_out.dimshuffle(1, 0, 2)
        if self.backwards:
            hid_out = hid_out[:, ::-1]
        return hid_out


class EmbeddingLayer(Layer):
    def __init__(self, incoming, input_size, output_size, **kwargs):
        super(EmbeddingLayer, self).__init__(incoming, **kwargs)
        self.output_size = output_size
        self.W = self.add_param(GlorotUniform(), (input_size, output_size), name="W")

    def get_output_shape_for(self, input_shape):
        return input_shape + (self.output_size,)

    def get_output_for(self, input, **kwargs):
        return self.W[input]


def get_all_layers(layer):
    found = []
    while layer is not None:
        found.insert(0, layer)
        layer = layer.input_layer
    return found


def get_output(layer, inputs=None, **kwargs):
    value = None
    for one in get_all_layers(layer):
        if isinstance(one, InputLayer):
            value = one.input_var if inputs is None else as_theano_expression(inputs)
        else:
            value = one.get_output_for(value, **kwargs)
    return value


def get_all_params(layer, **tags):
    return [p for one in get_all_layers(layer) for p in one.get_params(**tags)]


def get_or_compute_grads(loss_or_grads, params):
    if any(not isinstance(p, theano.compile.SharedVariable) for p in params):
        raise ValueError("params must contain shared variables only. If it contains arbitrary parameter expressions, then "
                         "collect_shared_vars() may help you.")
    if isinstance(loss_or_grads, list):
        if not len(loss_or_grads) == len(params):
            raise ValueError("Got %d gradient expressions for %d parameters" % (len(loss_or_grads), len(params)))
        return loss_or_grads
    else:
        return theano.grad(loss_or_grads, params)


def sgd(loss_or_grads, params, learning_rate):
    grads = get_or_compute_grads(loss_or_grads, params)
    updates = OrderedDict()
    for param, grad in zip(params, grads):
        updates[param] = param - learning_rate * grad
    return updates


def apply_momentum(updates, params=None, momentum=0.9):
    if params is None:
        params = updates.keys()
    updates = OrderedDict(updates)
    for param in params:
        value = param.get_value(borrow=True)
        velocity = theano.shared(np.zeros(value.shape, dtype=value.dtype), broadcastable=param.broadcastable)
        x = momentum * velocity + updates[param]
        updates[velocity] = x - param
        updates[param] = x
    return updates


def apply_nesterov_momentum(updates, params=None, momentum=0.9):
    if params is None:
        params = updates.keys()
    updates = OrderedDict(updates)
    for param in params:
        value = param.get_value(borrow=True)
        velocity = theano.shared(np.zeros(value.shape, dtype=value.dtype), broadcastable=param.broadcastable)
        x = momentum * velocity + updates[param] - param
        updates[velocity] = x
        updates[param] = momentum * x + updates[param]
    return updates


def adagrad(loss_or_grads, params, learning_rate=1.0, epsilon=1e-6):
    updates = OrderedDict()
    for param, grad in zip(params, get_or_compute_grads(loss_or_grads, params)):
        value = param.get_value(borrow=True)
        accu = theano.shared(np.zeros(value.shape, dtype=value.dtype), broadcastable=param.broadcastable)
        accu_new = accu + grad ** 2
        updates[accu] = accu_new
        updates[param] = param - (learning_rate * grad / T.sqrt(accu_new + epsilon))
    return updates


def rmsprop(loss_or_grads, params, learning_rate=1.0, rho=0.9, epsilon=1e-6):
    updates = OrderedDict()
    one = T.constant(1)
    for param, grad in zip(params, get_or_compute_grads(loss_or_grads, params)):
        value = param.get_value(borrow=True)
        accu = theano.shared(np.zeros(value.shape, dtype=value.dtype), broadcastable=param.broadcastable)
        accu_new = rho * accu + (one - rho) * grad ** 2
        updates[accu] = accu_new
        updates[param] = param - (learning_rate * grad / T.sqrt(accu_new + epsilon))
    return updates


def adadelta(loss_or_grads, params, learning_rate=1.0, rho=0.95, epsilon=1e-6):
    updates = OrderedDict()
    one = T.constant(1)
    for param, grad in zip(params, get_or_compute_grads(loss_or_grads, params)):
        value = param.get_value(borrow=True)
        accu = theano.shared(np.zeros(value.shape, dtype=value.dtype), broadcastable=param.broadcastable)
        delta_accu = theano.shared(np.zeros(value.shape, dtype=value.dtype), broadcastable=param.broadcastable)
        accu_new = rho * accu + (one - rho) * grad ** 2
        updates[accu] = accu_new
        update = (grad * T.sqrt(delta_accu + epsilon) / T.sqrt(accu_new + epsilon))
        updates[param] = param - learning_rate * update
        updates[delta_accu] = rho * delta_accu + (one - rho) * update ** 2
    return updates


def adam(loss_or_grads, params, learning_rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8):
    all_grads = get_or_compute_grads(loss_or_grads, params)
    t_prev = theano.shared(floatX(0.))
    updates = OrderedDict()
    one = T.constant(1)
    t = t_prev + 1
    a_t = learning_rate * T.sqrt(one - beta2 ** t) / (one - beta1 ** t)
    for param, g_t in zip(params, all_grads):
        value = param.get_value(borrow=True)
        m_prev = theano.shared(np.zeros(value.shape, dtype=value.dtype), broadcastable=param.broadcastable)
        v_prev = theano.shared(np.zeros(value.shape, dtype=value.dtype), broadcastable=param.broadcastable)
        m_t = beta1 * m_prev + (one - beta1) * g_t
        v_t = beta2 * v_prev + (one - beta2) * g_t ** 2
        updates[m_prev] = m_t
        updates[v_prev] = v_t
        updates[param] = param - a_t * m_t / (T.sqrt(v_t) + epsilon)
    updates[t_prev] = t
    return updates


def adamax(loss_or_grads, params, learning_rate=0.002, beta1=0.9, beta2=0.999, epsilon=1e-8):
    all_grads = get_or_compute_grads(loss_or_grads, params)
    t_prev = theano.shared(floatX(0.))
    updates = OrderedDict()
    one = T.constant(1)
    t = t_prev + 1
    a_t = learning_rate / (one - beta1 ** t)
    for param, g_t in zip(params, all_grads):
        value = param.get_value(borrow=True)
        m_prev = theano.shared(np.zeros(value.shape, dtype=value.dtype), broadcastable=param.broadcastable)
        u_prev = theano.shared(np.zeros(value.shape, dtype=value.dtype), broadcastable=param.broadcastable)
        m_t = beta1 * m_prev + (one - beta1) * g_t
        u_t = T.maximum(beta2 * u_prev, abs(g_t))
        updates[m_prev] = m_t
        updates[u_prev] = u_t
        updates[param] = param - a_t * m_t / (u_t + epsilon)
    updates[t_prev] = t
    return updates


def norm_constraint(tensor_var, max_norm, norm_axes=None, epsilon=1e-7):
    ndim = tensor_var.ndim
    if norm_axes is not None:
        sum_over = tuple(norm_axes)
    elif ndim == 2:
        sum_over = (0,)
    elif ndim in [3, 4, 5]:
        sum_over = tuple(range(1, ndim))
    else:
        raise ValueError("Unsupported tensor dimensionality {}. Must specify `norm_axes`".format(ndim))
    dtype = np.dtype(theano.config.floatX).type
    norms = T.sqrt(T.sum(T.sqr(tensor_var), axis=sum_over, keepdims=True))
    target_norms = T.clip(norms, 0, dtype(max_norm))
    return (tensor_var * (target_norms / (dtype(epsilon) + norms)))


def total_norm_constraint(tensor_vars, max_norm, epsilon=1e-7, return_norm=False):
    norm = T.sqrt(sum(T.sum(tensor ** 2) for tensor in tensor_vars))
    dtype = np.dtype(theano.config.floatX).type
    target_norm = T.clip(norm, 0, dtype(max_norm))
    multiplier = target_norm / (dtype(epsilon) + norm)
    tensor_vars_scaled = [step * multiplier for step in tensor_vars]
    return (tensor_vars_scaled, norm) if return_norm else tensor_vars_scaled


def categorical_crossentropy(predictions, targets):
    if targets.ndim == predictions.ndim - 1 and targets.dtype.startswith('float'):
        targets = T.cast(targets, 'int32')
    return theano.tensor.nnet.categorical_crossentropy(predictions, targets)


def check_optimisers():
    """The steps on a quadratic are those of the formulas."""
    A = [0.4, -0.7]
    for rule, options in ((sgd, dict(learning_rate=0.1)), (adagrad, {}), (rmsprop, dict(learning_rate=0.01)),
                          (adadelta, {}), (adam, dict(learning_rate=0.05)), (adamax, dict(learning_rate=0.05))):
        param = theano.shared(floatX(A))
        f = theano.function([], (param ** 2).sum(), updates=rule((param ** 2).sum(), [param], **options))
        losses = [f() for step in range(20)]
        assert losses[-1] < losses[0], rule
    param = theano.shared(floatX(A))
    updates = adam((param ** 2).sum(), [param], learning_rate=0.1)
    f = theano.function([], [], updates=updates)
    m = v = 0
    x = np.array(A)
    for t in range(1, 6):
        f()
        g = 2 * x
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        x = x - 0.1 * np.sqrt(1 - 0.999 ** t) / (1 - 0.9 ** t) * m / (np.sqrt(v) + 1e-8)
    np.testing.assert_allclose(param.get_value(), x, rtol=1e-4)
    for wrap in (apply_momentum, apply_nesterov_momentum):
        param = theano.shared(floatX(A))
        f = theano.function([], [], updates=wrap(sgd((param ** 2).sum(), [param], 0.1), momentum=0.5))
        x, velocity = np.array(A), 0
        for step in range(5):
            f()
            velocity = 0.5 * velocity - 0.2 * x
            x = x + (velocity if wrap is apply_momentum else 0.5 * velocity - 0.2 * x)
        np.testing.assert_allclose(param.get_value(), x, rtol=1e-5)
    try:
        sgd(T.scalar(), [T.scalar()], 0.1)
    except ValueError as e:
        assert "shared variables only" in str(e)


def check_convolutional():
    np.random.seed(42)
    rng = np.random.RandomState(3)
    images = floatX(rng.uniform(size=(40, 2, 8, 8)))
    labels = (images[:, 0].mean(axis=(1, 2)) > images[:, 1].mean(axis=(1, 2))).astype('int32')
    images[:, 0] += 0.3 * labels[:, None, None]
    input_var, target_var = T.tensor4('inputs'), T.ivector('targets')
    network = InputLayer((None, 2, 8, 8), input_var, name='in')
    network = Conv2DLayer(network, 4, (3, 3), pad='same', name='conv1')
    network = BatchNormLayer(network, name='bn')
    network = Pool2DLayer(network, (2, 2))
    network = Conv2DLayer(network, 5, (2, 2), pad='full', stride=(2, 2), flip_filters=False, name='conv2')
    network = Pool2DLayer(network, (2, 2), mode='average_inc_pad', ignore_border=False)
    network = DropoutLayer(network, p=0.2, shared_axes=(2, 3))
    network = DenseLayer(network, 2, nonlinearity=T.nnet.softmax, name='out')
    assert network.input_shape == (None, 5, 2, 2), network.input_shape
    prediction = get_output(network)
    loss = categorical_crossentropy(prediction, target_var).mean()
    loss += 1e-4 * sum(T.sum(p ** 2) for p in get_all_params(network, regularizable=True))
    params = get_all_params(network, trainable=True)
    assert [p.name for p in params] == ['conv1.W', 'conv1.b', 'bn.beta', 'bn.gamma', 'conv2.W', 'conv2.b', 'out.W',
                                        'out.b'], params
    grads, norm = total_norm_constraint(T.grad(loss, params), 5.0, return_norm=True)
    updates = apply_nesterov_momentum(sgd(grads, params, 0.1), params, momentum=0.9)
    updates[params[-2]] = norm_constraint(updates[params[-2]], 2.0)
    train_fn = theano.function([input_var, target_var], [loss, norm], updates=updates)
    test_prediction = get_output(network, deterministic=True)
    test_acc = T.mean(T.eq(T.argmax(test_prediction, axis=1), target_var), dtype=theano.config.floatX)
    test_loss = categorical_crossentropy(test_prediction, target_var).mean()
    val_fn = theano.function([input_var, target_var], [test_loss, test_acc])
    bn = get_all_layers(network)[2]
    losses = [train_fn(images, labels)[0] for step in range(30)]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5]), losses
    assert abs(bn.mean.get_value()).max() > 0  # the running averages moved, by default updates of clones
    err, acc = val_fn(images, labels)
    err2, _ = val_fn(images, labels)
    assert err == err2
    assert np.sqrt((params[-2].get_value() ** 2).sum(axis=0)).max() <= 2.0 + 1e-5
    saved = pickle.loads(pickle.dumps([p.get_value() for p in get_all_params(network)]))
    for p, value in zip(get_all_params(network), saved):
        p.set_value(value)
    np.testing.assert_allclose(val_fn(images, labels)[0], err)
    print('convolutional: loss %.3f -> %.3f, accuracy %.2f' % (losses[0], losses[-1], acc))


def check_recurrent():
    np.random.seed(1)
    words, mask, target = T.imatrix('words'), T.matrix('mask'), T.vector('target')
    layer = InputLayer((None, None), words)
    layer = EmbeddingLayer(layer, 11, 6)
    layer = GRULayer(layer, 7, only_return_final=False, grad_clipping=10, mask_var=mask)
    layer = GRULayer(layer, 5, backwards=True, mask_var=mask)
    layer = DenseLayer(layer, 1, nonlinearity=T.nnet.sigmoid, num_leading_axes=2)
    out = get_output(layer)
    assert out.ndim == 3
    first = out[:, 0, 0]
    loss = T.nnet.binary_crossentropy(T.clip(first, 1e-6, 1 - 1e-6), target).mean()
    params = get_all_params(layer, trainable=True)
    train = theano.function([words, mask, target], loss, updates=adam(loss, params, learning_rate=0.05))
    rng = np.random.RandomState(2)
    xs = rng.randint(0, 11, (20, 5)).astype('int32')
    ys = floatX(xs[:, 1] > 5)
    ms = floatX(np.arange(5) < rng.randint(2, 6, 20)[:, None])
    losses = [train(xs, ms, ys) for step in range(30)]
    assert losses[-1] < 0.5 * losses[0], losses
    predict = theano.function([words, mask], first)
    changed = xs.copy()
    changed[ms == 0] = 3  # what is masked doesn't matter
    np.testing.assert_allclose(predict(xs, ms), predict(changed, ms), rtol=1e-5)
    print('recurrent: loss %.3f -> %.3f' % (losses[0], losses[-1]))


def main():
    check_optimisers()
    check_convolutional()
    check_recurrent()


if __name__ == '__main__':
    main()
