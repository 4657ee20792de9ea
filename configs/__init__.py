"""lcnkit's configuration files: the primary config, data sets and experiments."""
