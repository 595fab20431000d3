"""Errors of a device, in the user's terms."""

from __future__ import annotations

from typing import Any

from symgrad.backends.cupy.devices.device import Device
from symgrad.backends.cupy.devices.out_of_memory import out_of_memory, requested_bytes
from symgrad.backends.cupy.tapes.tape import Tape
from symgrad.backends.timing import lines_of
from symgrad.errors import SymgradError, render


def crashed(error: Exception, device: Device) -> SymgradError:
    """Return the error of a kernel that crashed, or of a CUDA call that failed."""
    step = getattr(error, "symgrad_step", None)
    where = "\n".join(str(source) for source in lines_of(step))
    name = f" in {step.name}" if step is not None else ""
    remedy = "" if step is not None else (
        "Kernels run behind the host's back: with symgrad.config.sync = True the error names the line that it is of."
    )  # fmt: skip
    return SymgradError(render(f"{device.name} reports an error{name}: {error}", where, remedy=remedy))


def no_memory(error: Exception, device: Device, tape: Tape) -> Exception:
    """Return the error of a program that doesn't fit into the device's memory."""
    memory = device.memory()
    buffers: list[Any] = []
    makers = {output: action.step for action in tape.plan.actions for output in action.step.outputs}
    for size, variable in tape.block.labels:
        sources = lines_of(makers.get(variable))
        buffers.append((str(variable), size, sources[0] if sources else None))
    requested = requested_bytes(error) or tape.block.bytes
    error.__traceback__ = None  # its frames hold what could be allocated
    return out_of_memory(requested, memory.used, memory.limit or memory.total, buffers, device.name)
