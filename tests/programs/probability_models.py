"""Log-probabilities, custom ops and samplers, in the manner of libraries for Bayesian models."""

from functools import reduce
import itertools
import warnings

import numpy as np
import scipy.linalg
import scipy.special
import scipy.stats

import theano
import theano.tensor as tt
from theano import scalar
from theano.compile import SharedVariable
from theano.configparser import change_flags
from theano.gof import Apply, Op
from theano.gof.graph import inputs
from theano.sandbox.rng_mrg import MRG_RandomStreams
from theano.scalar import UnaryScalarOp, upgrade_to_float_no_complex
from theano.scalar.basic_scipy import GammaLn, Psi
from theano.tensor import TensorConstant, TensorVariable
from theano.tensor.nlinalg import eigh, matrix_inverse
from theano.tensor.slinalg import Cholesky, Solve, solve_lower_triangular, solve_upper_triangular
from theano.tensor.var import TensorVariable as OtherTensorVariable

from theano import theano as theano_by_another_name  # noqa: F401

solve_lower = Solve(A_structure='lower_triangular', lower=True)
solve_upper = Solve(A_structure='upper_triangular', lower=False)
cholesky = Cholesky(lower=True, on_error='nan')
floatX = lambda X: np.asarray(X, dtype=theano.config.floatX)


def bound(logp, *conditions, **kwargs):
    broadcast_conditions = kwargs.get('broadcast_conditions', True)
    if broadcast_conditions:
        alltrue = reduce(lambda a, b: a & b, [tt.ones_like(logp, dtype='bool') & c for c in conditions])
    else:
        alltrue = tt.all([tt.all(1 * c) for c in conditions])
    return tt.switch(alltrue, logp, -np.inf)


def normal_logp(value, mu=0., tau=None, sd=1.):
    tau = sd ** -2. if tau is None else tau
    return bound((-tau * (value - mu) ** 2 + tt.log(tau / np.pi / 2.)) / 2., tt.gt(sd, 0))


def binomln(n, k):
    return tt.gammaln(n + 1) - tt.gammaln(k + 1) - tt.gammaln(n - k + 1)


def betaln(x, y):
    return tt.gammaln(x) + tt.gammaln(y) - tt.gammaln(x + y)


def logpow(x, m):
    return tt.switch(tt.eq(x, 0), -np.inf, m * tt.log(x))


def normal_lcdf(mu, sigma, x):
    z = (x - mu) / sigma
    return tt.switch(tt.lt(z, -1.0), tt.log(tt.erfcx(-z / tt.sqrt(2.)) / 2.) - tt.sqr(z) / 2.,
                     tt.log1p(-tt.erfc(z / tt.sqrt(2.)) / 2.))


def log1pexp(x):
    return tt.nnet.softplus(x)


def logdet_of_mvn(cov, delta):
    chol_cov = cholesky(cov)
    ok = tt.all(tt.nlinalg.diag(chol_cov) > 0)
    chol_cov = tt.switch(ok, chol_cov, 1)
    delta_trans = solve_lower(chol_cov, delta.T).T
    quaddist = (delta_trans ** 2).sum(axis=-1)
    logdet = tt.sum(tt.log(tt.nlinalg.diag(chol_cov)))
    norm = - 0.5 * cov.shape[0].astype(theano.config.floatX) * np.log(2 * np.pi)
    return tt.switch(ok, norm - 0.5 * quaddist - logdet, -np.inf)


class LogDet(Op):
    __props__ = ()

    def make_node(self, x):
        x = theano.tensor.as_tensor_variable(x)
        o = theano.tensor.scalar(dtype=x.dtype)
        return Apply(self, [x], [o])

    def perform(self, node, inputs, outputs, params=None):
        try:
            (x,) = inputs
            (z,) = outputs
            s = np.linalg.svd(x, compute_uv=False)
            log_det = np.sum(np.log(np.abs(s)))
            z[0] = np.asarray(log_det, dtype=x.dtype)
        except Exception:
            print('Failed to compute logdet of {}.'.format(x))
            raise

    def grad(self, inputs, g_outputs):
        [gz] = g_outputs
        [x] = inputs
        return [gz * matrix_inverse(x).T]

    def __str__(self):
        return "LogDet"


logdet = LogDet()


