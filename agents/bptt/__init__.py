"""The BPTT agent: training a policy by backpropagation through the environment itself."""

from agents.bptt.algorithm import BPTTConfig as BPTTConfig
from agents.bptt.algorithm import default_optimizer as default_optimizer
from agents.bptt.algorithm import train_scan as train_scan
from agents.bptt.devices import Computers as Computers
from agents.bptt.schedules import Ramp as Ramp
from agents.bptt.trainable import Freeze as Freeze
from agents.bptt.trainable import select_trainable as select_trainable
from agents.bptt.training import train as train
from agents.bptt.training import train_replicates as train_replicates
