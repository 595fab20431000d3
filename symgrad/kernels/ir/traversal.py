"""Walks over kernels: statements in loops, expressions in statements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from symgrad.kernels.ir.grammar import Call, Cast, Check, Expression, Let, Load, Loop, Ref, Statement, Store


def subexpressions(expression: Expression) -> Iterator[Expression]:
    """Give an expression and all that it is made of, each object once."""
    seen: set[int] = set()
    pending = [expression]
    while pending:
        current = pending.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        pending.extend(parts(current))


def names_in(expression: Expression) -> set[str]:
    """Return all names that an expression refers to."""
    return {part.name for part in subexpressions(expression) if isinstance(part, Ref)}


def parts(expression: Expression) -> tuple[Expression, ...]:
    """Return the expressions that an expression is made of."""
    if isinstance(expression, Load):
        return expression.indices if expression.mask is None else (*expression.indices, expression.mask)
    if isinstance(expression, Cast):
        return (expression.value,)
    return expression.operands if isinstance(expression, Call) else ()


def expressions(statement: Statement) -> tuple[Expression, ...]:
    """Return the expressions that a statement itself holds, without those of a loop's body."""
    if isinstance(statement, Loop):
        return tuple(carried.start for carried in statement.carried)
    if isinstance(statement, Check):
        return (statement.condition,)
    if isinstance(statement, Store):
        values = (*statement.indices, statement.value)
        return values if statement.mask is None else (*values, statement.mask)
    return (statement.value,)


def walk(body: Sequence[Statement]) -> Iterator[Statement]:
    """Give all statements of a body, those in loops too."""
    for statement in body:
        yield statement
        if isinstance(statement, Loop):
            yield from walk(statement.body)


def in_order(expression: Expression) -> Iterator[Expression]:
    """Give the operands of an expression's functions before what is made of them; loads are not taken apart."""
    done: set[int] = set()
    pending = [(expression, False)]
    while pending:
        current, ready = pending.pop()
        if ready:
            yield current
        elif id(current) not in done:
            done.add(id(current))
            pending.append((current, True))
            if isinstance(current, Call | Cast):
                pending.extend((part, False) for part in reversed(parts(current)))


def index_names(body: Sequence[Statement]) -> set[str]:
    """Return the names that indices are made of, directly or through other names."""
    lets: dict[str, Expression] = {}
    names: set[str] = set()
    for statement in walk(body):
        if isinstance(statement, Let):
            lets[statement.name] = statement.value
        places = list(statement.indices) if isinstance(statement, Store) else []
        for whole in expressions(statement):
            places += [place for part in subexpressions(whole) if isinstance(part, Load) for place in part.indices]
        for place in places:
            names |= names_in(place)
    pending = list(names)
    while pending:
        name = pending.pop()
        found = names_in(lets[name]) - names if name in lets else set()
        names |= found
        pending.extend(found)
    return names
