"""Programs: they play a tape, capture it in a CUDA graph, launch it, and carry arguments and results."""
