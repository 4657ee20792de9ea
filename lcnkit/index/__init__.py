"""stac-geoparquet: the items of an archive in one table, written once and searched many times."""
