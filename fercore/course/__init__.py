"""What a lesson imports: ``check`` for its exercises, ``read_table`` and ``runs_folder`` for its files.

What lessons 03 to 05 share besides is in ``fercore.course.noisy_faces``.
"""

from fercore.course.exercise import check
from fercore.course.folders import find_root, read_table, runs_folder

__all__ = ["check", "find_root", "read_table", "runs_folder"]
