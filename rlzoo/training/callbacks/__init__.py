"""What watches a training: evaluations, checkpoints, stop rules, progress and signals."""

from rlzoo.training.callbacks.checkpoint import Checkpoints as Checkpoints
from rlzoo.training.callbacks.evaluate import Evaluations as Evaluations
from rlzoo.training.callbacks.in_place import InPlace as InPlace
from rlzoo.training.callbacks.interrupt import Interrupt as Interrupt
from rlzoo.training.callbacks.nan_guard import NanGuard as NanGuard
from rlzoo.training.callbacks.progress import Progress as Progress
from rlzoo.training.callbacks.resume_state import ResumeState as ResumeState
from rlzoo.training.callbacks.stop import Prune as Prune
from rlzoo.training.callbacks.stop import Stop as Stop
