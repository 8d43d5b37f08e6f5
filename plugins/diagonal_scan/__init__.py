"""``diagonal_scan``: a diagonal recurrence, real or complex (LRU, S5, minGRU). Glossary in ``reference``."""

from .blocks import diagonal_scan_blocks
from .reference import diagonal_scan_reference

__all__ = ["diagonal_scan_blocks", "diagonal_scan_reference"]
