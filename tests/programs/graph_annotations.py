"""Bricks whose variables carry annotations, and filters and replacements by them: graphs as data structures."""

from collections import OrderedDict
from functools import wraps
from itertools import chain
import copy

import numpy

import theano
from theano import tensor, Variable
from theano.gof import graph
from theano.sandbox.rng_mrg import MRG_RandomStreams
from theano.scan_module.scan_op import Scan
from theano.tensor.shared_randomstreams import RandomStreams


def is_graph_input(variable):
    return (not variable.owner and not isinstance(variable, theano.tensor.sharedvar.SharedVariable)
            and not isinstance(variable, theano.Constant))


def is_shared_variable(variable):
    return isinstance(variable, theano.tensor.sharedvar.SharedVariable) and not hasattr(variable.tag, 'is_rng')


def put_hook(variable, hook_fn, *args):
    variable.owner  # noqa: B018
    hook_fn(variable, *args)


def add_annotation(var, annotation):
    annotations = getattr(var.tag, 'annotations', [])
    if any(old_annotation.__class__ == annotation.__class__ for old_annotation in annotations):
        raise ValueError
    else:
        var.tag.annotations = annotations + [annotation]


def add_role(var, role):
    roles = getattr(var.tag, 'roles', [])
    var.tag.roles = roles + [role]


def copy_and_tag(variable, brick, role, name):
    copied = variable.copy()
    copied.name = "{}_{}".format(brick.name, name)
    add_annotation(copied, brick)
    add_role(copied, role)
    return copied


def application(function):
    @wraps(function)
    def call(brick, *args):
        inputs = [copy_and_tag(tensor.as_tensor_variable(v), brick, 'input', 'input') for v in args]
        output = function(brick, *inputs)
        return copy_and_tag(output, brick, 'output', 'output')
    return call


class Linear(object):
    def __init__(self, input_dim, output_dim, name, rng):
        self.name = name
        self.W = theano.shared(rng.uniform(-.5, .5, (input_dim, output_dim)).astype(theano.config.floatX), name='W')
        self.b = theano.shared(numpy.zeros(output_dim, theano.config.floatX), name='b')
        for role, param in zip(('weight', 'bias'), (self.W, self.b)):
            add_role(param, role)
            add_annotation(param, self)

    @application
    def apply(self, input_):
        return tensor.dot(input_, self.W) + self.b


class Tanh(object):
    def __init__(self, name):
        self.name = name

    @application
    def apply(self, input_):
        return tensor.tanh(input_)


class Recurrent(object):
    def __init__(self, dim, name, rng):
        self.name = name
        self.W = theano.shared(rng.uniform(-.5, .5, (dim, dim)).astype(theano.config.floatX), name='W_state')
        add_role(self.W, 'weight')
        add_annotation(self.W, self)

    @application
    def apply(self, input_):
        def step(x, state, W):
            new = tensor.tanh(x + tensor.dot(state, W))
            new.name = 'state_in_loop'
            return new

        states, updates = theano.scan(step, sequences=[input_], non_sequences=[self.W],
                                      outputs_info=[tensor.zeros_like(input_[0])], name=self.name + '_scan')
        assert not updates
        return states


class ComputationGraph(object):
    def __init__(self, outputs):
        if isinstance(outputs, Variable):
            outputs = [outputs]
        self.outputs = outputs
        self._get_variables()

    @property
    def inputs(self):
        return [var for var in self.variables if is_graph_input(var)]

    @property
    def intermediary_variables(self):
        return [var for var in self.variables if var not in self.inputs and var not in self.outputs]

    @property
    def shared_variables(self):
        return [var for var in self.variables if is_shared_variable(var)]

    @property
    def parameters(self):
        return [var for var in self.shared_variables if 'weight' in getattr(var.tag, 'roles', [])
                or 'bias' in getattr(var.tag, 'roles', [])]

    def _get_variables(self):
        updates = OrderedDict()
        shared_outputs = [o for o in self.outputs if is_shared_variable(o)]
        usual_outputs = [o for o in self.outputs if not is_shared_variable(o)]
        variables = shared_outputs
        if usual_outputs:
            inputs = graph.inputs(self.outputs)
            sorted_apply_nodes = graph.io_toposort(inputs, usual_outputs)
            self.scans = list(dict.fromkeys([node.op for node in sorted_apply_nodes if isinstance(node.op, Scan)]))
            self.sorted_scan_nodes = [node for node in sorted_apply_nodes if isinstance(node.op, Scan)]
            self._scan_graphs = [ComputationGraph(scan.outputs) for scan in self.scans]
            seen = set()
            main_vars = ([var for var in list(chain(*[apply_node.inputs for apply_node in sorted_apply_nodes]))
                          if not (var in seen or seen.add(var))]
                         + [var for var in self.outputs if var not in seen])
            seen = set()
            variables = [var for var in main_vars if not (var in seen or seen.add(var))]
        for var in variables:
            updates.update(getattr(var.tag, 'updates', {}))
        self.variables = variables
        self.updates = updates

    def dict_of_inputs(self):
        return {var.name: var for var in self.inputs}

    def replace(self, replacements):
        return ComputationGraph(theano.clone(self.outputs, replace=replacements))

    def get_theano_function(self, additional_updates=None, **kwargs):
        updates = self.updates
        if additional_updates:
            updates = dict(self.updates, **additional_updates)
        return theano.function(self.inputs, self.outputs, updates=updates, **kwargs)

    def has_inputs(self, variable):
        return any(is_graph_input(var) for var in graph.ancestors([variable]))


