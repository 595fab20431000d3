"""What a program has on its device: memory, constants, loaded kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgrad.backends.cupy.devices.device import Device
from symgrad.backends.cupy.programs.blocks import Staging
from symgrad.backends.cupy.programs.playing import Player
from symgrad.backends.cupy.tapes.listing import module_text
from symgrad.backends.cupy.tapes.places import Addresses
from symgrad.backends.cupy.tapes.rounds import Branching, Rounds
from symgrad.backends.cupy.tapes.tape import Tape
from symgrad.lowering.plan import Plan


class Loaded:
    """What a program has on its device."""

    def __init__(self, plan: Plan, tape: Tape, device: Device, staying: frozenset[int]) -> None:
        self.staging = Staging(plan, device, staying)
        self.memory = device.allocate(tape.block.bytes)
        self.own = int(self.memory.ptr)
        self.kept: list[Any] = []
        self.constants = self._constants_of(tape, device)
        kernels = tape.kernels()
        functions = device.kernels(module_text(kernels.values()), list(kernels)) if kernels else {}
        self.player = Player(device, functions)

    def _constants_of(self, tape: Tape, device: Device) -> list[int]:
        """Send the constants of a tape, and of those inside it; return the addresses of its own."""
        arrays = [device.upload(constant) for constant in tape.constants]
        self.kept += arrays
        for item in tape.items:
            if isinstance(item, Rounds):
                item.constants = self._constants_of(item.tapes[0], device)
            elif isinstance(item, Branching):
                item.constants = [self._constants_of(side, device) for side in item.tapes]
        return [int(array.data.ptr) for array in arrays]

    def addresses(self, shared: Sequence[int]) -> Addresses:
        """Return the addresses of all memories."""
        staging = self.staging
        return Addresses(self.own, staging.inputs, staging.outputs, shared, self.constants, staging.status_address)

