"""What watches a training: evaluations, checkpoints, stop rules, progress and signals."""

from rlzoo.callbacks.checkpoint import Checkpoints as Checkpoints
from rlzoo.callbacks.evaluate import Evaluations as Evaluations
from rlzoo.callbacks.finite import Finite as Finite
from rlzoo.callbacks.interrupt import Interrupt as Interrupt
from rlzoo.callbacks.progress import Progress as Progress
from rlzoo.callbacks.prune import Prune as Prune
from rlzoo.callbacks.standing import Standing as Standing
from rlzoo.callbacks.stop import Stop as Stop
