"""Several processes or GPUs: their launch, their exchanges, and networks that they share."""

from ddpm_cli.parallel.data_parallel import distribute, without_sync
from ddpm_cli.parallel.group import ALONE, AnyRankFlag, EchoError, ProcessGroup, join_group
from ddpm_cli.parallel.optimizer_states import load_optimizer, optimizer_state, state_by_name
from ddpm_cli.parallel.state_dicts import load_network, network_state, unwrap
