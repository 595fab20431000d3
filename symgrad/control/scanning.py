"""`scan`: a loop written as a function of one step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from symgrad.config import config
from symgrad.control.bodies import lifted_leaves, make_body
from symgrad.control.layout import Layout
from symgrad.control.loop_arguments import Recurrence, Row, number_of_steps, recurrence_of, rows_of
from symgrad.control.loop_results import fit_state, fit_update
from symgrad.control.patterns import as_outputs, fit_pattern, input_like
from symgrad.control.scan_op import Scan
from symgrad.control.step_results import OrderedUpdates, StepResults, as_list, loop_error, parse_results
from symgrad.errors import MissingInputError
from symgrad.graph.op import user_error
from symgrad.graph.test_values import note_test_values, without_test_values
from symgrad.graph.traversal import applies_before, substitute
from symgrad.graph.variables import Constant, SharedVariable, make_constant
from symgrad.kernels.grammar import State
from symgrad.ops.axes import shape_padleft
from symgrad.ops.casting import cast
from symgrad.ops.promotion import as_operand, upcast


def scan(
    fn: Callable[..., Any],
    sequences: Any = None,
    outputs_info: Any = None,
    non_sequences: Any = None,
    n_steps: Any = None,
    truncate_gradient: int = -1,
    go_backwards: bool = False,
    mode: Any = None,
    name: str | None = None,
    profile: Any = False,
    allow_gc: bool | None = None,
    strict: bool = False,
    return_list: bool = False,
) -> tuple[Any, OrderedUpdates]:
    """Return what a function of one step computes, carried out again and again.

    Parameters
    ----------
    fn : callable
        Gets the rows of the sequences (each sequence at each of its taps), then the earlier values of the recurrent
        outputs (each at each of its taps), then the non-sequences. Returns outputs, updates of shared variables (a dict
        or pairs) and ``until(condition)``, in this order; each may be missing.
    sequences : tensor, dict, or list of them, optional
        What each step gets a row of. A dict ``{'input': x, 'taps': [-1, 0, 1]}`` gives it several rows, by their
        distance from the current one.
    outputs_info : tensor, dict, None, or list of them, optional
        For each output, the value before the first step, which makes it recurrent; None for an output that is only
        collected. A dict ``{'initial': x, 'taps': [-2, -1]}`` gives a step several earlier values; `initial` then has
        a row for each step back that the taps need, the oldest first.
    non_sequences : tensor, or list of them, optional
        What each step gets as it is. Other variables that `fn` uses are found, and need no mention unless `strict`.
    n_steps : int or integer scalar, optional
        The number of steps; by default as many as the shortest sequence has rows.
    truncate_gradient : int
        Through how many steps, counted from the last, gradients go back; -1 for all.
    go_backwards : bool
        Whether sequences are gone through from their ends.
    mode, profile, allow_gc
        Accepted for Theano's sake.
    name : str, optional
        A name for people.
    strict : bool
        Refuse variables that `fn` uses without getting them as an argument.
    return_list : bool
        Return a list even if there is one output.

    Returns
    -------
    outputs : tensor, list of tensors, or None
        The values of each output after each step, ``(n_steps, ...)``; initial values aren't among them.
    updates : OrderedUpdates
        New values of the shared variables that steps update, those of random streams among them. Pass them to
        `function`.

    Raises
    ------
    ValueError, TypeError
        If the number of steps isn't known, or sequences, initial values and what `fn` returns don't fit together.
    MissingInputError
        If `strict`, and `fn` uses a variable that it doesn't get.

    Notes
    -----
    Keeps the behaviour of Theano's ``theano.scan``. Where an initial value is a Python number, it takes the dtype that
    the step gives it.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> x = T.dvector('x')
    >>> sums, _ = symgrad.scan(lambda element, total: total + element, sequences=x, outputs_info=0.0)
    >>> print(symgrad.function([x], sums)([1., 2., 3.]))
    [1. 3. 6.]
    """
    options = {"label": name or "", "truncate": int(truncate_gradient)}
    found, updates = looped(fn, sequences, outputs_info, non_sequences, n_steps, go_backwards, strict, options)
    if return_list or len(found) > 1:
        return found, updates
    return (found[0] if found else None), updates


def looped(
    fn: Callable[..., Any],
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any,
    n_steps: Any,
    go_backwards: bool,
    strict: bool,
    options: Mapping[str, Any],
    only_last: bool = False,
) -> tuple[list[Any], OrderedUpdates]:
    """Return the list of outputs and the updates of a loop; arguments as of `scan`, `options` as of the op.

    With `only_last`, each output is the last value: of a loop without steps, the first one before it.
    """
    taken = [row for entry in as_list(sequences) for row in rows_of(entry, go_backwards)]
    states = [recurrence_of(number, entry) for number, entry in enumerate(as_list(outputs_info))]
    constants = [as_operand(value) for value in as_list(non_sequences)]
    rounds = number_of_steps(n_steps, [row.sequence for row in taken])
    recurrent = [state for state in states if state is not None]
    inner = [*[row.variable for row in taken], *[tap for state in recurrent for tap in state.taken]]
    results = parse_results(fn(*inner, *constants))
    with without_test_values():  # inside, variables stand for something that changes
        found, updates = _Writer(taken, states, constants, results, strict, only_last).loop(rounds, options)
    if config.compute_test_value != "off":
        for node in dict.fromkeys([output.owner for output in (*found, *updates.values())]):
            note_test_values(node)
    return found, updates


@dataclass(eq=False)
class _Writer:
    """Makes the loop of what the user's step gave."""

    taken: list[Row]
    states: list[Recurrence | None]
    explicit: list[Any]
    results: StepResults
    strict: bool
    only_last: bool

    def loop(self, rounds: Any, options: Mapping[str, Any]) -> tuple[list[Any], OrderedUpdates]:
        """Return the outputs of the loop and the updates."""
        self._match_outputs()
        given, inner = self._explicit_inner()
        carried = self._carried(given)
        targets: dict[Any, Any] = {target: input_like(target) for target in carried}
        roots = [*self.results.outputs, *carried.values()]
        if self.results.condition is not None:
            roots.append(self.results.condition)
        roots = substitute(roots, {**inner, **targets})
        roots = self._settle_dtypes(roots)
        roots, constants = self._lift(roots, inner, targets)
        return self._apply(rounds, roots, carried, targets, constants, options)

    def _match_outputs(self) -> None:
        """Give each output its place in `states`."""
        found, wanted = len(self.results.outputs), len(self.states)
        if not self.states:
            self.states = [None] * found
        elif found != wanted:
            raise user_error(
                ValueError, f"outputs_info describes {wanted} outputs, and a step returns {found}", (),
                "Write None in outputs_info for an output that isn't recurrent.",
            )  # fmt: skip

    def _recurrent(self) -> list[tuple[int, Recurrence]]:
        return [(number, state) for number, state in enumerate(self.states) if state is not None]

    def _inner(self) -> list[Any]:
        """Return the variables of rows and taps."""
        taps = [tap for _, state in self._recurrent() for tap in state.taken]
        return [*[row.variable for row in self.taken], *taps]

    def _explicit_inner(self) -> tuple[list[Any], dict[Any, Any]]:
        """Return where walks stop, and what stands inside for each non-sequence that the user gave."""
        outside = [value for value in self.explicit if not isinstance(value, Constant | SharedVariable)]
        inner = {value: input_like(value) for value in outside}
        return [*self._inner(), *inner], inner

    def _carried(self, given: Sequence[Any]) -> dict[SharedVariable, Any]:
        """Return the shared variables that steps change, and their new values."""
        carried = {target: fit_update(target, value) for target, value in self.results.updates.items()}
        roots = [*self.results.outputs, *carried.values()]
        if self.results.condition is not None:
            roots.append(self.results.condition)
        while True:
            leaves = dict.fromkeys(v for node in applies_before(roots, stop_at=given) for v in node.inputs)
            leaves.update(dict.fromkeys(roots))
            fresh = {
                leaf: fit_update(leaf, leaf.default_update) for leaf in leaves
                if isinstance(leaf, SharedVariable) and leaf.default_update is not None and leaf not in carried
            }  # fmt: skip
            if not fresh:
                return carried
            carried.update(fresh)
            roots += fresh.values()

    def _settle_dtypes(self, roots: list[Any]) -> list[Any]:
        """Let an initial value that is a Python number take the dtype of what a step makes of it."""
        for _ in range(3):
            changed: dict[Any, Any] = {}
            for number, state in self._recurrent():
                wanted = upcast(state.initial.type.dtype, roots[number].type.dtype)
                if state.is_number and wanted != state.initial.type.dtype:
                    before = state.taken
                    state.initial = cast(state.initial, wanted)
                    state.retake()
                    changed.update(zip(before, state.taken, strict=True))
            if not changed:
                break
            roots = substitute(roots, changed)
        return roots

    def _lift(
        self, roots: list[Any], inner: Mapping[Any, Any], targets: Mapping[Any, Any]
    ) -> tuple[list[Any], dict[Any, Any]]:
        """Return the roots with what comes from outside replaced, and by what: all constants of the loop."""
        constants = dict(inner)
        outer = lifted_leaves(roots, [*self._inner(), *inner.values(), *targets.values()])
        hidden = [variable for variable in outer if variable not in self.explicit]
        unseen = [leaf for leaf in _leaves(hidden) if leaf not in self.explicit]
        if self.strict and unseen:
            raise loop_error(
                MissingInputError, "with strict=True, a step may only use what it gets as an argument",
                {str(leaf): leaf for leaf in unseen}, "Add it to non_sequences.",
            )  # fmt: skip
        replaced: dict[Any, Any] = {}
        for variable in outer:
            known = variable.known
            replaced[variable] = input_like(variable) if known is None else make_constant(known)
        constants.update((variable, one) for variable, one in replaced.items() if not isinstance(one, Constant))
        used = {v for node in applies_before(roots) for v in node.inputs} | set(roots)
        constants = {outside: one for outside, one in constants.items() if one in used or outside in used}
        return substitute(roots, replaced), constants

    def _apply(
        self,
        rounds: Any,
        roots: list[Any],
        carried: Mapping[SharedVariable, Any],
        targets: Mapping[Any, Any],
        constants: Mapping[Any, Any],
        options: Mapping[str, Any],
    ) -> tuple[list[Any], OrderedUpdates]:
        count = len(self.states)
        recurrent = self._recurrent()
        outputs = [
            fit_state(number, root, state) if state is not None else root
            for number, (root, state) in enumerate(zip(roots, self.states, strict=False))
        ]
        values = roots[count : count + len(carried)]
        values = [fit_pattern(value, targets[target].type) for value, target in zip(values, carried, strict=True)]
        condition = roots[count + len(carried) :]
        stacked = [outputs[number] for number, state in enumerate(self.states) if state is None]
        body = make_body(
            [*self._inner(), *targets.values(), *constants.values()],
            [*[outputs[number] for number, _ in recurrent], *values, *stacked, *condition],
        )
        kinds = [State(state.taps, not self.only_last) for _, state in recurrent]
        kinds += [State((-1,), False)] * len(carried)
        layout = Layout(len(self.taken), tuple(kinds), len(stacked), len(constants), bool(condition))
        op = Scan(body, layout, **options)
        first = [state.initial for _, state in recurrent] + [shape_padleft(target) for target in carried]
        made = op(rounds, *[row.sequence for row in self.taken], *first, *constants)
        results = layout.results(as_outputs(made))
        of_states, of_stacked = iter(results.states), iter(results.stacked)
        found = [next(of_stacked if state is None else of_states) for state in self.states]
        found = [values[-1] for values in found] if self.only_last else found
        updates = OrderedUpdates.of([(target, last[0]) for target, last in zip(carried, of_states, strict=True)])
        return found, updates


def _leaves(variables: Sequence[Any]) -> list[Any]:
    found = dict.fromkeys(v for node in applies_before(variables) for v in node.inputs)
    found.update(dict.fromkeys(variables))
    return [leaf for leaf in found if leaf.owner is None and not isinstance(leaf, Constant)]


__all__ = ["scan"]

