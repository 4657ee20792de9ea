"""Servers for tests, all on loopback: STAC APIs, a proxy that misbehaves, and a file server."""
