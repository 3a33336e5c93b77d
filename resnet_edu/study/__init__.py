"""Studies: many runs, recorded so that a lesson can show more than a laptop can run live."""

from .named import STUDIES, find_study, load_study
from .recording import Recorded, Setting, Study, run_study

__all__ = ["STUDIES", "Recorded", "Setting", "Study", "find_study", "load_study", "run_study"]
