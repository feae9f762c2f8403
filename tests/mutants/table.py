"""All mutants."""

from tests.mutants.core import CORE
from tests.mutants.measuring import MEASURING
from tests.mutants.surface import TOLD
from tests.mutants.training import TRAINED

MUTANTS = (*CORE, *MEASURING, *TRAINED, *TOLD)
