"""nbgrader's settings for this course: copy this file into your nbgrader course folder.

It makes `nbgrader generate_assignment` leave the stubs that the learner's edition has. docs/instructors.md says
how to grade.
"""

from nbconvert.preprocessors import TagRemovePreprocessor
from nbgrader.converters import GenerateAssignment

c = get_config()  # noqa: F821  # pyright: ignore[reportUndefinedVariable]  # nbgrader provides it

c.ClearSolutions.code_stub = {"python": 'raise NotImplementedError("not yet")'}

# What is meant for the worked edition only is not released.
c.GenerateAssignment.preprocessors = [TagRemovePreprocessor, *(GenerateAssignment.preprocessors.default() or [])]
c.TagRemovePreprocessor.enabled = True
c.TagRemovePreprocessor.remove_cell_tags = {"worked-only"}

# Seconds for one cell. The slowest takes half a minute on a quiet machine.
c.Execute.timeout = 600