class I0e(UnaryScalarOp):
    nfunc_spec = ('scipy.special.i0e', 1, 1)

    def impl(self, x):
        return scipy.special.i0e(x)

    def grad(self, inp, grads):
        x, = inp
        gz, = grads
        return gz * (i1e_scalar(x) - theano.scalar.sgn(x) * i0e_scalar(x)),


class I1e(UnaryScalarOp):
    nfunc_spec = ('scipy.special.i1e', 1, 1)

    def impl(self, x):
        return scipy.special.i1e(x)


i0e_scalar = I0e(upgrade_to_float_no_complex, name='i0e')
i1e_scalar = I1e(upgrade_to_float_no_complex, name='i1e')
i0e = tt.Elemwise(i0e_scalar, name='Elemwise{i0e,no_inplace}')


class SplineWrapper(Op):
    __props__ = ('spline',)

    def __init__(self, spline):
        self.spline = spline

    def make_node(self, x):
        x = tt.as_tensor_variable(x)
        return tt.Apply(self, [x], [x.type()])

    @property
    def grad_op(self):
        if not hasattr(self, '_grad_op'):
            try:
                self._grad_op = SplineWrapper(self.spline.derivative())
            except ValueError:
                self._grad_op = None
        if self._grad_op is None:
            raise NotImplementedError('Spline of order 0 is not differentiable')
        return self._grad_op

    def perform(self, node, inputs, output_storage):
        x, = inputs
        output_storage[0][0] = np.asarray(self.spline(x))

    def grad(self, inputs, grads):
        x, = inputs
        x_grad, = grads
        return [x_grad * self.grad_op(x)]


class BatchedDiag(tt.Op):
    __props__ = ()

    def make_node(self, diag):
        diag = tt.as_tensor_variable(diag)
        if diag.type.ndim != 2:
            raise TypeError('data argument must be a matrix', diag.type)
        return tt.Apply(self, [diag], [tt.tensor3(dtype=diag.dtype)])

    def perform(self, node, ins, outs, params=None):
        (C,) = ins
        (z,) = outs
        bc, dim = C.shape
        Cd = np.zeros((bc, dim, dim), C.dtype)
        bidx = np.repeat(np.arange(bc), dim)
        didx = np.tile(np.arange(dim), bc)
        Cd[bidx, didx, didx] = C.flatten()
        z[0] = Cd

    def grad(self, inputs, gout):
        (gz,) = gout
        idx = tt.arange(gz.shape[-1])
        return [gz[..., idx, idx]]

    def infer_shape(self, nodes, shapes):
        return [(shapes[0][0],) + (shapes[0][1],) * 2]


class from_function(Op):
    """What `generator` wraps: an op without inputs, that gives something else at each call."""

    __props__ = ('generator',)

    def __init__(self, gen):
        super(from_function, self).__init__()
        self.generator = gen

    def make_node(self, *inputs):
        return Apply(self, inputs, [tt.dvector()])

    def perform(self, node, inputs, output_storage, params=None):
        output_storage[0][0] = next(self.generator)

    def do_constant_folding(self, node):
        return False

    __hash__ = object.__hash__

    def __eq__(self, other):
        return self is other


class Transform(object):
    def jacobian_det(self, x):
        grad = tt.reshape(gradient1(tt.sum(self.backward(x)), x), x.shape)
        return tt.log(tt.abs_(grad))


class LogTransform(Transform):
    def backward(self, x):
        return tt.exp(x)


class StickBreaking(Transform):
    def forward(self, x_):
        x = x_.T
        x0 = x[:-1]
        s = tt.extra_ops.cumsum(x0[::-1], 0)[::-1] + x[-1]
        z = x0 / s
        Km1 = x.shape[0] - 1
        k = tt.arange(Km1)[(slice(None),) + (None,) * (x.ndim - 1)]
        eq_share = - tt.log(Km1 - k)
        y = tt.log(z / (1 - z)) - eq_share
        return floatX_expr(y.T)

    def backward(self, y_):
        y = y_.T
        Km1 = y.shape[0]
        k = tt.arange(Km1)[(slice(None),) + (None,) * (y.ndim - 1)]
        eq_share = - tt.log(Km1 - k)
        z = tt.nnet.sigmoid(y + eq_share)
        yl = tt.concatenate([z, tt.ones(y[:1].shape)])
        yu = tt.concatenate([tt.ones(y[:1].shape), 1 - z])
        S = tt.extra_ops.cumprod(yu, 0)
        x = S * yl
        return floatX_expr(x.T)


