"""Loads and stores: addresses as polynomials of the loops' indices, one way of access for each step between lanes."""

from __future__ import annotations

from dataclasses import dataclass

from symgrad.backends.native.emit import expressions
from symgrad.backends.native.emit.state import Facts, State
from symgrad.backends.native.llvm.text import Value, byte_size, element_of, index, literal, mangled, vector_type
from symgrad.backends.native.scalars import ELEMENTS
from symgrad.kernels.ir.affine import Monomial, Polynomial, number, polynomial, value_range
from symgrad.kernels.ir.grammar import Buffer, Load, Ref, Store


def in_memory(dtype: str) -> str:
    """Return the type of an element in memory."""
    return "i8" if dtype == "bool" else ELEMENTS[dtype]


def offset_of(state: State, access: Load | Store) -> Polynomial:
    """Return where an access goes, in elements from the buffer's begin."""
    key = id(access)
    if key not in state.accesses:
        total = number(0)
        for place, stride in zip(access.indices, state.buffers[access.buffer].strides, strict=True):
            step = number(stride) if isinstance(stride, int) else polynomial(Ref(stride), {})
            total = total + expressions.as_polynomial(state, place) * step
        state.accesses[key] = access, total
    return state.accesses[key][1]


def facts_of_load(state: State, load: Load) -> Facts:
    """Return what a load depends on. It stays behind the checks, and the stores, around it."""
    facts = Facts(state.deepest_check, rounds=_rounds(state, load))
    for monomial, _ in offset_of(state, load).terms.values():
        facts = facts | _facts_of_monomial(state, monomial)
    if load.mask is not None:
        facts = facts | expressions.facts_of(state, load.mask)
    if load.buffer in state.written:
        facts = facts | Facts(state.depth, volatile=True)
    return facts


def _rounds(state: State, load: Load) -> frozenset[str]:
    rounds: frozenset[str] = frozenset()
    for place in load.indices:
        rounds = rounds | expressions.facts_of(state, place).rounds
    return rounds


def _facts_of_monomial(state: State, monomial: Monomial) -> Facts:
    facts = Facts(0)
    for factor in monomial:
        facts = facts | expressions.facts_of(state, factor)
    return facts


# ---- addresses ----


@dataclass(frozen=True)
class Place:
    """Where an access goes in lanes: the first lane's address and the step, or all lanes' addresses.

    Attributes
    ----------
    pointer : Value
        The address in the first lane, or of each lane.
    step : int or None
        How many elements lie from lane to lane; None if `pointer` has all addresses.
    """

    pointer: Value
    step: int | None


def _factor(state: State, monomial: Monomial, coefficient: int, lanes: bool) -> Value:
    """Return a monomial's value, in the first lane or in all."""
    product: Value | None = None
    for factor in monomial:
        if lanes:
            value = expressions.in_lanes(state, factor)
        elif state.lanes is not None and factor == Ref(state.lanes.name):
            value = state.lanes.index
        else:
            value = expressions.value_of(state, factor)
        product = value if product is None else state.f.multiply(product, value)
    if product is None:
        return index(coefficient)
    return product if coefficient == 1 else state.f.multiply(product, literal(coefficient, product.type))


def base_address(state: State, name: str) -> Value:
    """Return the address of a buffer."""
    return state.addresses[name]


def _pointer(state: State, buffer: Buffer, offset: Polynomial) -> Value:
    """Return an address in the first lane; its parts are added from the outermost loop inwards, each once."""
    pointer = base_address(state, buffer.name)
    element = in_memory(buffer.dtype)
    by_level: dict[int, list[tuple[tuple[str, ...], Monomial, int]]] = {}
    for key, (monomial, coefficient) in sorted(offset.terms.items()):
        level = _facts_of_monomial(state, monomial).level
        by_level.setdefault(level, []).append((key, monomial, coefficient))
    done: tuple[object, ...] = (buffer.name,)
    for level in sorted(by_level):
        done = (*done, *((key, coefficient) for key, _, coefficient in by_level[level]))
        remembered = state.scopes[level].values
        if ("address", done) not in remembered:
            with state.at(level):
                total: Value | None = None
                for _, monomial, coefficient in by_level[level]:
                    value = _factor(state, monomial, coefficient, lanes=False)
                    total = value if total is None else state.f.add(total, value)
                assert total is not None
                remembered["address", done] = state.f.offset(pointer, total, element)
        pointer = remembered["address", done]
    return pointer


