"""Transforms: image in, image out."""
