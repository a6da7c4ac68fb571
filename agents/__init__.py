"""agents: learners for fbx_env, and the exact optimum beside them."""

from agents.bptt import BPTTConfig as BPTTConfig
from agents.bptt import TrainingError as TrainingError
from agents.bptt import train as train
from agents.bptt import train_replicates as train_replicates
from agents.evaluation import evaluate as evaluate
from agents.evaluation import evaluate_replicates as evaluate_replicates
from agents.lqr import OptimalPolicy as OptimalPolicy
from agents.lqr import expected_loss as expected_loss
from agents.lqr import optimal_loss as optimal_loss
from agents.pairings import TrainingContext as TrainingContext
from agents.pairings import TrainingTask as TrainingTask
from agents.pairings import point_mass_nn_simple_reaches as point_mass_nn_simple_reaches
from agents.policies import CustomCellPolicy as CustomCellPolicy
from agents.policies import GRUPolicy as GRUPolicy
from agents.policies import LSTMPolicy as LSTMPolicy
from agents.policies import MLPPolicy as MLPPolicy
from agents.policies import RNNPolicy as RNNPolicy
from agents.policies import make_policy as make_policy
from agents.storage.checkpoints import Checkpoints as Checkpoints
from agents.storage.history import History as History
from agents.storage.interrupts import Interrupted as Interrupted
from agents.storage.models import load_model as load_model
from agents.storage.models import save_model as save_model
