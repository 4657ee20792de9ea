"""Exporters: samples into files, files into a data set."""
