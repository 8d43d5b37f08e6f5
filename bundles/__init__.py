"""Model bundles: what a model is (``ModelSpec``), and the folder in which it travels (``Bundle``)."""

from .fields import JSON
from .spec import BATCH, Dim, FunctionSpec, ModelSpec, TensorSpec, past_name, present_name

__all__ = ["BATCH", "JSON", "Dim", "FunctionSpec", "ModelSpec", "TensorSpec", "past_name", "present_name"]