def place_of(state: State, access: Load | Store) -> Place:
    """Return where an access goes; in one lane, its address with step 0."""
    buffer = state.buffers[access.buffer]
    offset = offset_of(state, access)
    if state.lanes is None or state.lanes.count == 1:
        return Place(_pointer(state, buffer, offset), 0)
    parts = offset.split(state.lanes.name)
    if parts is not None and not _varies(state, parts[0]) and not _varies(state, parts[1]):
        step = parts[0].constant
        pointer = _pointer(state, buffer, offset)
        return Place(pointer, step) if step in (-1, 0, 1) else _spread(state, buffer, pointer, parts[0])
    return _scattered(state, buffer, offset)


def _varies(state: State, offset: Polynomial) -> bool:
    return any(_facts_of_monomial(state, monomial).varying for monomial, _ in offset.terms.values())


def _spread(state: State, buffer: Buffer, pointer: Value, step: Polynomial) -> Place:
    """Return the addresses of lanes at a fixed distance."""
    assert state.lanes is not None
    count = state.lanes.count
    if step.constant is not None:
        return Place(_lane_addresses(state, buffer, pointer, expressions.count_up(count, "i64", step.constant)), None)
    facts = Facts(0)
    for monomial, _ in step.terms.values():
        facts = facts | _facts_of_monomial(state, monomial)
    remembered, key = state.scopes[facts.level].values, ("steps", step.signature, count)
    if key not in remembered:
        with state.at(facts.level):
            total: Value | None = None
            for monomial, coefficient in step.terms.values():
                value = _factor(state, monomial, coefficient, lanes=False)
                total = value if total is None else state.f.add(total, value)
            assert total is not None
            distances = state.f.splat(total, count)
            remembered[key] = state.f.multiply(expressions.count_up(count, "i64"), distances)
    return Place(_lane_addresses(state, buffer, pointer, remembered[key]), None)


def _scattered(state: State, buffer: Buffer, offset: Polynomial) -> Place:
    """Return the addresses of lanes that depend on data: what is equal in all lanes is added as a scalar."""
    varying = {k: term for k, term in offset.terms.items() if _facts_of_monomial(state, term[0]).varying}
    equal = {k: term for k, term in offset.terms.items() if k not in varying}
    total: Value | None = None
    for monomial, coefficient in varying.values():
        value = _factor(state, monomial, coefficient, lanes=True)
        total = value if total is None else state.f.add(total, value)
    assert total is not None
    return Place(_lane_addresses(state, buffer, _pointer(state, buffer, Polynomial(equal)), total), None)


def _lane_addresses(state: State, buffer: Buffer, pointer: Value, offsets: Value) -> Value:
    kind = f"<{offsets.type[1:].split(' ')[0]} x ptr>"
    return state.f.emit(f"getelementptr {in_memory(buffer.dtype)}, ptr {pointer}, {offsets.typed}", kind)


# ---- loads ----


def load(state: State, access: Load, facts: Facts) -> Value:
    """Write a load, in lanes if it varies."""
    buffer = state.buffers[access.buffer]
    if not facts.varying or state.lanes is None or state.lanes.count == 1:
        value = _load_scalar(state, access, buffer, facts)
    else:
        value = _load_lanes(state, access, buffer, facts)
    if buffer.dtype == "bool":
        return state.f.compare("ne", value, literal(0, value.type))
    return value