def floatX_expr(x):
    return tt.cast(x, theano.config.floatX)


def gradient1(f, v):
    return tt.flatten(tt.grad(f, v, disconnected_inputs='warn'))


empty_gradient = tt.zeros(0, dtype='float32')


def inputvars(a):
    return [v for v in inputs(makeiter(a)) if isinstance(v, tt.TensorVariable)]


def makeiter(a):
    return a if isinstance(a, (tuple, list)) else [a]


def gradient(f, vars=None):
    if vars is None:
        vars = cont_inputs(f)
    if vars:
        return tt.concatenate([gradient1(f, v) for v in vars], axis=0)
    else:
        return empty_gradient


def hessian(f, vars=None):
    vars = cont_inputs(f)

    def hess_ii(i):
        return gradient1(df[i], f_var)

    f_var = vars[0]
    df = gradient1(f, f_var)
    idx = tt.arange(df.shape[0], dtype='int32')
    return -theano.map(hess_ii, idx)[0]


def cont_inputs(f):
    return [v for v in inputvars(f) if v.dtype in theano.tensor.basic.float_dtypes]


def join_nonshared_inputs(xs, vars, shared):
    """One vector holds all variables; parts of it replace them."""
    joined = tt.concatenate([var.ravel() for var in vars])
    tensor_type = joined.type
    inarray = tensor_type('inarray')
    inarray.tag.test_value = joined.tag.test_value if hasattr(joined.tag, 'test_value') else None
    replace, start = {}, 0
    for var, shape in zip(vars, shared):
        size = int(np.prod(shape))
        replace[var] = tt.reshape(inarray[start:start + size], shape, ndim=var.ndim).astype(var.dtype)
        start += size
    return [theano.clone(x, replace, strict=False) for x in xs], inarray


def check_distributions():
    x = tt.dvector('x')
    values = np.array([-2.0, -0.3, 0.5, 40.])
    f = theano.function([x], normal_logp(x, 0.5, sd=2.0))
    np.testing.assert_allclose(f(values), scipy.stats.norm(0.5, 2).logpdf(values))
    assert (theano.function([x], normal_logp(x, 0.5, sd=-2.0))(values) == -np.inf).all()
    np.testing.assert_allclose(theano.function([x], normal_lcdf(0, 1, x))(-values), scipy.stats.norm.logcdf(-values),
                               rtol=1e-6)
    n, k = tt.lscalars('n', 'k')
    np.testing.assert_allclose(theano.function([n, k], binomln(n, k))(10, 3), np.log(scipy.special.comb(10, 3)))
    a = tt.dscalar('a')
    theano.gradient.verify_grad(lambda a: betaln(a, 2.5), [np.array(1.5)], rng=np.random.RandomState(1))
    theano.gradient.verify_grad(lambda x: i0e(x), [np.array([0.5, 2.0])], rng=np.random.RandomState(1))
    np.testing.assert_allclose(theano.function([x], i0e(x))(values), scipy.special.i0e(values))
    np.testing.assert_allclose(theano.function([a], tt.Elemwise(GammaLn(upgrade_to_float_no_complex, name='g'))(a))(3.3),
                               scipy.special.gammaln(3.3))
    np.testing.assert_allclose(theano.function([a], tt.Elemwise(Psi(upgrade_to_float_no_complex, name='p'))(a))(3.3),
                               scipy.special.psi(3.3))
    np.testing.assert_allclose(logpow(x, 2).eval({x: np.array([0.0, 2])}), [-np.inf, 2 * np.log(2)])
    np.testing.assert_allclose(log1pexp(x).eval({x: values}), np.logaddexp(0, values))


