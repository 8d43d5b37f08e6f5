"""Framestate as a filter of VapourSynth: ``framestate.vapoursynth.interpolate(clip, multi=2)``."""

from .interpolation import interpolate

__all__ = ["interpolate"]
