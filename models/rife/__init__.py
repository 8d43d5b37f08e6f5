"""RIFE 4.x (Huang et al. 2022, arXiv 2011.06294) as a model of this engine: frames are encoded once."""
