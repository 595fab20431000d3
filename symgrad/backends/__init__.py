"""Backends: each turns a plan into a program that runs."""
