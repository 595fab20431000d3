"""Tests of the CUDA backend that need no GPU."""
