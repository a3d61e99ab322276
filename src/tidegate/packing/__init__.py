"""Which image serves one model, and how is it built? A build context with the bundle in it, and Docker."""

from tidegate.packing.context import Packed, PackRequest, pack
from tidegate.packing.engine import Image, build_image, require_engine

__all__ = ["Image", "PackRequest", "Packed", "build_image", "pack", "require_engine"]
