"""Power-function EMAs: tracked while a run trains, reconstructed for any length afterwards.

Karras et al. 2024b (arXiv:2312.02696), section 3, calls the method post-hoc EMA.
"""

from ddpm_cli.averages.power_function import check_length
from ddpm_cli.averages.reconstruction import Reconstruction, reconstruct
from ddpm_cli.averages.tracking import PowerEmas