def check_linear_algebra():
    rng = np.random.RandomState(3)
    root = rng.normal(size=(4, 4))
    cov = root.dot(root.T) + np.eye(4)
    data = rng.normal(size=(6, 4))
    C, d = tt.dmatrix('C'), tt.dmatrix('d')
    logp = logdet_of_mvn(C, d)
    f = theano.function([C, d], logp)
    np.testing.assert_allclose(f(cov, data), scipy.stats.multivariate_normal(np.zeros(4), cov).logpdf(data))
    assert (f(-cov, data) == -np.inf).all()
    theano.gradient.verify_grad(lambda r: logdet_of_mvn(tt.dot(r, r.T) + np.eye(4), tt.as_tensor_variable(data)).sum(),
                                [root], rng=np.random.RandomState(1))
    np.testing.assert_allclose(logdet(C).eval({C: cov}), np.linalg.slogdet(cov)[1])
    theano.gradient.verify_grad(logdet, [cov], rng=np.random.RandomState(1))
    np.testing.assert_allclose(tt.log(tt.nlinalg.det(C)).eval({C: cov}), np.linalg.slogdet(cov)[1])
    np.testing.assert_allclose(tt.nlinalg.trace(C).eval({C: cov}), np.trace(cov))
    w, v = eigh(C)
    np.testing.assert_allclose(theano.function([C], w)(cov), np.linalg.eigh(cov)[0])
    for op, lower in ((solve_lower_triangular, True), (solve_upper_triangular, False)):
        triangle = np.tril(cov) if lower else np.triu(cov)
        np.testing.assert_allclose(theano.function([C, d], op(C, d))(triangle, data.T),
                                   scipy.linalg.solve_triangular(triangle, data.T, lower=lower))
    np.testing.assert_allclose(solve_upper(C, d).eval({C: np.triu(cov), d: data.T}),
                               scipy.linalg.solve_triangular(np.triu(cov), data.T))
    kron = reduce(tt.slinalg.kron, [C, C[:2, :2]])
    np.testing.assert_allclose(kron.eval({C: cov}), np.kron(cov, cov[:2, :2]))
    stretched = BatchedDiag()(d)
    np.testing.assert_allclose(stretched.eval({d: data})[2], np.diag(data[2]))
    assert stretched.shape.eval({d: data}).tolist() == [6, 4, 4]
    theano.gradient.verify_grad(BatchedDiag(), [data], rng=np.random.RandomState(1))
    distances = tt.clip(-2.0 * tt.dot(d, tt.transpose(d)) + (tt.reshape(tt.sum(tt.square(d), 1), (-1, 1))
                                                             + tt.reshape(tt.sum(tt.square(d), 1), (1, -1))), 0.0, np.inf)
    np.testing.assert_allclose(distances.eval({d: data}), ((data[:, None] - data) ** 2).sum(-1), atol=1e-9)
    packed = tt.dvector('packed')
    expand = np.tril_indices(3)
    L = tt.set_subtensor(tt.zeros((3, 3))[expand], packed)
    assert L.eval({packed: np.arange(6.0)})[2].tolist() == [3, 4, 5]
    L = tt.inc_subtensor(L[np.diag_indices(3)], 1.0)
    theano.gradient.verify_grad(lambda p: tt.sqr(tt.set_subtensor(tt.zeros((3, 3), 'float64')[expand], p)).sum(), [np.arange(6.0)],
                                rng=np.random.RandomState(1))


