"""`python -m ddpm_cli train|doctor|sample|info`: the commands without their console scripts."""

from ddpm_cli.cli import main

main()
