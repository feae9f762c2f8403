"""All mutants."""

from tests.mutants.core import CORE
from tests.mutants.frameworks import FRAMEWORKS
from tests.mutants.interop import INTEROP
from tests.mutants.library import LIBRARY
from tests.mutants.measuring import MEASURING
from tests.mutants.surface import SURFACE
from tests.mutants.training import TRAINING_LOOP

MUTANTS = (*CORE, *MEASURING, *TRAINING_LOOP, *LIBRARY, *INTEROP, *FRAMEWORKS, *SURFACE)
