"""The CUDA backend: kernels as CUDA C++, compiled and launched through CuPy.

CuPy is imported by one file, `device.py`, when the first thing is done on a GPU.
"""
