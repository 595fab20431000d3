"""Index expressions as polynomials: sums of integer multiples of products of names.

Addresses, strides of access and ranges of indices follow from them.
"""

from __future__ import annotations

from collections.abc import Mapping

from symgrad.kernels.ir.grammar import Call, Expression, Literal, Ref

MOST_TERMS = 32
"""Products with more terms than this are not multiplied out."""

Monomial = tuple[Expression, ...]
"""A product of factors that aren't taken apart: names, mostly; () is 1."""


class Polynomial:
    """A sum of monomials with integer coefficients.

    Attributes
    ----------
    terms : dict
        From the identities of a monomial's factors to the monomial and its coefficient, never 0.
    """

    __slots__ = ("terms",)

    def __init__(self, terms: Mapping[tuple[str, ...], tuple[Monomial, int]]) -> None:
        self.terms = {key: term for key, term in terms.items() if term[1]}

    def __add__(self, other: Polynomial) -> Polynomial:
        terms = dict(self.terms)
        for key, (monomial, coefficient) in other.terms.items():
            terms[key] = (monomial, coefficient + (terms[key][1] if key in terms else 0))
        return Polynomial(terms)

    def __mul__(self, other: Polynomial) -> Polynomial:
        product = Polynomial({})
        for first, a in self.terms.values():
            for second, b in other.terms.values():
                product = product + _single((*first, *second), a * b)
        return product

    @property
    def constant(self) -> int | None:
        """The value of a polynomial without names; None if it has some."""
        if not self.terms:
            return 0
        return self.terms[()][1] if set(self.terms) == {()} else None

    @property
    def signature(self) -> tuple[tuple[tuple[str, ...], int], ...]:
        """What two polynomials have in common exactly if they are equal, as long as their expressions live."""
        return tuple(sorted((key, coefficient) for key, (_, coefficient) in self.terms.items()))

    def split(self, name: str) -> tuple[Polynomial, Polynomial] | None:
        """Return `(coefficient, rest)` of ``coefficient * name + rest``; None if there is a higher power."""
        label = f"name {name}"
        coefficient, rest = {}, {}
        for key, (monomial, number) in self.terms.items():
            count = key.count(label)
            if count > 1:
                return None
            if count:
                place = key.index(label)
                shorter = monomial[:place] + monomial[place + 1 :]
                coefficient[key[:place] + key[place + 1 :]] = (shorter, number)
            else:
                rest[key] = (monomial, number)
        return Polynomial(coefficient), Polynomial(rest)


def identity(expression: Expression) -> str:
    """Return a text that is the same for the same name, and for one expression object."""
    return f"name {expression.name}" if isinstance(expression, Ref) else f"object {id(expression)}"


def _single(factors: Monomial, coefficient: int) -> Polynomial:
    ordered = sorted(factors, key=identity)
    return Polynomial({tuple(map(identity, ordered)): (tuple(ordered), coefficient)})


def number(value: int) -> Polynomial:
    """Return a constant."""
    return _single((), value)


def polynomial(expression: Expression, known: Mapping[str, Polynomial]) -> Polynomial:
    """Return an index expression as a polynomial; `known` says what some names stand for."""
    if isinstance(expression, Literal):
        return number(int(expression.value))
    if isinstance(expression, Ref):
        return known[expression.name] if expression.name in known else _single((expression,), 1)
    if isinstance(expression, Call) and expression.dtype == "int64":
        operands = expression.operands
        if expression.function == "negative":
            return polynomial(operands[0], known) * number(-1)
        if expression.function in ("add", "subtract", "multiply"):
            first, second = (polynomial(operand, known) for operand in operands)
            if expression.function == "multiply":
                is_small = len(first.terms) * len(second.terms) <= MOST_TERMS
                return first * second if is_small else _single((expression,), 1)
            return first + (second if expression.function == "add" else second * number(-1))
    return _single((expression,), 1)


def value_range(value: Polynomial, extents: Mapping[str, int]) -> tuple[int, int] | None:
    """Return the least and greatest value if all names are loop indices with `extents`, none multiplied; else None."""
    low = high = 0
    for monomial, coefficient in value.terms.values():
        if not monomial:
            low, high = low + coefficient, high + coefficient
            continue
        factor = monomial[0]
        if len(monomial) > 1 or not isinstance(factor, Ref) or factor.name not in extents:
            return None
        reach = coefficient * (extents[factor.name] - 1)
        low, high = low + min(reach, 0), high + max(reach, 0)
    return low, high
