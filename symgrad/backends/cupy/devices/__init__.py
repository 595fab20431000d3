"""GPUs: whether there is one, its memory and stream, what is compiled for it, and its errors."""
