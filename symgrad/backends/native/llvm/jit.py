"""Compiles modules to machine code in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import llvmlite.binding as llvm

_engines: list[object] = []
"""Machine code lives as long as its engine: as long as the process."""


def target_machine(cpu: str | None = None, features: str | None = None) -> llvm.TargetMachine:
    """Return the machine to generate code for: by default the one that runs this."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    if cpu is None:
        cpu = llvm.get_host_cpu_name()
        features = llvm.get_host_cpu_features().flatten() if features is None else features
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(
        cpu=cpu, features=features or "", opt=1, reloc="pic", codemodel="small", jit=True)  # fmt: skip


def load(text: str, names: Sequence[str]) -> Mapping[str, int]:
    """Compile a module and return the addresses of its functions."""
    machine = target_machine()
    module = llvm.parse_assembly(text)
    module.verify()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(machine.emit_object(module)))
    engine.finalize_object()
    _engines.append(engine)
    return {name: engine.get_function_address(name) for name in names}
