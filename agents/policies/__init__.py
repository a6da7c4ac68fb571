"""Policies: networks that turn observations into commands, one trial and one step at a time."""

from agents.policies.actor import ActorPolicy as ActorPolicy
from agents.policies.custom_cell import CustomCellPolicy as CustomCellPolicy
from agents.policies.gru import GRUPolicy as GRUPolicy
from agents.policies.lstm import LSTMPolicy as LSTMPolicy
from agents.policies.make import POLICIES as POLICIES
from agents.policies.make import make_policy as make_policy
from agents.policies.mlp import MLPPolicy as MLPPolicy
from agents.policies.network import NetworkPolicy as NetworkPolicy
from agents.policies.network import count_replicates as count_replicates
from agents.policies.open_loop import OpenLoopPolicy as OpenLoopPolicy
from agents.policies.rnn import LeakyRNNCell as LeakyRNNCell
from agents.policies.rnn import RNNPolicy as RNNPolicy
