"""The course: what a lesson imports (``check``, ``runs_folder``), and the tool that builds, runs and checks lessons.

``python -m fercore.course --help`` lists the commands.
"""

from fercore.course.exercise import check
from fercore.course.folders import find_root, read_table, runs_folder

__all__ = ["check", "find_root", "read_table", "runs_folder"]
