"""What a run survives: each fault is done for real to running processes, and the bytes are compared afterwards.

``python -m benchmarks.faults [--times N] [--only FAULT,...] [--write docs/reliability.md]``
"""
