"""LLVM: text of modules, the processor, machine code."""
