"""The native CPU backend: kernels as machine code, and one native call for a whole function."""
