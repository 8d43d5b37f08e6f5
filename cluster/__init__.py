"""Floor 5: many servers as one: sessions stay where their state is, and move when they must.

Everything here but ``ray_app`` and ``ray_directory`` is plain Python. Nothing is imported with the package,
so that a front, a member and the command each load what they need.
"""
