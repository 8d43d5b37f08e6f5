"""Model bundles: what a model is (``ModelSpec``), and the folder in which it travels (``Bundle``)."""

from .bundle import FORMAT_VERSION, Bundle, default_bundles, load_bundle
from .fields import JSON
from .spec import BATCH, Dim, FunctionSpec, ModelSpec, Size, TensorSpec, past_name, present_name
from .writer import add_to_bundle, write_bundle

__all__ = [
    "BATCH",
    "FORMAT_VERSION",
    "JSON",
    "Bundle",
    "Dim",
    "FunctionSpec",
    "ModelSpec",
    "Size",
    "TensorSpec",
    "add_to_bundle",
    "default_bundles",
    "load_bundle",
    "past_name",
    "present_name",
    "write_bundle",
]
