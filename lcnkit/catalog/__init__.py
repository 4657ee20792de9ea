"""Catalogs: where acquisitions are looked up."""
