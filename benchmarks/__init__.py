"""How fast lcnkit is, beside what one would use instead: ``python -m benchmarks --help``."""
