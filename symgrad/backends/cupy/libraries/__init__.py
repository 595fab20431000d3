"""What others computed before us: bindings to cuBLAS and cuDNN, and ops that CuPy's functions do."""
