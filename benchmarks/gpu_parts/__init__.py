"""What ``python benchmarks/gpu.py`` does: its parts, each a process of its own."""
