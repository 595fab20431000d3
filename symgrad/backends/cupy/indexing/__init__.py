"""Kernels that write and add at positions, and the sorts that they need."""
