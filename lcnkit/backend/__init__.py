"""Backends: where tasks run."""
