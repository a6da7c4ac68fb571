"""The BPTT agent: training a policy by backpropagation through the environment itself."""

from agents.bptt.algorithm import BPTTConfig as BPTTConfig
from agents.bptt.algorithm import Problem as Problem
from agents.bptt.algorithm import TrainingError as TrainingError
from agents.bptt.algorithm import TrainState as TrainState
from agents.bptt.algorithm import compile_training as compile_training
from agents.bptt.algorithm import cosine_schedule as cosine_schedule
from agents.bptt.algorithm import default_optimizer as default_optimizer
from agents.bptt.algorithm import init_state as init_state
from agents.bptt.algorithm import losses_by_term as losses_by_term
from agents.bptt.algorithm import objective as objective
from agents.bptt.algorithm import select_trainable as select_trainable
from agents.bptt.algorithm import train as train
from agents.bptt.algorithm import train_replicates as train_replicates
from agents.bptt.algorithm import update as update
from agents.bptt.algorithm import update_many as update_many
