"""Rasters: reading files onto a chip's grid, with GDAL and without."""
