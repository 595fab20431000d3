"""Kernel IR: loop nests of scalar expressions, the same for every device."""