class VariableFilter(object):
    def __init__(self, roles=None, bricks=None, name=None, theano_name=None):
        self.roles, self.bricks, self.name, self.theano_name = roles, bricks, name, theano_name

    def __call__(self, variables):
        if self.roles is not None:
            variables = [var for var in variables if any(r in getattr(var.tag, 'roles', []) for r in self.roles)]
        if self.bricks is not None:
            variables = [var for var in variables
                         if any(b in getattr(var.tag, 'annotations', []) for b in self.bricks)]
        if self.theano_name is not None:
            variables = [var for var in variables if var.name == self.theano_name]
        return variables


def apply_noise(computation_graph, variables, level, seed=None):
    rng = MRG_RandomStreams(seed)
    replace = {}
    for variable in variables:
        replace[variable] = (variable + rng.normal(variable.shape, std=level, dtype=variable.dtype))
    return computation_graph.replace(replace)


def apply_dropout(computation_graph, variables, drop_prob, rng=None):
    divisor = (1 - drop_prob)
    replacements = [(var, var * rng.binomial(var.shape, p=1 - drop_prob, dtype=theano.config.floatX) / divisor)
                    for var in variables]
    for variable, replacement in replacements:
        for annotation in getattr(variable.tag, 'annotations', []):
            add_annotation(replacement, annotation)
        replacement.tag.replacement_of = variable
    return computation_graph.replace(replacements)


def main():
    rng = numpy.random.RandomState(1)
    x, y = tensor.matrix('features'), tensor.matrix('targets')
    first, tanh, recurrent, last = Linear(4, 5, 'first', rng), Tanh('tanh'), Recurrent(5, 'rec', rng), Linear(5, 2, 'last', rng)
    states = recurrent.apply(tanh.apply(first.apply(x)))
    prediction = last.apply(states)
    cost = ((prediction - y) ** 2).sum(axis=1).mean()
    cost.name = 'cost'
    cg = ComputationGraph(cost)
    assert set(cg.inputs) == {x, y}
    assert set(cg.dict_of_inputs()) == {'features', 'targets'}
    assert {p.name for p in cg.parameters} == {'W', 'b', 'W_state'} and len(cg.parameters) == 5
    assert len(cg.scans) == 1
    (scan,) = cg.scans
    assert len(scan.inputs) >= 3 and len(scan.outputs) == 1
    outputs = VariableFilter(roles=['output'])(cg.variables)
    assert len(outputs) == 4, outputs
    (hidden,) = VariableFilter(roles=['output'], bricks=[tanh])(cg.variables)
    assert hidden.name == 'tanh_output'
    weights = VariableFilter(roles=['weight'])(cg.variables)
    assert {w.name for w in weights} == {'W', 'W_state'}
    regularized = cost + 1e-3 * sum((w ** 2).sum() for w in weights)
    assert regularized.owner.inputs[0] is cost or cost in graph.ancestors([regularized])
    assert cg.has_inputs(cost) and not cg.has_inputs(first.W)
    data = rng.normal(size=(6, 4)).astype(theano.config.floatX), rng.normal(size=(6, 2)).astype(theano.config.floatX)
    by_name = dict(zip(('features', 'targets'), data))
    f = cg.get_theano_function()
    plain = f(*[by_name[v.name] for v in cg.inputs])[0]
    h = numpy.tanh(data[0].dot(first.W.get_value()))
    s = numpy.zeros(5)
    total = 0
    for n in range(6):
        s = numpy.tanh(h[n] + s.dot(recurrent.W.get_value()))
        total += ((s.dot(last.W.get_value()) - data[1][n]) ** 2).sum() / 6
    numpy.testing.assert_allclose(plain, total, rtol=1e-5)
    noisy = apply_noise(cg, weights, 0.1, seed=5)
    g = noisy.get_theano_function()
    arguments = [by_name[v.name] for v in noisy.inputs]
    assert g(*arguments)[0] != g(*arguments)[0]
    dropped = apply_dropout(cg, [hidden], 0.5, RandomStreams(4))
    assert dropped.outputs[0].name == 'cost' or dropped.outputs[0].name is None
    d = dropped.get_theano_function()
    values = [d(*[by_name[v.name] for v in dropped.inputs])[0] for n in range(8)]
    assert len(set(float(v) for v in values)) > 4
    monitored = cg.replace({hidden: tensor.zeros_like(hidden)})
    assert monitored.get_theano_function(on_unused_input='ignore')(*arguments)[0] != plain
    # names, copies and tags stay through copies of the graph
    duplicate = copy.copy(hidden.tag)
    assert duplicate.roles == hidden.tag.roles
    replaced = theano.clone(cost, replace={x: x * 2})
    assert [v.name for v in graph.ancestors([replaced])].count('tanh_output') == 1
    # gradient descent over the annotated parameters, with monitored norms
    gradients = OrderedDict(zip(cg.parameters, tensor.grad(cost, cg.parameters)))
    norm = tensor.sqrt(sum((g ** 2).sum() for g in gradients.values()))
    train = theano.function([x, y], [cost, norm], updates=[(p, p - 0.2 * g) for p, g in gradients.items()])
    costs = [train(*data)[0] for step in range(30)]
    assert costs[-1] < 0.5 * costs[0]


if __name__ == '__main__':
    main()
