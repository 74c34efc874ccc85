"""Training: a state, one compiled step, a loop that saves and resumes bit for bit, and the run directory it writes.

It knows neither the model nor the data nor the experiment: those are functions and arrays that you pass.
"""

from recurrent.extras import needs

_LIBRARIES = {"optax": "Optax", "orbax": "Orbax", "orbax.checkpoint": "Orbax", "filelock": "filelock"}

with needs("recurrent.training", "training", _LIBRARIES):
    from recurrent.training.average import exponential_average, uniform_average
    from recurrent.training.cohort.fit import FitMany, OfRun, fit_many
    from recurrent.training.cohort.mesh import make_cohort_mesh
    from recurrent.training.cohort.steps import CohortSteps, make_cohort_steps
    from recurrent.training.environment import describe_environment
    from recurrent.training.evaluate import make_predict
    from recurrent.training.events import EpochEnd, NonFiniteError, Progress
    from recurrent.training.iterator_feed import BatchIterator
    from recurrent.training.loop import Fit, fit
    from recurrent.training.mesh import make_mesh, replicate
    from recurrent.training.objective import Batch, Sums, binary_cross_entropy
    from recurrent.training.optimizers import adam, rmsprop
    from recurrent.training.order import epoch_batches
    from recurrent.training.plan import Plan, Trainer
    from recurrent.training.processes import LostProcess
    from recurrent.training.reader_feed import ExampleReader
    from recurrent.training.run.directory import Resumed, RunDirectory
    from recurrent.training.run.records import Goal, Record, Timing, best
    from recurrent.training.signals import Interrupt, Stopped
    from recurrent.training.state import TrainState, init_state
    from recurrent.training.step import make_train_steps
    from recurrent.training.streams import draw_weights, fixed_draws, stream

__all__ = [
    "Batch",
    "BatchIterator",
    "CohortSteps",
    "EpochEnd",
    "ExampleReader",
    "Fit",
    "FitMany",
    "Goal",
    "Interrupt",
    "LostProcess",
    "NonFiniteError",
    "OfRun",
    "Plan",
    "Progress",
    "Record",
    "Resumed",
    "RunDirectory",
    "Stopped",
    "Sums",
    "Timing",
    "TrainState",
    "Trainer",
    "adam",
    "best",
    "binary_cross_entropy",
    "describe_environment",
    "draw_weights",
    "epoch_batches",
    "exponential_average",
    "fit",
    "fit_many",
    "fixed_draws",
    "init_state",
    "make_cohort_mesh",
    "make_cohort_steps",
    "make_mesh",
    "make_predict",
    "make_train_steps",
    "replicate",
    "rmsprop",
    "stream",
    "uniform_average",
]
