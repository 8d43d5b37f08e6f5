"""Frames, boxes, crops, safe image decoding, video reading and writing, drawing. No model in sight."""
