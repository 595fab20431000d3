"""CUDA programs as text: what is called in order, under the user's lines, and the CUDA C++ of the kernels."""

from __future__ import annotations

from collections.abc import Iterable

from symgrad.backends.cupy.calls import ArrayCall, HostCall, LibraryCall
from symgrad.backends.cupy.kernel import CudaKernel
from symgrad.backends.cupy.prelude import PRELUDE
from symgrad.backends.cupy.tapes.rounds import Branching, Rounds
from symgrad.backends.cupy.tapes.tape import Item, Piece, Tape
from symgrad.backends.timing import lines_of
from symgrad.graph.closed import ClosedGraph

_WHERE = {CudaKernel: "", LibraryCall: "   (library)", ArrayCall: "   (CuPy)", HostCall: "   (on the host)"}


def module_text(kernels: Iterable[CudaKernel]) -> str:
    """Return the text of a module with some kernels."""
    return PRELUDE + "\n" + "\n".join(kernel.text for kernel in kernels)


def listing(tape: Tape) -> str:
    """Return a program as text."""
    kernels = tape.kernels()
    reason = tape.obstacle()
    captured = f"not captured: {reason}" if reason else "captured in a CUDA graph"
    lines = [f"# cuda: {tape.launches()} calls of {len(kernels)} kernels and libraries, {captured}"]
    lines.append(f"function({_described(tape.plan.graph)})")
    lines += _items(tape, "")
    return "\n".join(lines) + "\n\n" + "\n".join(kernel.text for kernel in kernels.values())


def _described(graph: ClosedGraph) -> str:
    return ", ".join(f"{variable}: {variable.type}" for variable in graph.inputs)


def _items(tape: Tape, indent: str) -> list[str]:
    lines: list[str] = []
    place = None
    for item in tape.items:
        sources = [str(source) for source in lines_of(item.step)]
        if sources and sources[0] != place:
            place = sources[0]
            lines += ["", f"{indent}# {place}"]
        lines += _item(item, indent)
    return lines


def _item(item: Item, indent: str) -> list[str]:
    if isinstance(item, Piece):
        work = item.call.work
        shape = f" <{'x'.join(map(str, work.grid))} blocks of {work.threads}>" if isinstance(work, CudaKernel) else ""
        return [f"{indent}{work.name}{shape}{_WHERE[type(work)]}"]
    if isinstance(item, Rounds):
        return [f"{indent}repeat {item.rounds} times:", *_items(item.tapes[0], indent + "    ")]
    assert isinstance(item, Branching)
    if_true, if_false = item.tapes
    return [f"{indent}if:", *_items(if_true, indent + "    "), f"{indent}else:", *_items(if_false, indent + "    ")]
