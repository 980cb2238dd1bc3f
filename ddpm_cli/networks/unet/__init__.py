"""The UNet and its blocks."""

from ddpm_cli.networks.unet.network import UNet
