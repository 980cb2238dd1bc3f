"""`python -m ddpm_cli train|sample|info`: the commands without their console scripts."""

from ddpm_cli.cli import main

main()
