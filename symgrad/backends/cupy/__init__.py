"""The CUDA backend: kernels as CUDA C++, compiled and launched through CuPy.

CuPy is imported by one file, `devices/device.py`, when the first thing is done on a GPU. Only `libraries/meanings.py`
takes parts of its companion cupyx, in the call that needs them.

`backend.CudaBackend.compile` goes through the rooms in this order: `selection` asks the routines (`emit`, `products`,
`convolutions`, `randomness`, `indexing`, `recurrences`, `libraries`) for the calls of each step, `tapes` puts them in
order and says where their operands are, and `programs` plays that on one of the `devices`.
"""