def check_graphs():
    with change_flags(compute_test_value='raise'):
        mu = tt.dvector('mu')
        mu.tag.test_value = np.zeros(3)
        tau = tt.dscalar('tau')
        tau.tag.test_value = np.array(1.5)
        observed = theano.shared(np.array([1.0, 2.0, 3.0]), name='observed')
        logp = normal_logp(observed, mu, tau=tau).sum() + normal_logp(mu, sd=10.0).sum()
        assert logp.tag.test_value.shape == ()
        np.testing.assert_allclose(logp.tag.test_value, scipy.stats.norm(0, 1.5 ** -0.5).logpdf([1, 2, 3]).sum()
                                   + 3 * scipy.stats.norm(0, 10).logpdf(0))
    assert set(inputvars(logp)) == {mu, tau}
    assert [v for v in inputs([logp]) if isinstance(v, SharedVariable)] == [observed]
    assert all(isinstance(v, (TensorConstant, TensorVariable, SharedVariable)) for v in inputs([logp]))
    (joined,), inarray = join_nonshared_inputs([logp], [mu, tau], [(3,), ()])
    f = theano.function([inarray], [joined, gradient1(joined, inarray)])
    f.trust_input = True
    value, slope = f(np.array([0.5, 1, 2, 1.5]))
    np.testing.assert_allclose(value, theano.function([mu, tau], logp)([0.5, 1, 2], 1.5))
    step = 1e-6
    numeric = [(f(np.array([0.5, 1, 2, 1.5]) + step * e)[0] - f(np.array([0.5, 1, 2, 1.5]) - step * e)[0]) / (2 * step)
               for e in np.eye(4)]
    np.testing.assert_allclose(slope, numeric, rtol=1e-4)
    fixed = theano.clone(logp, {tau: tt.constant(2.0, dtype='float64')})
    H = theano.function([mu], hessian(fixed))(np.ones(3))
    np.testing.assert_allclose(H, np.eye(3) * (2 + 0.01), rtol=1e-5)
    assert gradient(tt.constant(1.0), []).eval().size == 0
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        assert gradient1((mu * 2).sum(), tt.dvector('other')).ndim == 1
    x = tt.dvector('x')
    det = LogTransform().jacobian_det(x)
    np.testing.assert_allclose(det.eval({x: np.array([0.5, -1])}), [0.5, -1])
    breaking = StickBreaking()
    simplex = breaking.backward(x)
    assert abs(simplex.eval({x: np.array([0.3, -1, 2])}).sum() - 1) < 1e-12
    np.testing.assert_allclose(breaking.forward(simplex).eval({x: np.array([0.3, -1, 2])}), [0.3, -1, 2])
    np.testing.assert_allclose(np.exp(tt.log(tt.abs_(tt.nlinalg.det(theano.gradient.jacobian(
        breaking.backward(x)[:-1], [x])[0]))).eval({x: np.zeros(3)})) > 0, True)
    from scipy.interpolate import InterpolatedUnivariateSpline
    points = np.linspace(0, 2, 12)
    spline = SplineWrapper(InterpolatedUnivariateSpline(points, np.sin(points), k=3))
    np.testing.assert_allclose(spline(x).eval({x: np.array([0.5, 1.0])}), np.sin([0.5, 1]), rtol=1e-3)
    theano.gradient.verify_grad(spline, [np.array([0.5, 1.0])], rng=np.random.RandomState(1))
    stream = from_function(iter(np.arange(8.0).reshape(4, 2)))()
    take = theano.function([], stream * 2)
    assert take().tolist() == [0, 2] and take().tolist() == [4, 6]


def check_sampler():
    """Stochastic gradient Langevin dynamics, and variational inference by reparametrisation."""
    rng = MRG_RandomStreams(seed=42)
    data = theano.shared(np.random.RandomState(1).normal(2.0, 1.0, 100), name='data')
    theta = theano.shared(0.0, name='theta', broadcastable=())
    batch = data[rng.uniform(size=(20,), low=0.0, high=100.0 - 1e-10, dtype='float64').astype('int64')]
    logp = normal_logp(theta, sd=10.0) + 5.0 * normal_logp(batch, theta).sum()
    eps = 0.002
    update = theta + 0.5 * eps * theano.grad(logp, theta) + np.sqrt(eps) * rng.normal((), dtype='float64')
    step = theano.function([], theta, updates=[(theta, update)])
    draws = np.array([step() for n in range(400)])[100:]
    assert abs(draws.mean() - data.get_value().mean()) < 0.2, draws.mean()
    mean, rho = theano.shared(np.zeros(2), 'mean'), theano.shared(np.zeros(2), 'rho')
    noise = rng.normal((50, 2), dtype='float64')
    z = mean + tt.nnet.softplus(rho) * noise
    target = normal_logp(z, np.array([1.0, -2.0]), sd=np.array([0.5, 1.5])).sum(axis=1).mean()
    entropy = tt.log(tt.nnet.softplus(rho)).sum()
    cost = -(target + entropy)
    grads = tt.grad(cost, [mean, rho])
    train = theano.function([], cost, updates=[(p, p - 0.05 * g) for p, g in zip([mean, rho], grads)])
    for n in range(400):
        train()
    np.testing.assert_allclose(mean.get_value(), [1, -2], atol=0.15)
    np.testing.assert_allclose(np.log1p(np.exp(rho.get_value())), [0.5, 1.5], rtol=0.2)


def main():
    check_distributions()
    check_linear_algebra()
    check_graphs()
    check_sampler()


if __name__ == '__main__':
    main()
