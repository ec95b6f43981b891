"""Networks written for other tools."""

from model.exporters.nir import write_nir

__all__ = ["write_nir"]
