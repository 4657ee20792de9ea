"""Readers: pixels of items on a chip's grid."""
