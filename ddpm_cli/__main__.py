"""`python -m ddpm_cli train|sample`: the commands without their console scripts."""

from ddpm_cli.cli import main

main()