def _load_scalar(state: State, access: Load, buffer: Buffer, facts: Facts) -> Value:
    kind = in_memory(buffer.dtype)
    pointer = _pointer(state, buffer, offset_of(state, access))
    condition = _guard(state, access, facts)
    if access.mask is not None:
        mask = expressions.value_of(state, access.mask)
        condition = mask if condition is None else state.f.binary("and", condition, mask)
    if condition is None:
        return state.f.load(pointer, kind)
    # The table of addresses is memory that is always there.
    value = state.f.load(state.f.select(condition, pointer, state.f.parameters[0]), kind)
    return value if access.mask is None else state.f.select(condition, value, literal(0, kind))


def _load_lanes(state: State, access: Load, buffer: Buffer, facts: Facts) -> Value:
    assert state.lanes is not None
    kind = vector_type(in_memory(buffer.dtype), state.lanes.count)
    mask = _mask(state, access, _guard(state, access, facts))
    place = place_of(state, access)
    zero = literal(0, kind)
    if place.step == 0:
        pointers = state.f.splat(place.pointer, state.lanes.count)
        return _gather(state, pointers, kind, mask)
    if place.step is None:
        return _gather(state, place.pointer, kind, mask)
    pointer = place.pointer if place.step == 1 else _first_of_reversed(state, place.pointer, kind)
    if place.step == -1 and mask is not None:
        mask = _reversed(state, mask)
    value = state.f.load(pointer, kind) if mask is None else state.f.masked_load(pointer, kind, mask, zero)
    return value if place.step == 1 else _reversed(state, value)


def _first_of_reversed(state: State, pointer: Value, kind: str) -> Value:
    assert state.lanes is not None
    return state.f.offset(pointer, index(1 - state.lanes.count), element_of(kind))


def _reversed(state: State, value: Value) -> Value:
    assert state.lanes is not None
    return state.f.shuffle(value, value, range(state.lanes.count - 1, -1, -1))


def _mask(state: State, access: Load | Store, guard: Value | None = None) -> Value | None:
    """Return which lanes touch memory; None if all do."""
    assert state.lanes is not None
    masks = [] if state.lanes.mask is None else [state.lanes.mask]
    if access.mask is not None:
        masks.append(expressions.in_lanes(state, access.mask))
    if guard is not None:
        masks.append(state.f.splat(guard, state.lanes.count))
    total: Value | None = None
    for mask in masks:
        total = mask if total is None else state.f.binary("and", total, mask)
    return total


def _all_lanes(count: int) -> Value:
    return literal(1, f"<{count} x i1>")


def _gather(state: State, pointers: Value, kind: str, mask: Value | None) -> Value:
    assert state.lanes is not None
    mask = mask or _all_lanes(state.lanes.count)
    name = f"llvm.masked.gather.{mangled(kind)}.{mangled(pointers.type)}"
    state.f.declare(name, kind, [pointers.type, "i32 immarg", mask.type, kind])
    align = byte_size(element_of(kind))
    zero = literal(0, kind)
    return state.f.emit(f"call {kind} @{name}({pointers.typed}, i32 {align}, {mask.typed}, {zero.typed})", kind)


def _guard(state: State, access: Load, facts: Facts) -> Value | None:
    """Return whether a load that left its loops would have run: an empty loop's buffers may be empty, too."""
    sizes = {scope.guard for scope in state.scopes[facts.level + 1 :] if scope.guard is not None}
    if not sizes or _is_inside(state, access):
        return None
    total: Value | None = None
    for size in sorted(map(str, sizes)):
        runs = state.f.compare("sgt", expressions.size_value(state, size), index(0))
        total = runs if total is None else state.f.binary("and", total, runs)
    return total


