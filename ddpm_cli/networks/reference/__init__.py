"""The UNet of Ho et al., Improved DDPM and ADM."""

from ddpm_cli.networks.reference.network import ReferenceUNet
