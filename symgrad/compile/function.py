"""`function`: from inputs, outputs, updates and givens to something that can be called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from symgrad.compile.closing import close_graph, configured_on_unused_input
from symgrad.compile.executable import Function, InputSpec
from symgrad.compile.modes import find_mode
from symgrad.config import SETTINGS, config
from symgrad.config.devices import resolve_device
from symgrad.errors import DeviceError
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.garbage import no_garbage_collection
from symgrad.graph.op import user_error
from symgrad.graph.residence import HOST
from symgrad.graph.source import current_source
from symgrad.graph.traversal import substitute
from symgrad.graph.variables import Variable
from symgrad.ops.identity import Transfer
from symgrad.ops.promotion import as_operand
from symgrad.rewriting.engine import RULES

_Function = TypeVar("_Function", bound=Function)


class In:
    """An input with more said about it.

    Parameters
    ----------
    variable : Variable
        The input.
    name : str, optional
        Name for keyword calls, by default the variable's.
    value : optional
        Default value; the caller may then leave the input out.
    strict : bool
        Accept nothing but an array of exactly the input's dtype.
    allow_downcast : bool, optional
        Whether values may lose information; by default as the function says.
    update : Variable, optional
        Accepted only as None: use a shared variable and `updates`.
    borrow, mutable : bool
        Accepted for Theano's sake; arguments are never changed.
    """

    def __init__(
        self,
        variable: Any,
        name: str | None = None,
        value: Any = None,
        strict: bool = False,
        allow_downcast: bool | None = None,
        update: None = None,
        borrow: bool = True,
        mutable: bool = False,
        implicit: bool = False,
    ) -> None:
        if update is not None:
            raise TypeError("In takes no update: make the value a shared variable, and pass updates to function")
        self.variable = variable
        self.name = name if name is not None else getattr(variable, "name", None)
        self.value = value
        self.strict = strict
        self.allow_downcast = allow_downcast


class Out:
    """An output; `borrow` is accepted for Theano's sake, the caller's results are always its own."""

    def __init__(self, variable: Any, borrow: bool = False) -> None:
        self.variable = variable


def function(
    inputs: Any = (),
    outputs: Any = None,
    updates: Any = None,
    givens: Any = None,
    mode: Any = None,
    name: str | None = None,
    allow_input_downcast: bool | None = None,
    on_unused_input: str | None = None,
    no_default_updates: bool | Sequence[Any] = False,
    profile: Any = None,
    accept_inplace: bool = False,
    rebuild_strict: bool = True,
) -> Function:
    """Compile a function.

    Parameters
    ----------
    inputs : sequence of (Variable or In)
        What the caller passes, in order.
    outputs : Variable, Out, list or tuple of them, dict, or None
        What the caller gets: one array, a list, a dict with the same keys, or ``[]``.
    updates : pairs or mapping of (shared variable, expression), optional
        New values of shared variables. All are computed from the old values, and take effect together after the
        outputs are computed; if the call fails, none does.
    givens : pairs or mapping of (variable, expression), optional
        Variables to replace in outputs and updates, by expressions of their type.
    mode : str or Mode, optional
        Which rewrites to apply: ``'default'``, ``'none'``, or a `Mode`; by default ``config.mode``. ``'DebugMode'`` and
        ``'NanGuard'`` check the result of each kernel, see `Mode`.
    name : str, optional
        A name for people.
    allow_input_downcast : bool or None
        Whether arguments may lose information: True always, False never, None (default) only a Python float into a
        ``floatX`` scalar. By default ``config.allow_input_downcast``.
    on_unused_input : {'raise', 'warn', 'ignore'}, optional
        What to do about inputs that nothing uses; by default ``config.on_unused_input``.
    no_default_updates : bool or list of shared variables
        Whether (or for which variables) the default updates, such as those of random streams, are left out.
    profile, accept_inplace, rebuild_strict
        Accepted for Theano's sake.

    Returns
    -------
    Function
        Call it with values for the inputs, in order or by name.

    Raises
    ------
    MissingInputError, UnusedInputError
        If a variable is needed and isn't supplied, or supplied and not needed.
    TypeError, ValueError
        If an update, a given or an input isn't what it must be.
    DeviceError
        If the configured device isn't available.

    Notes
    -----
    Keeps the behaviour of Theano's ``theano.function``.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> x, y = T.dscalars('x', 'y')
    >>> f = symgrad.function([x, symgrad.In(y, value=10.)], x + y)
    >>> print(f(1.), f(1., y=2.))
    11.0 3.0
    """
    return compile_as(
        Function, inputs, outputs, updates, givens, mode, name, allow_input_downcast, on_unused_input,
        no_default_updates,
    )  # fmt: skip


MAXIMAL_EVALUATORS = 8


def evaluate(variable: Any, given: Mapping[Any, Any]) -> Any:
    """Return the value of a variable, with a function that is kept with it: for these inputs, settings and rules."""
    key = (*given, *[getattr(config, name) for name in SETTINGS], *RULES)
    try:
        kept = variable._evaluators
    except AttributeError:
        kept = variable._evaluators = {}
    found = kept.get(key)
    if found is None:
        found = kept[key] = function(list(given), variable, on_unused_input="ignore")
        if len(kept) > MAXIMAL_EVALUATORS:
            del kept[next(iter(kept))]
    return found(*given.values())


def compile_as(
    kind: type[_Function],
    inputs: Any,
    outputs: Any,
    updates: Any,
    givens: Any,
    mode: Any,
    name: str | None,
    allow_input_downcast: bool | None,
    on_unused_input: str | None,
    no_default_updates: bool | Sequence[Any],
) -> _Function:
    """Compile a function of a class of functions; see `function`."""
    device = resolve_device()
    specs = [_input(entry, allow_input_downcast) for entry in _as_sequence(inputs)]
    variables, keys, single = _outputs(outputs)
    places = _places(variables, device)
    with no_garbage_collection():
        graph = close_graph(
            [spec.variable for spec in specs], variables, updates, givens,
            configured_on_unused_input(on_unused_input), no_default_updates,
        )  # fmt: skip
    if any(spec.variable.owner is not None for spec in specs):
        graph, specs = _with_leaves(graph, specs)
    compiled = kind(graph, specs, find_mode(mode), keys, single, name)
    compiled.places = places
    return compiled


def _places(outputs: Sequence[Any], device: str) -> tuple[str | None, ...]:
    """Return for each output the GPU that it is to be returned on, or None; nothing if there are none such.

    Raises
    ------
    DeviceError
        If there is one, and the function runs on the CPU.
    """
    targets = [_target(output) for output in outputs]
    if set(targets) <= {HOST}:
        return ()
    if device == HOST:
        output, target = next((v, t) for v, t in zip(outputs, targets, strict=True) if t != HOST)
        raise user_error(
            DeviceError, f"an output is transferred to {target}, and the function runs on the CPU", [output],
            f"Set symgrad.config.device = {target!r} before the function is compiled, or return it without transfer.",
        )  # fmt: skip
    line = str(current_source() or "")
    return tuple([None if target == HOST else resolve_device(target, line) for target in targets])


def _target(output: Any) -> str:
    """Return where an output is to be returned."""
    if output.owner is None or not isinstance(output.owner.op, Transfer):
        return HOST
    target = output.owner.op.target
    return resolve_device(target) if target == "auto" else target


def _with_leaves(graph: ClosedGraph, specs: list[InputSpec]) -> tuple[ClosedGraph, list[InputSpec]]:
    """Put fresh variables in place of inputs that expressions compute: nothing may look behind an input."""
    fresh: dict[Variable, Variable] = {}
    for spec in specs:
        if spec.variable.owner is not None:
            leaf = fresh[spec.variable] = spec.variable.type(spec.variable.name)
            leaf._source = spec.variable.owner.source
    roots = substitute(graph.roots, fresh)
    count = len(graph.outputs)
    inputs = tuple([fresh.get(variable, variable) for variable in graph.inputs])
    closed = ClosedGraph(inputs, tuple(roots[:count]), graph.targets, tuple(roots[count:]))
    return closed, [replace(spec, variable=fresh.get(spec.variable, spec.variable)) for spec in specs]


def _as_sequence(inputs: Any) -> Sequence[Any]:
    if isinstance(inputs, Variable | In | Mapping) or not hasattr(inputs, "__iter__"):
        raise user_error(
            TypeError, f"inputs must be a list of variables, got {type(inputs).__name__}", remedy="Write [x]."
        )
    return list(inputs)


def _input(entry: Any, allow_downcast: bool | None) -> InputSpec:
    if isinstance(entry, tuple | list) and len(entry) == 2:
        entry = In(entry[0], value=entry[1])
    given = entry if isinstance(entry, In) else In(entry)
    allow = given.allow_downcast if given.allow_downcast is not None else allow_downcast
    if allow is None:
        allow = config.allow_input_downcast
    default = given.value
    if default is not None:
        default = given.variable.type.convert(default, given.strict, allow)
    return InputSpec(given.variable, given.name, default, given.strict, allow)


def _outputs(outputs: Any) -> tuple[list[Any], list[Any] | None, bool]:
    """Return the variables, the keys of a dict (or None), and whether there is just one output without a list."""
    if outputs is None:
        return [], None, False
    if isinstance(outputs, Mapping):
        return [_variable(value) for value in outputs.values()], list(outputs), False
    if isinstance(outputs, list | tuple):
        return [_variable(value) for value in outputs], None, False
    return [_variable(outputs)], None, True


def _variable(value: Any) -> Any:
    if isinstance(value, Out):
        value = value.variable
    return value if isinstance(value, Variable) else as_operand(value)