def _is_inside(state: State, access: Load) -> bool:
    """Whether all indices are known to be inside the buffer, whatever the inner loops do."""
    loops = [scope.loop for scope in state.scopes if scope.loop is not None]
    extents = {loop.index: loop.extent for loop in loops}
    known = {name: extent for name, extent in extents.items() if isinstance(extent, int)}
    for place, size in zip(access.indices, state.buffers[access.buffer].shape, strict=True):
        if isinstance(place, Ref) and place.name in extents and extents[place.name] == size:
            continue
        reached = value_range(expressions.as_polynomial(state, place), known)
        if reached is None or not isinstance(size, int) or not 0 <= reached[0] <= reached[1] < size:
            return False
    return True


# ---- stores ----


def store(state: State, access: Store) -> None:
    """Write a store."""
    buffer = state.buffers[access.buffer]
    value = expressions.in_lanes(state, access.value)
    if buffer.dtype == "bool":
        value = state.f.convert("zext", value, "i8" if value.type == "i1" else value.type.replace("i1>", "i8>"))
    if state.lanes is None or state.lanes.count == 1:
        _store_scalar(state, access, buffer, value)
    else:
        _store_lanes(state, access, value)


def _store_scalar(state: State, access: Store, buffer: Buffer, value: Value) -> None:
    pointer = _pointer(state, buffer, offset_of(state, access))
    if access.mask is None:
        state.f.store(value, pointer)
        return
    with state.f.when(expressions.value_of(state, access.mask), "store"):
        state.f.store(value, pointer)


def _store_lanes(state: State, access: Store, value: Value) -> None:
    mask = _mask(state, access)
    place = place_of(state, access)
    assert place.step != 0, f"all rounds of a vector loop write the same element of {access.buffer}"
    assert state.lanes is not None
    if place.step is None:
        _scatter(state, value, place.pointer, mask or _all_lanes(state.lanes.count))
        return
    pointer = place.pointer
    if place.step == -1:
        pointer, value = _first_of_reversed(state, pointer, value.type), _reversed(state, value)
        mask = None if mask is None else _reversed(state, mask)
    if mask is not None:
        state.f.masked_store(value, pointer, mask)
    elif place.step == 1 and _may_stream(state, access):
        _stream(state, access.buffer, value, pointer)
    else:
        state.f.store(value, pointer)


def _may_stream(state: State, access: Store) -> bool:
    """Whether a store passes by the caches, and its lanes are aligned if the buffer is."""
    if access.buffer not in state.streamed:
        return False
    assert state.lanes is not None
    own = Ref(state.lanes.name)
    align = state.vector_bytes // byte_size(in_memory(state.buffers[access.buffer].dtype))
    terms = offset_of(state, access).terms.values()
    return state.lanes.count >= align and all(m == (own,) or number % align == 0 for m, number in terms)


def _stream(state: State, name: str, value: Value, pointer: Value) -> None:
    """Store without reading into the caches what is there, if the buffer is aligned as that needs."""
    f = state.f
    remembered = state.scopes[0].values
    if ("aligned", name) not in remembered:
        with state.at(0):
            number = f.convert("ptrtoint", base_address(state, name), "i64")
            low = f.binary("and", number, index(state.vector_bytes - 1))
            remembered["aligned", name] = f.compare("eq", low, index(0))
    aligned, plain, done = (f.new_block(f"stream.{part}") for part in ("aligned", "plain", "done"))
    f.branch(remembered["aligned", name], aligned, plain)
    f.start(aligned)
    f.store(value, pointer, align=state.vector_bytes, words="")
    f.lines[-1] += ", !nontemporal !{i32 1}"
    f.jump(done)
    f.start(plain)
    f.store(value, pointer)
    f.jump(done)
    f.start(done)


def _scatter(state: State, value: Value, pointers: Value, mask: Value) -> None:
    name = f"llvm.masked.scatter.{mangled(value.type)}.{mangled(pointers.type)}"
    state.f.declare(name, "void", [value.type, pointers.type, "i32 immarg", mask.type])
    align = byte_size(element_of(value.type))
    state.f.do(f"call void @{name}({value.typed}, {pointers.typed}, i32 {align}, {mask.typed})")
