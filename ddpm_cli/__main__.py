"""`python -m ddpm_cli NAME`: the commands without their console scripts."""

from ddpm_cli.cli import main

main()
