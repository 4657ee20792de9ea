"""What every worker needs for its first chip; known without loading it."""

#: Imported while a cluster starts, all workers at once, and not during the first chip of each.
WANTED_BY_EVERY_CHIP = ("lcnkit.make", "rasterio.crs", "xxhash")

#: What a run uses that chooses no plugin, loaded once where workers are forked.
WANTED_BY_DEFAULT = (
    *("lcnkit.catalog.static", "lcnkit.reader.auto", "lcnkit.transform.reflectance", "lcnkit.exporter.pickle"),
    "lcnkit.backend.dask_batch",
)
